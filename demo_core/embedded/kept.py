"""Tensors that take long to make, kept in a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

Kept = TypeVar("Kept")


def kept_in(path: Path, make: Callable[[], Kept], source: Path | None = None) -> Kept:
    """What `make` makes, tensors or plain values, from the file where it was kept; made anew where there is
    none, or where `source`, the file that it is made from, is newer. A kill leaves no half of one."""
    if path.exists() and (source is None or path.stat().st_mtime >= source.stat().st_mtime):
        return torch.load(path, weights_only=True)
    made = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    torch.save(made, partial)
    partial.rename(path)
    return made
