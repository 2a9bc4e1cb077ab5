"""Tiny ImageNet as tensors: every picture decoded once into one uint8 tensor, and augmented a whole batch at a time."""
from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from tqdm import tqdm

SIDE = 64


def list_split(data_dir: Path, split: str, wnids: list[str]) -> tuple[list[Path], list[int]]:
    """Paths and class indices of 'train' (500 a class) or 'val' (50 a class), in a fixed order."""
    index = {w: i for i, w in enumerate(wnids)}
    if split == "train":
        pairs = [(p, index[w]) for w in wnids for p in sorted((data_dir / "train" / w).rglob("*.JPEG"))]
    elif split == "val":
        rows = (data_dir / "val" / "val_annotations.txt").read_text().strip().splitlines()
        pairs = [(data_dir / "val" / "images" / r.split("\t")[0], index[r.split("\t")[1]]) for r in rows]
    else:
        raise ValueError(f"There is no split {split!r}: choose 'train' or 'val'.")
    if not pairs:
        raise FileNotFoundError(f"No pictures of the split {split!r} under {data_dir}: unzip all six archives there.")
    paths, labels = zip(*pairs)
    return list(paths), list(labels)


def load_split(data_dir: Path, split: str, wnids: list[str], cache: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """The pictures [N,3,64,64] uint8 and their class indices [N]; decoded once, then read from the folder `cache`."""
    paths, labels = list_split(data_dir, split, wnids)
    stored = cache / f"{split}-{len(paths)}.npy"
    if not stored.exists():
        def decode(path: Path) -> np.ndarray:
            with Image.open(path) as picture:
                return np.asarray(picture.convert("RGB")).transpose(2, 0, 1)

        pictures = np.empty((len(paths), 3, SIDE, SIDE), np.uint8)
        with ThreadPoolExecutor() as pool:
            for i, picture in enumerate(tqdm(pool.map(decode, paths), total=len(paths), desc=f"decoding {split}")):
                pictures[i] = picture
        cache.mkdir(parents=True, exist_ok=True)
        partial = stored.with_suffix(".part.npy")
        np.save(partial, pictures)
        partial.rename(stored)
    return torch.from_numpy(np.load(stored)), torch.tensor(labels)


def augment(pictures: torch.Tensor, side: int, generator: torch.Generator, mild: bool = False) -> torch.Tensor:
    """Random resized crop, flip and colour for a whole batch: uint8 [B,3,64,64] -> float [B,3,side,side] in [0,1].

    mild: crops and colours close to what the encoder will meet in use, for the last epochs (things look larger in
    strong crops than they are in whole pictures: Touvron et al., *Fixing the train-test resolution discrepancy*, 2019).

    No noise is added: noise-like augmentation would teach the encoder to ignore exactly what the stability signal
    of the counterattack probes.
    """
    device, n = pictures.device, len(pictures)

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return torch.empty(n, *shape, device=device).uniform_(low, high, generator=generator)

    area, ratio = uniform(0.75 if mild else 0.35, 1.0), uniform(-0.25, 0.25).exp()
    width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    flip = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    theta = torch.zeros(n, 2, 3, device=device)
    theta[:, 0, 0], theta[:, 1, 1] = width * flip, height
    theta[:, 0, 2], theta[:, 1, 2] = uniform(-1, 1) * (1 - width), uniform(-1, 1) * (1 - height)
    grid = F.affine_grid(theta, [n, 3, side, side], align_corners=False)
    x = F.grid_sample(pictures.float() / 255, grid, mode="bilinear", padding_mode="reflection", align_corners=False)

    range_ = 0.15 if mild else 0.3
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * uniform(1 - range_ * 4 / 3, 1 + range_ * 4 / 3, 1, 1, 1)  # saturation
    middle = x.mean((1, 2, 3), keepdim=True)
    brightness, contrast = (uniform(1 - range_, 1 + range_, 1, 1, 1) for _ in range(2))
    x = middle * brightness + (x - middle) * contrast
    return x.clamp(0, 1)
