"""What each choice moves of a bare accuracy, on the same pictures."""

from functools import partial
from pathlib import Path

import pytest
import torch
from torchvision.transforms.v2.functional import to_pil_image

from demo_core.benchmark import departures
from demo_core.benchmark.departures import CLEANLY, Pictures, answered, moved, on_its_own_pixels
from demo_core.benchmark.run import Setup
from demo_core.benchmark.trials import Trial
from tests.test_layouts import CIFAR


@pytest.fixture
def recognised(tmp_path, clip, photographs) -> Path:
    """Four photographs of 32 pixels, in the folders of the classes that the model takes them for."""
    for number, photograph in enumerate(photographs):
        small = tmp_path / "all" / f"{number}.png"
        small.parent.mkdir(exist_ok=True)
        to_pil_image(photograph).resize((32, 32)).save(small)
    for name in CIFAR:  # all four in each, to find out
        (tmp_path / "asked" / "CIFAR10" / name).mkdir(parents=True)
        for number in range(4):
            (tmp_path / "asked" / "CIFAR10" / name / f"{number}.png").symlink_to(
                tmp_path / "all" / f"{number}.png"
            )
    asked = Pictures("CIFAR10", tmp_path / "asked", 40, Setup("photo", clip, tile=4))
    right = answered(asked.bench(), CLEANLY)[asked.pile().indices.argsort()].view(10, 4)
    for number, label in enumerate(right.int().argmax(0).tolist()):
        place = tmp_path / "data" / "CIFAR10" / CIFAR[label]
        place.mkdir(parents=True, exist_ok=True)
        (tmp_path / "all" / f"{number}.png").rename(place / f"{number}.png")
    return tmp_path / "data"


def test_small_pictures_are_attacked_on_their_own_pixels(recognised, clip):
    pictures = Pictures("CIFAR10", recognised, 4, Setup("photo", clip, tile=4))
    assert answered(pictures.bench(), CLEANLY).all() and on_its_own_pixels(pictures, CLEANLY).all()
    strong = Trial.read("pgd@16x3")
    assert not answered(pictures.bench(), strong).any() and not on_its_own_pixels(pictures, strong).all()


def test_the_table_has_a_row_a_choice(recognised, clip, monkeypatch, capsys):
    monkeypatch.setattr(departures, "load", lambda key: clip)
    monkeypatch.setattr(departures, "Setup", partial(Setup, tile=4))
    departures.main(["--data", str(recognised), "--datasets", "CIFAR10", "--limit", "4"])
    rows = [[cell.strip() for cell in line.split("|")[1:3]] for line in capsys.readouterr().out.splitlines()]
    assert rows[0][1] == "CIFAR10" and rows[2] == ["as in the paper’s code", "100.0"] and len(rows) == 10
    choices = ("--names clip", "--prompts clip", "both", "--resize clip", "--precision bf16")
    assert all(choice in title for choice, (title, _) in zip(choices, rows[3:]))
    monkeypatch.undo()
    with pytest.raises(SystemExit, match="DTD is not there"):
        departures.main(["--data", str(recognised), "--datasets", "DTD"])


def test_pictures_won_and_lost_are_counted():
    before, after = torch.tensor([True, True, False, False]), torch.tensor([True, False, True, True])
    assert moved(before, after) == "75.0 (+2 −1)"
