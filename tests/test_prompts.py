"""By which names and prompts the classes are asked for: the paper's or CLIP's authors', and what is kept of
that."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from demo_core.benchmark import __main__ as cli
from demo_core.benchmark.datasets import DATASETS, PAPERS
from demo_core.benchmark.official import classes
from demo_core.benchmark.piles import WAYS, Ways, pile_of
from demo_core.benchmark.prompts import OF_ANYTHING, TEMPLATES, names_of, templates_of
from demo_core.benchmark.published import against_published
from demo_core.benchmark.records import read_records, settings_of
from demo_core.benchmark.report import heading
from demo_core.benchmark.run import Plan, Setup, open_records
from demo_core.benchmark.tables import table
from demo_core.benchmark.trials import BenchmarkError, Trial
from demo_core.models import RECORDS_FILE, folder_of
from demo_core.resizes import Resize
from tests.test_layouts import lay

CLIPS = Ways(names="clip", prompts="clip")
# How many prompts CLIP's authors published for each set, and the last of them.
PUBLISHED = {
    "CIFAR10": (18, "a photo of the big {}."),
    "CIFAR100": (18, "a photo of the big {}."),
    "STL10": (2, "a photo of the {}."),
    "ImageNet": (80, "a tattoo of the {}."),
    "Caltech101": (34, "a doodle of the {}."),
    "Caltech256": (80, "a tattoo of the {}."),
    "OxfordPets": (1, "a photo of a {}, a type of pet."),
    "Flowers102": (1, "a photo of a {}, a type of flower."),
    "FGVCAircraft": (2, "a photo of the {}, a type of aircraft."),
    "StanfordCars": (8, "a photo of my old {}."),
    "SUN397": (2, "a photo of the {}."),
    "Country211": (5, "a photo showing the country of {}."),
    "Food101": (1, "a photo of {}, a type of food."),
    "EuroSAT": (3, "a centered satellite photo of the {}."),
    "DTD": (8, "a photo of the {} object."),
    "PCAM": (1, "this is a photo of {}"),
}
# Of each kind of name that is another than the paper's, one.
NAMES = {
    "ImageNet": ("great white shark", "smooth newt"),
    "Caltech101": ("off-center face", "yin and yang symbol"),
    "EuroSAT": ("residential buildings or homes or apartments", "lake or sea"),
    "Country211": ("Aland Islands", "South Korea"),
    "PCAM": ("lymph node", "lymph node containing metastatic tumor tissue"),
}


def test_the_prompts_of_every_set_are_as_published():
    found = {key: (len(templates_of(key)), templates_of(key)[-1]) for key in PAPERS}
    assert found == PUBLISHED and templates_of("path/of/my/own") == OF_ANYTHING
    assert all(one.count("{}") == 1 for templates in TEMPLATES.values() for one in templates)
    assert "a photo of the small {}." in templates_of("CIFAR10")  # of two articles the last gives way
    assert "the origami {}." in templates_of("Caltech101")


@pytest.mark.parametrize("key", NAMES)
def test_the_names_are_as_published(key):
    papers = [DATASETS[key].named(row.folder) for row in classes(key)]
    theirs = names_of(key, papers)
    assert len(theirs) == len(papers) and set(NAMES[key]) <= set(theirs) and not {*NAMES[key]} <= {*papers}


def test_where_none_are_published_the_names_stay():
    assert names_of("Caltech256", ["a", "b"] * 128 + ["c"]) == ("a", "b") * 128 + ("c",)
    assert names_of("path/of/my/own", ["cat", "dog"]) == ("cat", "dog")


def test_a_pile_has_the_names_and_the_prompts_that_were_chosen():
    paper, clips = (pile_of("Examples", Path(), 64, limit=1, ways=ways) for ways in (Ways(), CLIPS))
    assert paper.template == DATASETS["Examples"].template and clips.template == OF_ANYTHING
    assert paper.description["words"] != clips.description["words"]


def test_labels_are_the_same_under_either_name(tmp_path):
    lay(tmp_path / "EuroSAT", ["AnnualCrop", "SeaLake"])
    for way, last in (("paper", "a sea or a lake"), ("clip", "lake or sea")):
        pile = pile_of("EuroSAT", tmp_path, 8, ways=Ways(names=way))
        assert sorted(pile.load(torch.arange(2)).labels.tolist()) == [0, 9] and pile.names[9] == last


@pytest.mark.parametrize(
    "ways, kept",
    [
        (Ways(Resize("clip", 1.0, "bicubic")), {"resize": "clip"}),
        (Ways(names="clip"), {"names": "clip"}),
        (Ways(prompts="clip"), {"prompts": "clip"}),
    ],
)
def test_records_keep_the_choice_and_are_not_mixed(tmp_path, clip, ways, kept):
    plan = Plan([Trial.read("clean")], ["none"], 1)

    def opened(ways: Ways) -> dict:
        pile = pile_of("Examples", Path(), clip.image_size, limit=1, ways=ways)
        open_records(tmp_path, Setup("photo", clip), {"Examples": pile}, plan)
        return settings_of(tmp_path)["fixed"]

    fixed = opened(ways)
    assert {way: fixed[way] for way in WAYS if way in fixed} == kept
    with pytest.raises(BenchmarkError, match="other settings"):
        opened(Ways())


def test_records_that_say_nothing_of_it_are_the_papers():
    place = folder_of("photo") / RECORDS_FILE
    settings = settings_of(place)
    assert Ways().departures == {} and not {*WAYS} & {*settings["fixed"]}
    assert "** Seed 0, everything in float32. " in heading(read_records(place), settings)


def test_the_command_the_report_and_the_comparison_say_so(tmp_path, clip, monkeypatch):
    monkeypatch.setattr(cli, "load", lambda key, device: clip)
    words = (
        "--datasets Examples --limit 2 --attacks clean --defenses none --names clip --prompts clip".split()
    )
    run = [*words, "--data", str(tmp_path), "--out", str(tmp_path / "out")]
    cli.main(run)
    found, settings = read_records(tmp_path / "out"), settings_of(tmp_path / "out")
    said = "everything in float32; classes have the names that CLIP’s authors published; prompts are those"
    assert said in heading(found, settings)
    theirs = settings["fixed"] | {"model": "vit-b-32"}
    why = reasons_beside(found, "DTD", theirs)
    assert "names that CLIP’s authors published" in why and "their features averaged" in why
    assert "synonyms" not in reasons_beside(found, "ImageNet", theirs)
    del theirs["names"]
    assert "first of ImageNet’s own synonyms" in reasons_beside(found, "ImageNet", theirs)


def reasons_beside(found: pd.DataFrame, dataset: str, fixed: dict) -> str:
    """Why these records, as ones of that data set, cannot be compared with what was printed of it."""
    beside = against_published(table(found.assign(dataset=dataset)), fixed)
    return "; ".join(beside["not alike, because"])
