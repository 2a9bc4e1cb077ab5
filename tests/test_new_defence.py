"""One file and one row add a defence: it can at once be watched, raced, measured and attacked."""

import importlib.util

import pytest
import torch

from demo_core import story
from demo_core.ascent import Budget
from demo_core.attacks import ATTACKS
from demo_core.benchmark.piles import held
from demo_core.benchmark.run import Bench, Plan, Setup, open_records, run
from demo_core.benchmark.trials import Trial
from demo_core.defenses import DEFENSES, Defense
from demo_core.examples import EXAMPLES
from demo_core.labels import PRESETS
from demo_core.models import profile_of
from demo_core.pictures import open_picture, to_photo
from demo_core.story.scenes import Scene, scene_of
from demo_core.story.settings import choose, read_settings

FILE = '''
"""Greyer: one step towards a grey picture."""

import torch

from demo_core.moments import Defended, Measured, Moved


def greyer(clip, pixels, text, dice=None, config=None):
    rows = torch.ones(len(pixels), dtype=torch.bool)
    yield Measured("contrast", pixels.detach().flatten(1).std(1), rows.float())
    delta = (0.5 - pixels.detach()).clamp(-4 / 255, 4 / 255)
    yield Moved(rows, delta)
    return Defended(pixels + delta, clip.logits(clip.encode(pixels + delta), text))
'''
LABELS = "\n".join(PRESETS["Animals"])


@pytest.fixture
def row(monkeypatch, tmp_path):
    path = tmp_path / "greyer.py"
    path.write_text(FILE)
    spec = importlib.util.spec_from_file_location("greyer", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    budget = Budget(eps=4 / 255, step_size=4 / 255, steps=1)
    row = Defense("Greyer", module.greyer, "Moves every pixel towards grey.", config=lambda profile: budget)
    monkeypatch.setitem(DEFENSES, "greyer", row)
    return row


@pytest.fixture
def begun(row, clip):
    photo = to_photo(open_picture(EXAMPLES[1].path))
    settings = read_settings(choose(labels=LABELS, steps=2, defense="greyer"))
    return story.begin(clip, photo, settings, profile_of("photo"))


def test_watched(begun, clip):
    *_, run = story.whole(clip, begun)
    assert run.reading.signal == "contrast" and run.engaged and len(run.defence) == 1
    assert run.final.delta.abs().max() <= 4 / 255 + 1e-6


def test_chosen_by_its_key(row):
    scene = scene_of("cat", defense="greyer")
    assert Scene.read(scene.query()) == scene


def test_raced(begun, clip):
    *_, attacked = story.attack(clip, begun)
    *_, bouts = story.arena(clip, attacked)
    assert bouts[-1].key == "greyer" and (bouts[-1].forward, bouts[-1].backward) == (1, 0)


def test_measured_and_attacked(row, clip, photographs, tmp_path):
    pile = held((photographs[:2] * 255).byte(), torch.tensor([0, 1]), PRESETS["Animals"][:3])
    setup = Setup("photo", clip, tile=2)
    plan = Plan([Trial.read("clean"), Trial.read("pgd@4x1+adaptive")], ["greyer"], 2)
    records = open_records(tmp_path / "records", setup, {"mine": pile}, plan)
    found = [new for new in run(setup.bench(pile), "mine", records, plan, quiet=True)]
    assert [len(new) for new in found] == [2, 2] and {d for new in found for d in new["defense"]} == {
        "greyer"
    }
    bench = Bench(clip, pile, profile=profile_of("photo"))
    batch = pile.load(torch.tensor([0]))
    known = bench.attacked(Trial.read("pgd@4x2+adaptive"), batch, "greyer")
    assert (known - bench.attacked(Trial.read("clean"), batch)).abs().max() <= 4 / 255 + 1e-6
    assert ATTACKS["pgd"].adaptable
