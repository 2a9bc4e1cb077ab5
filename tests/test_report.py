"""Tables from records alone, and the comparison with what papers printed."""

import re
import time

import numpy as np
import pandas as pd
import pytest

from demo_core.benchmark.charts import drawn
from demo_core.benchmark.datasets import PAPERS
from demo_core.benchmark.files import whole_table, write
from demo_core.benchmark.latex import latex
from demo_core.benchmark.pairs import paired_interval
from demo_core.benchmark.published import against_published, published, published_titles
from demo_core.benchmark.records import COLUMNS, Records
from demo_core.benchmark.report import averages, markdown, shipped_markdown
from demo_core.benchmark.summary import Summary
from demo_core.benchmark.tables import AT_ANY, KNOWING, NOT_KNOWING, curves, mean_table, table, worst_cases
from demo_core.benchmark.trials import Trial
from demo_core.defenses import in_order, title_of
from demo_core.models import MODELS, RECORDS_FILE, folder_of

SETTINGS = {
    "model": "vit-b-32",
    "precision": "float32",
    "datasets": {"DTD": {"size": 4}, "EuroSAT": {"size": 4}},
}


def records(answers: dict[tuple[str, str, str], list[int]]) -> pd.DataFrame:
    """Four pictures of label 1 in each (dataset, attack, defense): what was predicted of them."""
    rows = [
        (dataset, i, 1, attack, defense, predicted, 2.0, 1.0, 5.0)
        for (dataset, attack, defense), predictions in answers.items()
        for i, predicted in enumerate(predictions)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def lines(text: str) -> list[str]:
    """The lines of Markdown tables without the spaces that fill up their columns."""
    return [re.sub(r" +", " ", line) for line in text.splitlines()]


FOUND = records(
    {
        ("DTD", "clean", "none"): [1, 1, 1, 0],
        ("DTD", "clean", "ttc"): [1, 1, 0, 0],
        ("DTD", "pgd@4", "none"): [1, 0, 0, 0],
        ("DTD", "cw@4", "none"): [0, 1, 0, 0],
        ("DTD", "pgd@4", "ttc"): [1, 1, 0, 0],
        ("DTD", "cw@4", "ttc"): [1, 0, 0, 0],
        ("EuroSAT", "clean", "none"): [1, 0, 0, 0],
        ("EuroSAT", "pgd@4", "none"): [0, 0, 0, 0],
    }
)


def test_a_curve_has_the_clean_pictures_at_nought_and_one_attack_alone(tmp_path):
    right = {"clean": 4, "pgd@0.5+predicted": 3, "pgd@4+predicted": 1, "pgd@1+predicted+adaptive": 0}
    others = {"pgd@2": 4, "pgd@8x40+predicted": 4, "cw@8+predicted": 4, "pgd@8+predicted+adaptive+eot4": 4}
    answers = {("DTD", a, "none"): [1] * n + [0] * (4 - n) for a, n in (right | others).items()}
    found = curves(table(records(answers)))
    assert found["accuracy"].to_dict() == {
        ("DTD", "none", NOT_KNOWING, eps): value for eps, value in ((0, 100), (0.5, 75), (4, 25))
    }  # two points of an attacker who knows make no line
    more = curves(table(records(answers | {("DTD", "pgd@4+predicted+adaptive", "none"): [1, 1, 0, 0]})))
    assert more.xs(KNOWING, level="attacker")["accuracy"].tolist() == [100, 0, 50]
    upto = {("DTD", f"pgd@{eps}+predicted+adaptive+upto", "none"): [1, 0, 0, 0] for eps in (1, 4)}
    who = KNOWING + AT_ANY
    assert curves(table(records(answers | upto))).xs(who, level="attacker")["accuracy"].tolist() == [
        100,
        25,
        25,
    ]
    assert curves(table(FOUND)).empty
    Records(tmp_path, {"model": "vit-b-32", "precision": "float32", "seed": 0}).append(records(answers))
    assert {"curves.svg", "curves.png", "accuracy.svg"} <= {path.name for path in write(tmp_path)}


def test_a_mean_difference_is_of_all_data_sets_or_of_none():
    """The third has nothing to compare: a mean over two would stand under the mean over three."""
    two = {(s, "clean", d): [1, 0, 0, int(d == "ttc")] for s in ("DTD", "PCAM") for d in ("none", "ttc")}
    found = Summary(records(two | {("EuroSAT", "clean", "none"): [1, 0, 0, 0]}))
    assert set(found.compared.index.unique("dataset")) == {"DTD", "PCAM"}
    third = {("EuroSAT", "clean", d): [1, 0, 0, 0] for d in ("none", "ttc")}
    assert "average" in Summary(records(two | third)).compared.index.unique("dataset")


def test_what_stands_is_of_attacks_that_the_same_defences_met():
    """Two attacks that as many met, but not the same, are not one attacker's."""
    apart = {("DTD", "pgd@4", "ttc"): [1, 1, 1, 1], ("DTD", "cw@4", "tte"): [0, 0, 0, 0]}
    bare = {("DTD", attack, "none"): [1, 1, 0, 0] for attack in ("pgd@4", "cw@4")}
    stands = Summary(records(apart | bare)).standing.loc["DTD"]
    assert stands["accuracy"].to_dict() == {"none": 50, "ttc": 100} and (stands["attacks"] == 1).all()
    both = {("DTD", "pgd@4", "tte"): [1, 0, 1, 1], ("DTD", "cw@4", "ttc"): [1, 1, 1, 0]}
    stands = Summary(records(apart | bare | both)).standing.loc["DTD"]
    assert stands["accuracy"].to_dict() == {"none": 50, "ttc": 75, "tte": 0}
    assert (stands["attacks"] == 2).all()


def test_what_counts_smaller_sizes_is_no_attack_of_that_size():
    """It changes neither the worst case, nor what stands, nor what a defence costs."""
    upto = records({("DTD", "pgd@4+upto", key): [0] * 4 for key in ("none", "ttc")})
    both = pd.concat([FOUND, upto.assign(forward=99.0)])
    pd.testing.assert_frame_equal(worst_cases(both), worst_cases(FOUND))
    for name in ("standing", "costs"):
        pd.testing.assert_frame_equal(getattr(Summary(both), name), getattr(Summary(FOUND), name))
    assert "pgd@4+upto" in Summary(both).plain.index.unique("attack")


def test_the_table_is_the_records_means():
    found = table(FOUND)
    assert (
        found.loc[("DTD", "none", "clean"), "accuracy"] == 75
        and found.loc[("DTD", "ttc", "cw@4"), "accuracy"] == 25
    )
    assert (
        (found["low"] <= found["accuracy"]).all()
        and (found["accuracy"] <= found["high"]).all()
        and (found["pictures"] == 4).all()
    )


@pytest.mark.parametrize("right, pictures", [(0, 20), (20, 20), (60, 200), (1, 7), (9_990, 10_000)])
def test_the_interval_is_wilsons(right, pictures):
    """Both ends are the accuracies that lie 1.96 of their own standard errors from what was found."""
    found = table(records({("DTD", "clean", "none"): [1] * right + [0] * (pictures - right)})).iloc[0]
    z, share = 1.959963984540054, right / pictures
    ends = np.roots([1 + z**2 / pictures, -(2 * share + z**2 / pictures), share**2])
    assert np.allclose([found["low"], found["high"]], 100 * np.sort(ends), atol=1e-9)


def test_the_ends_of_an_interval_are_known_ones():
    """0 of 20 and 81 of 263 as Newcombe prints them (Statistics in Medicine 1998, table I)."""
    for right, pictures, low, high in ((0, 20, 0.0, 16.11), (81, 263, 25.53, 36.62)):
        found = table(records({("DTD", "clean", "none"): [1] * right + [0] * (pictures - right)})).iloc[0]
        assert np.allclose([found["low"], found["high"]], [low, high], atol=0.006)


def test_the_interval_of_a_mean_is_the_bootstraps():
    answers = {"DTD": [1] * 60 + [0] * 140, "EuroSAT": [1] * 90 + [0] * 10}
    found = mean_table(
        table(records({(dataset, "clean", "none"): a for dataset, a in answers.items()}))
    ).iloc[0]
    dice = np.random.default_rng(0)
    resampled = np.mean([dice.choice(a, (10_000, len(a))).mean(1) * 100 for a in answers.values()], 0)
    assert found["accuracy"] == 60
    assert np.allclose([found["low"], found["high"]], np.percentile(resampled, (2.5, 97.5)), atol=0.6)


def test_the_worst_of_all_attacks_is_right_only_where_every_one_is_withstood():
    worst = worst_cases(FOUND)
    assert set(worst["attack"]) == {"worst@4"} and set(worst["dataset"]) == {"DTD"}
    right = worst.assign(right=worst["predicted"] == worst["label"]).groupby("defense")["right"].sum()
    assert right.to_dict() == {"none": 0, "ttc": 1}


def test_the_worst_of_all_attacks_counts_those_from_the_predicted_label_too():
    """None that stands in the same table may leave less than the worst."""
    both = pd.concat([FOUND, records({("DTD", "pgd@4+predicted", "ttc"): [0, 0, 0, 0]})])
    worst = worst_cases(both).query("defense == 'ttc' and dataset == 'DTD'")
    assert len(worst) == 4 and not (worst["predicted"] == worst["label"]).any()


def test_an_attack_that_the_table_does_not_have_is_shown_by_its_name():
    """As a defence is."""
    found = pd.concat(
        [FOUND, records({("DTD", "sphere@4", "none"): [0] * 4, ("DTD", "clean", "odd"): [1] * 4})]
    )
    shown = lines(markdown(found))
    assert any(line.startswith("| sphere@4 | 4 | 0.0 (0.0–49.0) |") for line in shown)
    assert any("| odd |" in line for line in shown)
    assert set(worst_cases(found)["attack"]) == {"worst@4"} and "sphere@4" in latex(Summary(found))
    assert not (against_published(table(found), SETTINGS)["attack"] == "sphere@4").any()
    assert "sphere@4" in [text.get_text() for text in drawn(table(found)).axes[0].get_yticklabels()]


def test_markdown_and_latex_hold_every_data_set():
    text = markdown(FOUND)
    shown = lines(text)
    assert "**DTD**" in text and "Mean over 2 data sets" in text
    # The upper end for 0 of 4 is z² / (4 + z²), for 1 of 4 the larger root of Wilson's equation.
    assert "| the worst of all at 4/255 | 4 | 0.0 (0.0–49.0) | 25.0 (4.6–69.9) |" in shown
    assert "| *passes a picture, forward + backward* | | 2.0 + 1.0 | 2.0 + 1.0 |" in shown
    paper = latex(Summary(FOUND))
    assert paper.count(r"\begin{table*}") == 3 and "Mean over the data sets" in paper
    assert r"& 50.0 {\tiny 15.0--85.0} & 25.0 {\tiny 4.6--69.9}" in paper  # PGD, CW


def test_data_sets_stand_in_the_tables_order():
    swapped = pd.concat([FOUND[FOUND["dataset"] == "EuroSAT"], FOUND[FOUND["dataset"] == "DTD"]])
    in_order_of_papers = sorted(["EuroSAT", "DTD"], key=PAPERS.index)
    text = markdown(swapped)
    assert sorted(["EuroSAT", "DTD"], key=lambda name: text.index(f"**{name}**")) == in_order_of_papers


def test_a_folders_name_does_not_break_the_latex():
    assert r"\caption{my\_cats \& dogs. " in latex(Summary(FOUND.assign(dataset="/home/my_cats & dogs")))


def test_the_interval_of_a_paired_difference_is_newcombes():
    """As he prints it for 36, 12, 2 and 0 of 50 (Statistics in Medicine 1998, method 10)."""
    low, high = paired_interval(*(np.array([count], float) for count in (36, 12, 2, 0)))
    assert np.allclose([low[0], high[0]], [0.0569, 0.3404], atol=5e-5)


def test_differences_are_between_answers_on_the_same_pictures():
    """TTC has no record of the last picture: none's answer to it does not count beside it."""
    part = records({("DTD", "clean", "none"): [1, 0, 0, 1], ("DTD", "clean", "ttc"): [1, 1, 0, 0]})
    met = part.drop(part[(part["defense"] == "ttc") & (part["index"] == 3)].index)
    beside = Summary(met).compared.loc[("DTD", "ttc", "clean", "none")]
    assert (beside["gained"], beside["lost"], beside["pictures"]) == (1, 0, 3)
    assert beside["difference"] == pytest.approx(100 / 3) and beside["p"] == 1


def test_the_best_share_the_bold_within_the_interval_of_their_difference():
    """TTE misses what TTC has 4 of 100 times, and has what it misses 2 times: the two cannot be told apart.
    RN's interval overlaps TTC's, and yet it is worse on the same pictures."""
    ttc = [1] * 60 + [0] * 40
    tte = [0] * 4 + [1] * 56 + [1] * 2 + [0] * 38
    rn = [0] * 8 + [1] * 52 + [0] * 40
    bare = [0] * 100
    found = records(
        {("DTD", "pgd@4", key): a for key, a in (("none", bare), ("rn", rn), ("tte", tte), ("ttc", ttc))}
    )
    summary = Summary(found)
    assert summary.best == {("DTD", "ttc", "pgd@4"), ("DTD", "tte", "pgd@4")}
    intervals = summary.found.droplevel(["dataset", "attack"])
    assert intervals.loc["rn", "high"] > intervals.loc["ttc", "low"]
    assert "**60.0** (" in markdown(found) and "| 52.0 (" in markdown(found)
    assert r"TTC & \textbf{60.0}" in latex(summary)
    assert not Summary(records({("DTD", "clean", k): [1, 1, 0] for k in ("none", "ttc")})).best


def test_the_table_of_a_report_can_be_read_by_a_program():
    found = whole_table(Summary(FOUND), "none").set_index(["dataset", "defense", "attack"])
    row = found.loc[("DTD", "ttc", "pgd@4")]
    assert row["beside"] == "none" and row["difference"] == 25 and (row["gained"], row["lost"]) == (1, 0)
    assert row["low"] < row["accuracy"] < row["high"] and row["difference_low"] < 25 < row["difference_high"]
    assert (
        pd.isna(found.loc[("DTD", "none", "clean"), "difference"])
        and ("DTD", "none", "worst@4") in found.index
    )


def test_averages_are_over_all_data_sets_or_not_at_all():
    """Of 3 of 4 and 1 of 4 the ends are 30.06, 95.44 and 4.56, 69.94: from the mean it is half the root of
    the sum of squares of 44.94 and 20.44, down and up."""
    found = averages(Summary(FOUND))
    assert found.loc["clean", "None"] == "50.0 (25.3–74.7)"
    assert "TTC" not in found.columns and Trial("cw", 4).title not in found.index


def test_published_figures_stand_beside_ours():
    printed = published()
    theirs = printed[
        (printed["dataset"] == "DTD")
        & (printed["backbone"] == "ViT-B/32")
        & (printed["defense"] == "ttc")
        & (printed["attack"] == "pgd")
        & (printed["eps_255"] == 4)
        & (printed["attack_steps"] == 10)
    ]
    beside = against_published(table(FOUND), SETTINGS)
    mine = beside[
        (beside["dataset"] == "DTD") & (beside["defence"] == "TTC") & (beside["attack"] == "PGD-10, 4/255")
    ]
    assert (
        sorted(mine["published"]) == sorted(theirs["robust_acc"])
        and (mine["difference"] == 50 - mine["published"]).all()
    )
    assert (
        mine["not alike, because"].str.contains("4 of 1,880 pictures").all()
        and (beside["source"].str.len() > 0).all()
    )


def test_published_figures_in_words():
    words = published_titles()
    assert len(words) == len(published()) and {"Random noise", "Anti-adversary", "TTC", "MAC"} <= set(
        words["defence"]
    )
    assert {"PGD", "CW", "BPDA", "APGD-CE"} < set(words["attack"]) and "Mean over 16" in set(
        words["data set"]
    )


def test_a_whole_run_of_the_papers_model_can_be_compared():
    whole = against_published(table(records({("DTD", "pgd@4", "ttc"): [1, 0] * 940})), SETTINGS)
    assert (whole["not alike, because"] == "").any() and (whole["here"] == 50).all()


def test_the_mean_over_the_papers_sixteen_stands_beside_theirs():
    answers = {(dataset, attack, "ttc"): [1, 1, 0, 0] for dataset in PAPERS for attack in ("clean", "pgd@4")}
    settings = SETTINGS | {"datasets": {dataset: {"size": 4} for dataset in PAPERS}}
    beside = (
        against_published(table(records(answers)), settings)
        .set_index("dataset")
        .loc["Mean over the data sets"]
    )
    assert {55.99, 20.63} <= set(beside["published"]) and (beside["here"] == 50).all()
    assert beside["not alike, because"].str.contains("64 of 355,228 pictures").all()
    some = against_published(table(records({k: v for k, v in answers.items() if k[0] != "DTD"})), settings)
    assert "Mean over the data sets" not in set(some["dataset"])


def test_published_figures_of_another_model_or_other_steps_never_stand_beside_ours():
    apart = ("pgd@4x20", "pgd@4+predicted", "pgd@4+upto")
    others = records({("DTD", attack, "ttc"): [1, 1, 0, 0] for attack in apart})
    assert against_published(table(others), SETTINGS).empty
    assert against_published(table(FOUND), SETTINGS | {"model": "photo"}).empty
    larger = records({("ImageNet", "targeted_pgd@4x50", "ttc"): [1, 0, 0, 0]})
    assert against_published(table(larger), SETTINGS).empty
    beside = against_published(table(larger), SETTINGS | {"model": "vit-b-16"})
    assert beside["published"].tolist() == [25.4] and beside["source"].str.startswith("BaP Table 4").all()


def test_what_is_not_alike_is_said():
    beside = against_published(table(FOUND), SETTINGS | {"precision": "bf16"})
    assert beside["not alike, because"].str.contains("bfloat16 throughout").all()


def test_a_defence_that_is_not_its_papers_is_said():
    hedge = against_published(table(records({("DTD", "pgd@4", "hedge"): [1, 1, 0, 0]})), SETTINGS)
    assert len(hedge) and hedge["not alike, because"].str.contains("its authors take 20").all()


def test_costs_of_a_defence_that_only_clean_pictures_met_are_left_open():
    found = records(
        {("DTD", "clean", "none"): [1], ("DTD", "clean", "ttc"): [1], ("DTD", "pgd@4", "none"): [0]}
    )
    assert "| *passes a picture, forward + backward* | | 2.0 + 1.0 | |" in lines(markdown(found))


def test_the_files_of_a_report_are_whole_tables(tmp_path):
    fixed = {"model": "vit-b-32", "precision": "float32", "seed": 0}
    Records(tmp_path, fixed).append(FOUND)
    write(tmp_path)
    beside = (tmp_path / "published.md").read_text().strip().splitlines()
    assert len(beside) > 3 and len({line.count("|") for line in beside}) == 1
    assert "average" in (tmp_path / "table.csv").read_text()
    assert (
        (tmp_path / "table.md")
        .read_text()
        .startswith(f"**EuroSAT, DTD: {MODELS['vit-b-32'].title}.** Seed 0")
    )


@pytest.mark.parametrize("key", [key for key in MODELS if (folder_of(key) / RECORDS_FILE).exists()])
def test_shipped_tables_hold_every_attack_and_defence_of_their_records(key):
    from demo_core.benchmark.report import shipped, title_of_attack

    found, text = shipped(key), shipped_markdown(key)
    assert len(found) and all(title_of_attack(attack) in text for attack in found["attack"].unique())
    assert all(title_of(defense) in text for defense in in_order(found["defense"]))


def test_tables_of_many_records_are_made_in_no_time():
    """A visitor waits for them: 90,000 records take 0.3 s on two busy cores."""
    answers = {
        (name, "pgd@4", d): [1, 0, 0] * 1000
        for name in PAPERS[:6]
        for d in ("none", "rn", "tte", "ttc", "mac")
    }
    many = records(answers)
    then = time.process_time()
    markdown(many)
    assert len(many) == 90_000 and time.process_time() - then < 3
