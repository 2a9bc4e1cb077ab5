"""Where models compute, and how precisely."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from demo_core import device
from demo_core.attacks import pgd
from demo_core.device import DEVICES, DeviceError, chosen
from demo_core.models import load

ROOT = Path(__file__).parents[1]


@pytest.fixture
def here(monkeypatch):
    """Make only these devices be there."""

    def only(*kinds: str) -> None:
        monkeypatch.setattr(device, "is_here", lambda kind: kind in (*kinds, "cpu"))
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2 * ("cuda" in kinds))
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "NVIDIA X")

    return only


def test_the_fastest_that_is_there_is_chosen_and_said(here):
    for kinds, best, words in (
        ((), "cpu", "Models compute on CPU in float32: there is no GPU."),
        (("mps",), "mps", "Models compute on Apple’s GPU in float32: a GPU is there."),
        (DEVICES, "cuda", "Models compute on NVIDIA X in float32: a GPU is there."),
    ):
        here(*kinds)
        assert chosen({}).device.type == best and str(chosen({})) == words


def test_the_variables_choose_otherwise(here):
    here("cuda")
    place = chosen({"CLIP_DEVICE": "cuda:1", "CLIP_PRECISION": "bf16"})
    assert place.device == torch.device("cuda:1") and place.autocast == torch.bfloat16
    assert str(place).endswith("in bf16: CLIP_DEVICE says so, and CLIP_PRECISION says how precisely.")
    assert chosen({"CLIP_DEVICE": "cpu", "CLIP_PRECISION": ""}).autocast is None


@pytest.mark.parametrize("named", ["mps", "cuda:2", "cuda:x", "tpu"])
def test_what_is_not_here_is_said_in_one_sentence(here, named):
    here("cuda")
    with pytest.raises(DeviceError, match=f"CLIP_DEVICE is “{named}”.*set it to one of cuda, cpu.$"):
        chosen({"CLIP_DEVICE": named})
    with pytest.raises(
        DeviceError, match="CLIP_PRECISION is “fp8”: set it to one of float32, tf32, bf16, fp16."
    ):
        chosen({"CLIP_PRECISION": "fp8"})


def test_only_the_tower_computes_in_less_than_float32(clip, twin, photographs, monkeypatch):
    labels, seen = ("cat", "dog", "lion"), []
    classify, inner = clip.classifier(labels, "a {}"), clip.model.encode_image
    monkeypatch.setattr(clip.model, "encode_image", lambda x: (seen.append(inner(x)), seen[-1])[1])
    exact = classify(photographs).detach()
    try:
        clip.computing_in(torch.bfloat16)
        logits = classify(photographs)
        assert seen[0].dtype == torch.float32 and seen[1].dtype == torch.bfloat16
        assert logits.dtype == torch.float32 and not torch.equal(logits, exact)
        torch.testing.assert_close(logits, exact, rtol=0.1, atol=1.0)
        steps = pgd(classify, photographs, exact.argmax(1), eps=4 / 255, step_size=1 / 255, steps=2)
        for step in steps:
            assert step.delta.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
        assert step.delta.abs().max() <= 4 / 255 + 1e-6
    finally:
        clip.computing_in(None)
    assert twin.computing_in(torch.bfloat16).original.autocast == torch.bfloat16
    twin.computing_in(None)


def test_a_device_that_is_named_computes_in_float32(monkeypatch):
    monkeypatch.setenv("CLIP_PRECISION", "bf16")
    monkeypatch.setenv("CLIP_DEVICE", "cpu")
    assert load("photo").autocast == torch.bfloat16 and load("photo", "cpu").autocast is None


def test_tf32_is_off_unless_asked_for():
    flags = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    assert flags == (False, False) and torch.backends.cudnn.deterministic
    code = (
        "import torch, demo_core.device; b = torch.backends;"
        "print(b.cudnn.allow_tf32, b.cuda.matmul.allow_tf32, b.cudnn.deterministic)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": "/tmp", "CLIP_PRECISION": "tf32"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.split() == ["True"] * 3
