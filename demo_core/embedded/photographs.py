"""Photographs to train, calibrate and measure the embedded models with, read from archives into tensors.

An archive holds a folder a class somewhere in it (Tiny ImageNet's have one more, `images`, inside); a
`classes.txt` gives the official order of classes, else they stand in the alphabet's.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps

from demo_core.photo import IMAGE_SIZE

ENDINGS = {".jpg", ".jpeg", ".png"}
READERS = 8  # threads that decode


@dataclass(frozen=True)
class Photographs:
    """pictures uint8 [N,3,S,S]; labels [N], each an index of `classes`, the names of the folders."""

    pictures: torch.Tensor
    labels: torch.Tensor
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def some(self, rows: torch.Tensor | slice) -> Photographs:
        """Only these rows."""
        return Photographs(self.pictures[rows], self.labels[rows], self.classes)

    def batches(
        self, size: int, device: torch.device | str = "cpu"
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Pixels [B,3,S,S] in [0,1] and labels [B], in order."""
        for pictures, labels in zip(self.pictures.split(size), self.labels.split(size), strict=True):
            yield pictures.to(device).float() / 255, labels.to(device)


def square(picture: Image.Image, side: int) -> np.ndarray:
    """The centre square [3,side,side] uint8 of a picture, bicubic; a square picture is only resized."""
    return np.asarray(ImageOps.fit(picture.convert("RGB"), (side, side), Image.Resampling.BICUBIC)).transpose(
        2, 0, 1
    )


def class_of(path: PurePosixPath) -> str:
    """The folder that a picture's class is named by."""
    return path.parent.parent.name if path.parent.name == "images" else path.parent.name


def read_archive(path: Path, side: int = IMAGE_SIZE, limit: int | None = None, seed: int = 0) -> Photographs:
    """The photographs of a zip archive, or `limit` of them chosen by the seed. Raises FileNotFoundError or
    ValueError."""
    with zipfile.ZipFile(path) as archive:
        files = [PurePosixPath(name) for name in archive.namelist()]
        pictures = sorted(p for p in files if p.suffix.lower() in ENDINGS and not p.name.startswith("."))
        listed = next((str(p) for p in files if p.name == "classes.txt"), None)
        folders = sorted({class_of(p) for p in pictures})
        order = archive.read(listed).decode().splitlines() if listed else folders
        if not pictures or not set(folders) <= set(order):
            raise ValueError(f"{path} holds no folder a class with pictures in it: name another archive.")
        if limit is not None:
            chosen = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(seed))[:limit]
            pictures = [pictures[i] for i in sorted(chosen.tolist())]
        contents = [archive.read(str(p)) for p in pictures]

    def decoded(content: bytes) -> np.ndarray:
        with Image.open(io.BytesIO(content)) as picture:
            return square(picture, side)

    with ThreadPoolExecutor(READERS) as pool:
        stack = np.stack(list(pool.map(decoded, contents)))
    place = {name: i for i, name in enumerate(order)}
    return Photographs(
        torch.from_numpy(stack), torch.tensor([place[class_of(p)] for p in pictures]), tuple(order)
    )


def cut_out(
    pictures: torch.Tensor, side: int, generator: torch.Generator, smallest: float = 0.35
) -> torch.Tensor:
    """Random resized crops, half of them mirrored: uint8 [B,3,H,W] -> [B,3,side,side] in [0,1].

    smallest: the least share of the area that a crop keeps. generator: on the CPU.
    """
    n = len(pictures)

    def drawn(low: float, high: float) -> torch.Tensor:
        return torch.empty(n).uniform_(low, high, generator=generator)

    area, ratio = drawn(smallest, 1.0), drawn(-0.25, 0.25).exp()
    width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = torch.where(drawn(0, 1) < 0.5, -width, width), height
    theta[:, 0, 2], theta[:, 1, 2] = drawn(-1, 1) * (1 - width), drawn(-1, 1) * (1 - height)
    grid = F.affine_grid(theta, [n, 3, side, side], align_corners=False).to(pictures.device)
    pixels = F.grid_sample(
        pictures.float() / 255, grid, mode="bicubic", padding_mode="reflection", align_corners=False
    )
    return pixels.clamp(0, 1)


def together(piles: Sequence[Photographs]) -> torch.Tensor:
    """The pictures of several piles of one size, uint8 [N,3,S,S]."""
    return torch.cat([pile.pictures for pile in piles])
