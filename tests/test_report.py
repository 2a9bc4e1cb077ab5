"""Tables from records alone, and the comparison with what papers printed."""
import json

import pandas as pd
import pytest

from demo_core.benchmark import COLUMNS, Trial
from demo_core.report import against_published, averages, latex, markdown, published, table, worst_cases, write

SETTINGS = {"model": "vit-b-32", "precision": "float32", "datasets": {"DTD": {"size": 4}, "EuroSAT": {"size": 4}}}


def records(answers: dict[tuple[str, str, str], list[int]]) -> pd.DataFrame:
    """Four pictures of label 1 in each (dataset, attack, defense): what was predicted of them."""
    rows = [(dataset, i, 1, attack, defense, predicted, 2.0, 1.0, 5.0)
            for (dataset, attack, defense), predictions in answers.items() for i, predicted in enumerate(predictions)]
    return pd.DataFrame(rows, columns=COLUMNS)


FOUND = records({("DTD", "clean", "none"): [1, 1, 1, 0], ("DTD", "clean", "ttc"): [1, 1, 0, 0],
                 ("DTD", "pgd@4", "none"): [1, 0, 0, 0], ("DTD", "cw@4", "none"): [0, 1, 0, 0],
                 ("DTD", "pgd@4", "ttc"): [1, 1, 0, 0], ("DTD", "cw@4", "ttc"): [1, 0, 0, 0],
                 ("EuroSAT", "clean", "none"): [1, 0, 0, 0], ("EuroSAT", "pgd@4", "none"): [0, 0, 0, 0]})


def test_the_table_is_the_records_means():
    found = table(FOUND)
    assert found.loc[("DTD", "none", "clean"), "accuracy"] == 75 and found.loc[("DTD", "ttc", "cw@4"), "accuracy"] == 25
    assert (found["low"] <= found["accuracy"]).all() and (found["accuracy"] <= found["high"]).all() and (found["pictures"] == 4).all()


def test_the_worst_of_all_attacks_is_right_only_where_every_one_is_withstood():
    worst = worst_cases(FOUND)
    assert set(worst["attack"]) == {"worst@4"} and set(worst["dataset"]) == {"DTD"}
    right = worst.assign(right=worst["predicted"] == worst["label"]).groupby("defense")["right"].sum()
    assert right.to_dict() == {"none": 0, "ttc": 1}


def test_markdown_and_latex_hold_every_data_set():
    text = markdown(FOUND)
    assert "**DTD**" in text and "| the worst of all at 4/255 | 4 | 0.0 ± 0.0 | 25.0 ±" in text and "Mean over 2 data sets" in text
    assert "| *passes a picture, forward + backward* |  | 2.0 + 1.0 |" in text
    assert latex(FOUND).count("\\begin{table}") == 2


def test_averages_are_over_all_data_sets_or_not_at_all():
    found = averages(FOUND)
    assert found.loc["clean", "None"] == "50.0" and "TTC" not in found.columns and Trial("cw", 4).title not in found.index


def test_published_figures_stand_beside_ours():
    printed = published()
    theirs = printed[(printed["dataset"] == "DTD") & (printed["defense"] == "ttc") & (printed["attack"] == "pgd") & (printed["eps_255"] == 4)]
    beside = against_published(FOUND, SETTINGS)
    mine = beside[(beside["dataset"] == "DTD") & (beside["defence"] == "TTC") & (beside["attack"] == "PGD-10, 4/255")]
    assert sorted(mine["published"]) == sorted(theirs["robust_acc"]) and (mine["difference"] == 50 - mine["published"]).all()
    assert (mine["not comparable, because"] == "").any() and beside["source"].str.contains("arXiv").all()


@pytest.mark.parametrize("change, why", [({"model": "pocket"}, "pocket"), ({"precision": "bf16"}, "float32"),
                                         ({"datasets": {"DTD": {"size": 1880}, "EuroSAT": {"size": 4}}}, "4 of 1,880 pictures")])
def test_what_cannot_be_compared_is_said(change, why):
    beside = against_published(FOUND, SETTINGS | change)
    assert beside.loc[beside["dataset"] == "DTD", "not comparable, because"].str.contains(why).all()


def test_a_defence_that_is_not_its_papers_is_said():
    hedge = against_published(records({("DTD", "pgd@4", "hedge"): [1, 1, 0, 0]}), SETTINGS)
    assert len(hedge) and hedge["not comparable, because"].str.contains("its authors take 20").all()


def test_costs_of_a_defence_that_only_clean_pictures_met_are_left_open():
    text = markdown(records({("DTD", "clean", "none"): [1], ("DTD", "clean", "ttc"): [1], ("DTD", "pgd@4", "none"): [0]}))
    assert "| *passes a picture, forward + backward* |  | 2.0 + 1.0 |  |" in text


def test_the_files_of_a_report_are_whole_tables(tmp_path):
    FOUND.to_csv(tmp_path / "records-0.csv", index=False)
    (tmp_path / "settings.json").write_text(json.dumps({"fixed": {"model": "pocket", "precision": "float32"}, "datasets": SETTINGS["datasets"]}))
    write(tmp_path)
    lines = (tmp_path / "published.md").read_text().strip().splitlines()
    assert len(lines) > 3 and len({line.count("|") for line in lines}) == 1
