"""Every command takes the same models, and ends in one sentence where it cannot go on."""

import importlib
from types import SimpleNamespace

import pytest

from demo_core.benchmark.piles import DatasetUnavailable
from demo_core.labels import LabelError

OF_DATASETS = {
    "certify": ["--data", "nowhere", "--datasets", "CIFAR10"],
    "departures": ["--data", "nowhere", "--datasets", "CIFAR10"],
}
COMMANDS = {
    "benchmark.__main__": ["--datasets", "Examples", "--limit", "1"],
    "calibrate": ["--model", "photo"],
    "story.finished": [],
} | {f"benchmark.{name}": given for name, given in OF_DATASETS.items()}


@pytest.fixture(params=COMMANDS)
def command(request, monkeypatch, tmp_path):
    """A command: its module, and what ends it when it is given more arguments."""
    module = importlib.import_module(f"demo_core.{request.param}")
    usual = [*COMMANDS[request.param], *(["--out", str(tmp_path)] if "__main__" in request.param else [])]

    def ended(*more: str) -> str:
        monkeypatch.setattr("sys.argv", ["command", *usual, *more])
        with pytest.raises(SystemExit) as end:
            module.main()
        return str(end.value)

    return SimpleNamespace(module=module, ended=ended)


def test_a_device_that_is_not_here_is_said(command, monkeypatch):
    monkeypatch.setenv("CLIP_DEVICE", "abacus")
    assert command.ended().startswith("CLIP_DEVICE is “abacus”, which is not here: set it to one of")


def test_labels_that_a_model_cannot_read_are_said(command, monkeypatch):
    def load(*given):
        raise LabelError("The model reads nothing of “猫”.")

    monkeypatch.setattr(command.module, "load", load)
    assert command.ended() == "The model reads nothing of “猫”."


def test_a_checkpoint_is_taken_by_its_option_and_from_the_host(command, monkeypatch):
    assert "No checkpoint is named" in command.ended("--model", "checkpoint")
    assert "named.pt" in command.ended("--model", "vit-b-32", "--checkpoint", "named.pt")
    monkeypatch.setenv("CLIP_CHECKPOINT", "hosts.pt")
    assert "hosts.pt" in command.ended("--model", "checkpoint")


@pytest.mark.parametrize("name", OF_DATASETS)
def test_a_data_set_that_is_not_there_can_be_fetched(name, monkeypatch):
    module = importlib.import_module(f"demo_core.benchmark.{name}")
    with pytest.raises(SystemExit, match="CIFAR10 is not there.*, or add --download.$"):
        module.main(OF_DATASETS[name])
    fetched = []

    def pile_of(key, root, side, limit, seed, download, **ways):
        fetched.append((key, download))
        raise DatasetUnavailable("This was all.")

    monkeypatch.setattr(module, "pile_of", pile_of)
    with pytest.raises(SystemExit, match="This was all."):
        module.main([*OF_DATASETS[name], "--download"])
    assert fetched == [("CIFAR10", True)]
