"""Files of weights: what is refused, in which words, and a fine-tuned image tower of one's own."""

import argparse
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from demo_core import models, weights
from demo_core.benchmark.__main__ import main
from demo_core.benchmark.records import settings_of
from demo_core.models import CHECKPOINT, MODELS, ModelUnavailable, add_checkpoint, load
from demo_core.weights import WEIGHTS_VARIABLE, CutShort
from tests.hub import random_model, shrink, write

BASE = "vit-b-32"


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    shrink(monkeypatch)
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path))
    monkeypatch.setattr(models, "MODELS", MODELS.copy())


def tower(seed: int = 1, key: str = BASE) -> dict[str, torch.Tensor]:
    return random_model(MODELS[key], seed).visual.state_dict()


def in_folder(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "ViT-B-32-quickgelu.pt"
    path.write_bytes(content)
    return path


class Code:
    """A pickle that makes a file when it is opened as pickles are."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def with_code(tmp_path: Path, legacy: bool) -> bytes:
    path = tmp_path / "made.pth.tar"
    state = {"vision_encoder_state_dict": tower(), "best": Code(tmp_path / "ran")}
    torch.save(state, path, _use_new_zipfile_serialization=not legacy)
    return path.read_bytes()


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 605143316\n"
REFUSED = {
    "empty": (b"", "is empty: download it again."),
    "git-lfs": (POINTER, "is a pointer of git-lfs, not the weights: run `git lfs pull`."),
    "git-annex": (
        b"/annex/objects/MD5E-s5--0.pt\n",
        "is a pointer of git-annex.*: run `git annex get` on it.",
    ),
    "web page": (b"<!DOCTYPE html><html>404</html>", "is a web page, not the weights: download it again."),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(99), "is in the format of HDF5"),
    "text": (b"weights, honestly", "is in the format of another program, and no state dict"),
    "bare pickle": (pickle.dumps({"a": Code(Path("ran"))}), "could run code|cut short"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_state_dict_is_refused_in_a_sentence(kind, tmp_path):
    content, words = REFUSED[kind]
    path = in_folder(tmp_path, content)
    with pytest.raises(ModelUnavailable, match=words) as refused:
        load(BASE, "cpu")
    assert str(refused.value).startswith(str(path)) and "\n" not in str(refused.value)
    with pytest.raises(ModelUnavailable, match=words):
        add_checkpoint(path)


@pytest.mark.parametrize("end", ["safetensors", "pt", "legacy"])
@pytest.mark.parametrize("part", [0.02, 0.5, 0.999])
def test_half_a_file_is_told(end, part, tmp_path):
    whole = tmp_path / f"whole.{end}"
    if end == "legacy":
        torch.save(random_model(MODELS[BASE]).state_dict(), whole, _use_new_zipfile_serialization=False)
    else:
        write(random_model(MODELS[BASE]), whole)
    content = whole.read_bytes()
    with pytest.raises(CutShort, match="cut short or damaged: download it again.$"):
        weights.read(in_folder(tmp_path, content[: int(part * len(content))]))


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_with_code_in_it_is_refused_and_its_code_never_runs(legacy, tmp_path):
    path = in_folder(tmp_path, with_code(tmp_path, legacy))
    for attempt in (lambda: load(BASE, "cpu"), lambda: add_checkpoint(path)):
        with pytest.raises(
            ModelUnavailable, match="was not opened, as it could run code: save its state dict"
        ):
            attempt()
    assert not (tmp_path / "ran").exists()


@pytest.mark.filterwarnings("ignore")  # torch has done with scripts
def test_a_program_is_no_checkpoint(tmp_path):
    path = tmp_path / "mine.pt"
    torch.jit.script(torch.nn.Linear(2, 2)).save(path)
    with pytest.raises(ModelUnavailable, match="is a TorchScript program, and was not opened"):
        add_checkpoint(path)


def test_other_weights_are_told_by_their_shapes(tmp_path):
    write(random_model(MODELS["vit-b-16"]), tmp_path / "ViT-B-32.safetensors")
    with pytest.raises(ModelUnavailable, match="another architecture.*visual.* is .*×.* instead of"):
        load(BASE, "cpu")
    save_file(tower(), tmp_path / "ViT-B-32-quickgelu.safetensors")
    with pytest.raises(ModelUnavailable, match="has no text tower.*give it by --checkpoint.$"):
        load(BASE, "cpu")
    save_file({"vision_model.embeddings.a": torch.zeros(2)}, tmp_path / "ViT-B-32-quickgelu.safetensors")
    with pytest.raises(ModelUnavailable, match="format of the package transformers"):
        load(BASE, "cpu")


def test_a_link_to_nowhere_is_told(tmp_path):
    (tmp_path / "ViT-B-32-quickgelu.pt").symlink_to("../.git/annex/objects/aa/bb/MD5E")
    with pytest.raises(
        ModelUnavailable, match="points to a file that is not here: run `git annex get` on it"
    ):
        load(BASE, "cpu")


def released(state: dict) -> dict:
    """A file as the released fine-tuned models come: a prompt's state, numbers of NumPy's, an optimizer's."""
    return {
        "epoch": 10,
        "state_dict": OrderedDict(),
        "add_prompter": OrderedDict(),
        "vision_encoder_state_dict": state,
        "best_acc1": np.float64(45.6),
        "optimizer": torch.optim.SGD([torch.nn.Parameter(torch.zeros(2))], 0.1, momentum=0.9).state_dict(),
    }


FORMS = {
    "released.pth.tar": released,
    "released-module.pth.tar": lambda t: released({f"module.{n}": v for n, v in t.items()}),
    "tower.pt": lambda t: t,
    "tower.safetensors": lambda t: t,
    "visual.pt": lambda t: {f"visual.{n}": v.half() for n, v in t.items()},
    "wrapped.pt": lambda t: {"state_dict": {f"module.visual.{n}": v for n, v in t.items()}},
    "whole.safetensors": lambda t: (
        random_model(MODELS[BASE], 5).state_dict() | {f"visual.{n}": v for n, v in t.items()}
    ),
}


@pytest.mark.parametrize("core", ["core", "_core"])
def test_numbers_of_an_older_and_a_newer_numpy_are_read(core, tmp_path):
    """What NumPy calls the maker of its numbers depends on who wrote the file."""
    torch.save(released(tower()), tmp_path / "new.pth.tar", _use_new_zipfile_serialization=False)
    content = (tmp_path / "new.pth.tar").read_bytes()
    assert b"core.multiarray\nscalar" in content
    for name in (b"core", b"_core"):
        content = content.replace(
            b"cnumpy." + name + b".multiarray\n", f"cnumpy.{core}.multiarray\n".encode()
        )
    (tmp_path / "written.pth.tar").write_bytes(content)
    assert {*weights.read(tmp_path / "written.pth.tar")} == {*tower()}


@pytest.mark.parametrize("name", FORMS)
def test_a_checkpoint_replaces_the_image_tower_alone(name, tmp_path):
    write(random_model(MODELS[BASE]), tmp_path / "ViT-B-32-quickgelu.safetensors")
    path, state = tmp_path / name, FORMS[name](tower())
    if name.endswith(".safetensors"):
        save_file({n: v.contiguous() for n, v in state.items()}, path)
    else:
        torch.save(state, path)
    assert add_checkpoint(path) == CHECKPOINT
    row = models.MODELS[CHECKPOINT]
    assert row.title == f"A checkpoint of your own: {name}" and row.original == BASE
    clip, original = load(CHECKPOINT, "cpu"), load(BASE, "cpu")
    tuned = random_model(MODELS[BASE], 1)
    pixels, labels = torch.rand(1, 3, 224, 224), ("cat", "dog")
    with torch.no_grad():
        want = tuned.encode_image((pixels - clip.mean) / clip.std)
        torch.testing.assert_close(clip.encode(pixels), want, rtol=2e-2, atol=2e-2)
        torch.testing.assert_close(clip.probe(pixels), original.encode(pixels))
    assert torch.equal(clip.text_features(labels, row.template), original.text_features(labels, row.template))
    assert not torch.allclose(clip.encode(pixels), original.encode(pixels), atol=0.1)


def test_a_checkpoint_says_by_its_shapes_which_model_it_is_of(tmp_path):
    for key in ("vit-b-16", "vit-l-14-336", "rn50"):
        save_file(tower(key=key), tmp_path / "mine.safetensors")
        add_checkpoint(tmp_path / "mine.safetensors")
        assert models.MODELS[CHECKPOINT].original == key
    save_file(tower(), tmp_path / "mine.safetensors")
    add_checkpoint(tmp_path / "mine.safetensors", "vit-b-32-laion")
    assert models.MODELS[CHECKPOINT].original == "vit-b-32-laion"
    with pytest.raises(
        ModelUnavailable, match="not fine-tuned from OpenAI CLIP RN50 .*: name another model.$"
    ):
        add_checkpoint(tmp_path / "mine.safetensors", "rn50")
    with pytest.raises(ModelUnavailable, match="No checkpoint is of “photo”: choose one of vit-b-32"):
        add_checkpoint(tmp_path / "mine.safetensors", "photo")
    save_file({"conv1.weight": torch.zeros(2, 3, 4, 4)}, tmp_path / "mine.safetensors")
    with pytest.raises(
        ModelUnavailable, match="of no model of the table: take one .* one of vit-b-32, vit-b-16"
    ):
        add_checkpoint(tmp_path / "mine.safetensors")


def command(*given: str) -> str:
    """What the benchmark's command line says at its end."""
    with pytest.raises(SystemExit) as ended:
        main([*given, "--datasets", "Examples", "--limit", "1", "--attacks", "clean", "--defenses", "none"])
    return str(ended.value)


def test_the_command_line_takes_a_checkpoint(tmp_path, monkeypatch, capsys):
    write(random_model(MODELS[BASE]), tmp_path / "ViT-B-32-quickgelu.safetensors")
    mine = tmp_path / "mine.safetensors"
    save_file(tower(), mine)
    given = ["--data", str(tmp_path), "--datasets", "Examples", "--limit", "2", "--attacks", "clean"]
    main([*given, "--defenses", "ttc", "--out", str(tmp_path / "runs"), "--checkpoint", str(mine)])
    settings = settings_of(tmp_path / "runs")["fixed"]
    assert settings["model"] == CHECKPOINT and "TTC" in capsys.readouterr().out
    mine.write_bytes(b"")
    assert command("--data", str(tmp_path), "--checkpoint", str(mine)).endswith(
        "is empty: download it again."
    )
    monkeypatch.setenv(models.CHECKPOINT_VARIABLE, str(mine))
    assert command("--data", str(tmp_path)).endswith("is empty: download it again.")


def test_every_command_reads_options_and_environment_in_one_way(tmp_path, monkeypatch):
    def named(*given: str) -> str | None:
        models.add_model_options(options := argparse.ArgumentParser())
        return models.named_model(options.parse_args(given))

    with pytest.raises(ModelUnavailable, match="No checkpoint is named: say .* in CLIP_CHECKPOINT.$"):
        named("--model", CHECKPOINT)
    one, other = tmp_path / "one.safetensors", tmp_path / "other.safetensors"
    save_file(tower(), one)
    save_file(tower(), other)
    monkeypatch.setenv(models.CHECKPOINT_VARIABLE, str(one))
    assert named() is None and models.MODELS[CHECKPOINT].checkpoint == one  # there, and not yet chosen
    assert named("--model", "photo") == "photo" and named("--model", CHECKPOINT) == CHECKPOINT
    assert named("--checkpoint", str(other)) == CHECKPOINT and models.MODELS[CHECKPOINT].checkpoint == other
    named("--checkpoint", str(one), "--model", "vit-b-32-laion")
    assert models.MODELS[CHECKPOINT].original == "vit-b-32-laion"
