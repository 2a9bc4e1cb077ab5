"""Tables from records alone, and the comparison with what papers printed."""

import json

import numpy as np
import pandas as pd
import pytest
from demo_core.datasets import PAPERS
from demo_core.report import (
    against_published,
    averages,
    latex,
    markdown,
    mean_table,
    published,
    published_titles,
    table,
    worst_cases,
    write,
)

from demo_core.benchmark import COLUMNS, Trial, read_records

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


def test_the_interval_is_the_bootstraps():
    """As 10,000 resamples of these 200 answers find it."""
    answers = [1] * 60 + [0] * 140
    found = table(records({("DTD", "clean", "none"): answers})).iloc[0]
    resampled = np.random.default_rng(0).choice(answers, (10_000, 200)).mean(1) * 100
    assert np.allclose([found["low"], found["high"]], np.percentile(resampled, (2.5, 97.5)), atol=0.6)
    assert found["high"] - found["low"] > 12


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


def test_markdown_and_latex_hold_every_data_set():
    text = markdown(FOUND)
    assert (
        "**DTD**" in text
        and "| the worst of all at 4/255 | 4 | 0.0 ± 30.1 | 25.0 ±" in text
        and "Mean over 2 data sets" in text
    )
    assert "| *passes a picture, forward + backward* |  | 2.0 + 1.0 |" in text
    assert latex(FOUND).count("\\begin{table}") == 3 and "Mean over the data sets" in latex(FOUND)


def test_a_folders_name_does_not_break_the_latex():
    assert r"\caption{my\_cats \& dogs}" in latex(FOUND.assign(dataset="/home/my_cats & dogs"))


def test_averages_are_over_all_data_sets_or_not_at_all():
    found = averages(FOUND)
    assert (
        found.loc["clean", "None"] == "50.0 ± 26.5"
        and "TTC" not in found.columns
        and Trial("cw", 4).title not in found.index
    )


def test_published_figures_stand_beside_ours():
    printed = published()
    theirs = printed[
        (printed["dataset"] == "DTD")
        & (printed["defense"] == "ttc")
        & (printed["attack"] == "pgd")
        & (printed["eps_255"] == 4)
    ]
    beside = against_published(FOUND, SETTINGS)
    mine = beside[
        (beside["dataset"] == "DTD") & (beside["defence"] == "TTC") & (beside["attack"] == "PGD-10, 4/255")
    ]
    assert (
        sorted(mine["published"]) == sorted(theirs["robust_acc"])
        and (mine["difference"] == 50 - mine["published"]).all()
    )
    assert (
        mine["not comparable, because"].str.contains("4 of 1,880 pictures").all()
        and beside["source"].str.contains("arXiv").all()
    )


def test_published_figures_in_words():
    words = published_titles()
    assert len(words) == len(published()) and {"Random noise", "Anti-adversary", "TTC", "MAC"} <= set(
        words["defence"]
    )
    assert {"PGD", "CW", "BPDA"} == set(words["attack"]) and "Mean over 16" in set(words["data set"])


def test_a_whole_run_of_the_papers_model_can_be_compared():
    whole = against_published(records({("DTD", "pgd@4", "ttc"): [1, 0] * 940}), SETTINGS)
    assert (whole["not comparable, because"] == "").any() and (whole["here"] == 50).all()


def test_the_mean_over_the_papers_sixteen_stands_beside_theirs():
    answers = {(dataset, attack, "ttc"): [1, 1, 0, 0] for dataset in PAPERS for attack in ("clean", "pgd@4")}
    settings = SETTINGS | {"datasets": {dataset: {"size": 4} for dataset in PAPERS}}
    beside = against_published(records(answers), settings).set_index("dataset").loc["Mean over the data sets"]
    assert {55.99, 20.63} <= set(beside["published"]) and (beside["here"] == 50).all()
    assert beside["not comparable, because"].str.contains("64 of 355,228 pictures").all()
    some = against_published(records({k: v for k, v in answers.items() if k[0] != "DTD"}), settings)
    assert "Mean over the data sets" not in set(some["dataset"])


@pytest.mark.parametrize(
    "change, why", [({"model": "photo"}, "photo"), ({"precision": "bf16"}, "bfloat16 throughout")]
)
def test_what_cannot_be_compared_is_said(change, why):
    beside = against_published(FOUND, SETTINGS | change)
    assert beside.loc[beside["dataset"] == "DTD", "not comparable, because"].str.contains(why).all()


def test_a_defence_that_is_not_its_papers_is_said():
    hedge = against_published(records({("DTD", "pgd@4", "hedge"): [1, 1, 0, 0]}), SETTINGS)
    assert len(hedge) and hedge["not comparable, because"].str.contains("its authors take 20").all()


def test_costs_of_a_defence_that_only_clean_pictures_met_are_left_open():
    text = markdown(
        records({("DTD", "clean", "none"): [1], ("DTD", "clean", "ttc"): [1], ("DTD", "pgd@4", "none"): [0]})
    )
    assert "| *passes a picture, forward + backward* |  | 2.0 + 1.0 |  |" in text


def test_the_files_of_a_report_are_whole_tables(tmp_path):
    FOUND.to_csv(tmp_path / "records-0.csv", index=False)
    (tmp_path / "settings.json").write_text(
        json.dumps({"fixed": {"model": "photo", "precision": "float32"}, "datasets": SETTINGS["datasets"]})
    )
    write(tmp_path)
    lines = (tmp_path / "published.md").read_text().strip().splitlines()
    assert len(lines) > 3 and len({line.count("|") for line in lines}) == 1
    assert "average" in (tmp_path / "table.csv").read_text()


def test_records_alone_make_the_tables(tmp_path):
    """As the live run hands them over, without the settings of the folder that they were made in."""
    FOUND.to_csv(tmp_path / "records-0.csv", index=False)
    write(tmp_path)
    assert (
        "settings.json" in (tmp_path / "published.md").read_text()
        and "| TTC |" in (tmp_path / "table.md").read_text()
    )


def test_a_line_that_a_kill_cut_short_is_no_record(tmp_path):
    FOUND.to_csv(tmp_path / "records-0.csv", index=False)
    whole = markdown(read_records(tmp_path))
    for torn in ("DTD,50,1,clean,none", "DTD,50,1,cle", "DTD,50,1,clean,none,1,2.0,1.0,5"):
        FOUND.to_csv(tmp_path / "records-0.csv", index=False)
        with (tmp_path / "records-0.csv").open("a") as file:
            file.write(torn)
        assert markdown(read_records(tmp_path)) == whole
