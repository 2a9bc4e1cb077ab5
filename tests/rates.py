"""How many pictures a second image towers take where models compute, and what share of the rate of this
machine's matrix products in the same arithmetic that is; printed by `python -m tests.speed --parts rates`."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from demo_core.clip import ZeroShotCLIP, in_tiles
from demo_core.device import chosen

SIDE = {"cuda": 8192, "mps": 4096, "cpu": 1024}  # of the matrices, which fill the machine
HEAD = """
| model | arithmetic | pictures at once | forward, a second | and back, a second | of the matrix rate |
|---|---|---|---|---|---|"""


@dataclass(frozen=True)
class Arithmetic:
    """What a tower computes in. lower: in bfloat16; tf32: the GPU's shorter multiplications."""

    title: str
    lower: bool = False
    tf32: bool = False
    channels_last: bool = False
    compiled: bool = False


WAYS = (
    Arithmetic("float32"),
    Arithmetic("float32, channels last", channels_last=True),
    Arithmetic("float32, compiled", compiled=True),
    Arithmetic("TF32", tf32=True),
    Arithmetic("bfloat16", lower=True),
    Arithmetic("bfloat16, channels last", lower=True, channels_last=True),
)


@contextmanager
def tf32(wanted: bool) -> Iterator[None]:
    flags = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [flag.allow_tf32 for flag in flags]
    for flag in flags:
        flag.allow_tf32 = wanted
    try:
        yield
    finally:
        for flag, was in zip(flags, before, strict=True):
            flag.allow_tf32 = was


def seconds(work: Callable[[], object], device: torch.device, rounds: int) -> float:
    """The median time of one, when it is warm and the device has ended."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    found = []
    for _ in range(rounds + 2):
        wait()
        then = time.perf_counter()
        work()
        wait()
        found.append(time.perf_counter() - then)
    return statistics.median(found[2:])


def matrix_rate(device: torch.device, way: Arithmetic, rounds: int) -> float:
    """Floating-point operations a second of one large product of random matrices."""
    side = SIDE[device.type]
    kind = torch.bfloat16 if way.lower else torch.float32
    one, two = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
    with tf32(way.tf32):
        return 2 * side**3 / seconds(lambda: one @ two, device, rounds)


def operations(work: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def changed(clip: ZeroShotCLIP, way: Arithmetic) -> ZeroShotCLIP:
    """Another one that computes so, but for its number format."""
    model = copy.deepcopy(clip.model)
    if way.channels_last:
        model = model.to(memory_format=torch.channels_last)
    if way.compiled:
        model.encode_image = torch.compile(model.encode_image)
    return ZeroShotCLIP(model, clip.tokenizer, clip.mean.flatten().tolist(), clip.std.flatten().tolist())


def rows(title: str, clip: ZeroShotCLIP, pictures: int, rounds: int) -> Iterator[str]:
    """A line for each arithmetic."""
    device = chosen().device
    pixels = torch.rand(pictures, 3, clip.image_size, clip.image_size, device=device)
    counted = clip.to(device)
    work = operations(lambda: both(counted, pixels))
    for way in (way for way in WAYS if device.type == "cuda" or not way.tf32):
        try:
            model = changed(clip, way).to(device).computing_in(torch.bfloat16 if way.lower else None)
            shown = pixels.to(memory_format=torch.channels_last) if way.channels_last else pixels
            with tf32(way.tf32), in_tiles(None):
                forward = pictures / seconds(lambda m=model, x=shown: only(m, x), device, rounds)
                whole = seconds(lambda m=model, x=shown: both(m, x), device, rounds)
        except Exception as error:  # of compiling, where no compiler is here
            yield f"| {title} | {way.title} | not here: {str(error).splitlines()[0][:80]} |"
            continue
        share = work / whole / matrix_rate(device, way, rounds)
        paces = f"{forward:,.0f} | {pictures / whole:,.0f} | {share:.0%}"
        yield f"| {title} | {way.title} | {pictures} | {paces} |"


@torch.no_grad()
def only(clip: ZeroShotCLIP, pixels: torch.Tensor) -> torch.Tensor:
    return clip.encode(pixels)


def both(clip: ZeroShotCLIP, pixels: torch.Tensor) -> torch.Tensor:
    """A step of an attack: forward, and the gradient in the pixels."""
    leaf = pixels.detach().requires_grad_(True)
    return torch.autograd.grad(clip.encode(leaf).pow(2).sum(), leaf)[0]
