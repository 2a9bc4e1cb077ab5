"""The report as one page, and the pictures behind each cell of its tables."""

import re
from html import unescape

import pandas as pd
import pytest

from demo_core.benchmark import page as pages
from demo_core.benchmark.charts import charts
from demo_core.benchmark.datasets import DATASETS
from demo_core.benchmark.files import page_of
from demo_core.benchmark.gallery import cells, link_of, pictures
from demo_core.benchmark.records import FILES_OF
from demo_core.benchmark.summary import Summary
from demo_core.examples import EXAMPLES
from demo_core.plots import PAGE, cut_up
from demo_core.story.scenes import Scene
from tests.test_report import FOUND, records

FIXED = {"model": "vit-b-32", "precision": "float32", "seed": 7}
NAMES = {"classes": {"DTD": ["banded <b>", "blotchy"]}, FILES_OF + "DTD": {"1": "banded_0002.jpg"}}
SETTINGS = {"fixed": FIXED, **NAMES}
LAB = "https://lab.example/"


def cell(found: pd.DataFrame, defense: str, attack: str):
    return next(one for one in cells(Summary(found)) if (one.defense, one.attack) == (defense, attack))


def test_a_picture_was_saved_harmed_lost_kept_or_never_right():
    """Under PGD the bare model has the first picture only, TTC the first two; the last was wrong before."""
    found = cell(FOUND, "ttc", "pgd@4")
    assert found.counts == {"saved": 1, "harmed": 0, "lost": 1, "kept": 1, "never": 1}
    assert {kind: rows.tolist() for kind, rows in found.indices.items()} == {
        "saved": [1], "harmed": [], "lost": [2],
    }  # fmt: skip
    assert cell(FOUND, "ttc", "clean").indices["harmed"].tolist() == [2]


def test_the_counts_of_a_cell_are_those_of_its_pairs():
    """What stands in the table of differences as gained and lost."""
    summary = Summary(FOUND)
    for one in cells(summary):
        if one.defense != "none":
            beside = summary.compared.loc[(one.dataset, one.defense, one.attack, "none")]
            assert (one.counts["saved"], one.counts["harmed"]) == (beside["gained"], beside["lost"])
            assert sum(one.counts.values()) == beside["pictures"]


def test_a_picture_is_told_in_words_as_far_as_its_records_go():
    (named,) = pictures(cell(FOUND, "ttc", "pgd@4"), "saved", 9, Summary(FOUND), SETTINGS)
    assert (named.index, named.file, named.label) == (1, "banded_0002.jpg", "blotchy")
    assert (named.without, named.with_, named.link) == ("banded <b>", "blotchy", "")
    (bare,) = pictures(cell(FOUND, "ttc", "pgd@4"), "saved", 9, Summary(FOUND), {"fixed": FIXED})
    assert (bare.file, bare.label, bare.without) == ("", "class 1", "class 0")


@pytest.mark.parametrize(
    "attack, changes", [("clean", {"control": True}), ("cw@2x5", {"steps": 5, "eps": 2.0})]
)
def test_a_link_makes_the_attack_and_the_defence_on_an_example_photograph_again(attack, changes):
    answers = {("Examples", attack, key): [1, 1] for key in ("none", "ttc")}
    settings = {"fixed": FIXED, "classes": {"Examples": ["lion", "tabby cat"]}}
    scene = Scene.read(link_of(cell(records(answers), "ttc", attack), 1, settings))
    assert scene is not None and scene.picture == EXAMPLES[1].title and scene.labels == "lion\ntabby cat"
    wanted = {"defense": "ttc", "model": "vit-b-32", "seed": 7, "template": DATASETS["Examples"].template}
    assert {name: getattr(scene, name) for name in wanted | changes} == wanted | changes


def test_no_link_where_it_cannot_carry_the_picture_or_the_lab_has_no_such_run():
    answers = {
        (s, a, d): [1] * 4
        for s in ("Examples", "DTD")
        for a in ("pgd@4x9999", "pgd@4", "pgd@4+upto")
        for d in ("none", "ttc")
    }
    found = {(one.dataset, one.defense, one.attack): one for one in cells(Summary(records(answers)))}
    assert link_of(found["Examples", "ttc", "pgd@4"], 0, SETTINGS)
    assert not link_of(found["DTD", "ttc", "pgd@4"], 0, SETTINGS)
    assert not link_of(found["Examples", "ttc", "pgd@4x9999"], 0, SETTINGS)
    assert not link_of(found["Examples", "ttc", "pgd@4+upto"], 0, SETTINGS)  # it may have fallen before
    assert not link_of(found["Examples", "ttc", "pgd@4"], 10_000, SETTINGS)


@pytest.fixture(scope="module")
def written() -> str:
    examples = {("Examples", "pgd@4", "none"): [1, 0, 0, 0], ("Examples", "pgd@4", "ttc"): [1, 1, 0, 0]}
    return page_of(pd.concat([FOUND, records(examples)]), SETTINGS, LAB)


def test_every_cell_of_the_page_leads_to_its_pictures(written):
    targets, names = re.findall(r'href="#([^"]+)"', written), re.findall(r'\bid="([^"]+)"', written)
    assert set(map(unescape, targets)) <= set(map(unescape, names)) and len(names) == len(set(names))
    assert "1-ttc-worst@4" in targets and "1-ttc-pgd@4" in targets  # of DTD, the second in the table
    assert re.search(r'<a href="#1-ttc-pgd@4">50\.0</a><small>15\.0–85\.0</small>', written)


def test_the_page_is_one_file_and_fetches_nothing(written):
    """Its links alone lead elsewhere: to the demo, at the address that it was given."""
    assert not re.search(r"<link|<img|\bsrc=|@import|url\((?!#)|fetch\(", written)
    assert set(re.findall(r'"(https?://[^/"]+/)', written)) == {LAB} and f'"{LAB}?picture=' in written
    assert "prefers-color-scheme: dark" in written and "#010203" not in written


def test_what_people_called_their_classes_is_text(written):
    assert "banded &lt;b&gt;" in written and "banded <b>" not in written


def test_a_page_lists_no_more_pictures_than_a_phone_takes(monkeypatch):
    many = records({("DTD", "pgd@4", key): [right] * 50 for key, right in (("none", 0), ("ttc", 1))})
    text = page_of(many, SETTINGS, LAB)
    assert "saved: 50, the first 24 of them" in text and text.count("blotchy: banded") == 2 * 24
    monkeypatch.setattr(pages, "LISTED", 6)
    assert "saved: 50, the first 1 of them" in page_of(many, SETTINGS, LAB)


def test_charts_are_cut_where_each_data_set_lies():
    found = charts(Summary(FOUND), PAGE)
    assert set(found["robust"].datasets) == {"DTD", "EuroSAT"}
    group, boxes, legend = cut_up(found["robust"].figure, "chart-robust")
    (left, top, wide, high), (right, *_) = ([float(n) for n in box.split()] for box in boxes)
    assert left + wide <= right + 8 and 150 < wide < 300 and 150 < high < 300 and not legend
    assert group.startswith('<g id="chart-robust">') and "currentColor" in group
