"""Where models compute and how precisely: chosen once, here.

CLIP_DEVICE and CLIP_PRECISION choose otherwise. The precision is that of what goes on inside an image tower:
pixels, perturbations, features and logits are float32 in any case.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import torch

DEVICE_VARIABLE, PRECISION_VARIABLE = "CLIP_DEVICE", "CLIP_PRECISION"
DEVICES = ("cuda", "mps", "cpu")  # the first that is there
TF32 = "tf32"
# What the tower's own arithmetic is done in; None where in float32.
PRECISIONS = {"float32": None, TF32: None, "bf16": torch.bfloat16, "fp16": torch.float16}

# On a GPU, too, float32 is float32, and the same twice. For the whole process and before anything is
# computed, so that whoever computes beside others finds the same. Who asks for TF32 gets it, everywhere.
torch.backends.cudnn.allow_tf32 = os.environ.get(PRECISION_VARIABLE) == TF32
torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
torch.backends.cudnn.deterministic = True


class DeviceError(RuntimeError):
    """What is asked for is no device or precision here. The message is one sentence that says what to do."""


@dataclass(frozen=True)
class Hardware:
    """Where models compute, how precisely (of PRECISIONS), and why there."""

    device: torch.device
    precision: str
    why: str

    @property
    def autocast(self) -> torch.dtype | None:
        """What image towers compute in; None where in float32."""
        return PRECISIONS[self.precision]

    def __str__(self) -> str:
        return f"Models compute on {name_of(self.device)} in {self.precision}: {self.why}."


def is_here(kind: str) -> bool:
    """Whether this machine has such a device."""
    if kind == "cuda":
        return torch.cuda.is_available()
    return torch.backends.mps.is_available() if kind == "mps" else kind == "cpu"


def name_of(device: torch.device) -> str:
    """A device in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return "Apple’s GPU" if device.type == "mps" else "CPU"


def chosen(environment: Mapping[str, str] = os.environ) -> Hardware:
    """What the variables say, else the first device that is there, in float32. Raises DeviceError."""
    named, precision = environment.get(DEVICE_VARIABLE), environment.get(PRECISION_VARIABLE) or "float32"
    if precision not in PRECISIONS:
        raise DeviceError(f"{PRECISION_VARIABLE} is “{precision}”: set it to one of {', '.join(PRECISIONS)}.")
    kind = named or next(filter(is_here, DEVICES))
    base, _, number = kind.partition(":")
    count = torch.cuda.device_count() if base == "cuda" else 1
    if (
        base not in DEVICES
        or not is_here(base)
        or (":" in kind and (not number.isdecimal() or int(number) >= count))
    ):
        here = ", ".join(filter(is_here, DEVICES))
        raise DeviceError(f"{DEVICE_VARIABLE} is “{kind}”, which is not here: set it to one of {here}.")
    reasons = [f"{DEVICE_VARIABLE} says so" if named else _found(base)]
    if environment.get(PRECISION_VARIABLE):
        reasons.append(f"{PRECISION_VARIABLE} says how precisely")
    return Hardware(torch.device(kind), precision, ", and ".join(reasons))


def _found(kind: str) -> str:
    return "there is no GPU" if kind == "cpu" else "a GPU is there"
