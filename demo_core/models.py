"""MODELS: what can be loaded, how each loads, how it is defended by default, and what was studied of it.

To add a model is to add a row.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import torch
from safetensors.torch import load_file

from demo_core import weights
from demo_core.clip import ZeroShotCLIP
from demo_core.defenses import Profile
from demo_core.defenses.drift import Study
from demo_core.device import DeviceError, chosen
from demo_core.fit import Fit
from demo_core.labels import DEFAULT_TEMPLATE, LabelError
from demo_core.open_clips import HUB, ModelRow, load_checkpoint, load_open_clip, skeleton
from demo_core.photo import (
    IMAGE_SIZE,
    MEAN,
    STD,
    PhotoCLIP,
    Visual,
    WeightsMissing,
    locked_weights,
    read_projection,
)
from demo_core.texts import load_texts
from demo_core.weights import ModelUnavailable as ModelUnavailable

ASSETS = Path(__file__).resolve().parent.parent / "assets"
EMBEDDED = ASSETS / "embedded"  # what the models in the box share; each has a folder of its own in it
TOWER_FILE, PROFILE_FILE, STUDY_FILE, FIT_FILE = "image.safetensors", "profile.json", "study.json", "fit.json"
SHARED_FILE = "model.json"
RECORDS_FILE = "records.sqlite"
ATTACKERS_FILE = (
    "attackers.sqlite"  # records of attackers who know the defences, and of other sizes of attack
)
CACHE_VARIABLE = "CLIP_CACHE_DIR"
CHECKPOINT, CHECKPOINT_VARIABLE = "checkpoint", "CLIP_CHECKPOINT"  # a key of MODELS, and who names its file


def _openai(name: str, millions: float, open_clip_name: str, about: str = "") -> ModelRow:
    return ModelRow(
        f"OpenAI CLIP {name}",
        millions,
        open_clip_name=f"{open_clip_name}-quickgelu",
        pretrained="openai",
        about=about,
    )


def _robust(kind: str, eps: int, how: str) -> ModelRow:
    """A ViT-L/14 of Schlarmann et al. (ICML 2024), whose text tower is OpenAI's."""
    return ModelRow(
        f"{kind}, eps {eps}/255, ViT-L/14 (224 px)",
        427.6,
        original="vit-l-14",
        open_clip_name="ViT-L-14-quickgelu",
        pretrained=f"{HUB}chs20/{kind.lower()}{eps}-clip",
        about=f"OpenAI’s ViT-L/14 after adversarial fine-tuning of its image tower, {how}. Its signals are"
        " probed with the original, which is loaded too.",
    )


MODELS: dict[str, ModelRow] = {
    "photo": ModelRow(
        "Photo CLIP (224 px, in the box)",
        8.6,
        embedded=True,
        about="Knows photographs of thousands of things; a CLIP-form model over a locked"
        " EfficientNet-Lite0, not OpenAI’s CLIP. Answers at once on a CPU.",
        template=DEFAULT_TEMPLATE,
    ),
    "photo-fare": ModelRow(
        "Photo CLIP, adversarially fine-tuned (224 px, in the box)",
        8.6,
        embedded=True,
        original="photo",
        about="The same model after adversarial fine-tuning of its image tower (FARE, eps 1/255).",
        template=DEFAULT_TEMPLATE,
    ),
    "vit-b-32": _openai("ViT-B/32 (224 px)", 151.3, "ViT-B-32", "The paper’s main model."),
    "vit-b-16": _openai("ViT-B/16 (224 px)", 149.6, "ViT-B-16"),
    "vit-l-14": _openai("ViT-L/14 (224 px)", 427.6, "ViT-L-14", "Large: a GPU is advisable."),
    "vit-l-14-336": _openai("ViT-L/14 (336 px)", 427.9, "ViT-L-14-336", "The largest: a GPU is advisable."),
    "rn50": _openai("RN50 (224 px)", 102.0, "RN50", "Its image tower is a ResNet-50."),
    "vit-b-32-laion": ModelRow(
        "LAION CLIP ViT-B/32 (224 px)",
        151.3,
        open_clip_name="ViT-B-32",
        pretrained="laion2b_s34b_b79k",
        about="The same architecture, trained on two thousand million pictures of LAION-2B.",
    ),
    "vit-b-16-dfn": ModelRow(
        "DFN CLIP ViT-B/16 (224 px)",
        149.6,
        open_clip_name="ViT-B-16-quickgelu",
        pretrained="dfn2b",
        about="Apple’s, trained on pictures that a data filtering network chose.",
    ),
    "vit-b-16-siglip2": ModelRow(
        "SigLIP 2 ViT-B/16 (224 px)",
        375.2,
        open_clip_name="ViT-B-16-SigLIP2",
        pretrained="webli",
        multilingual=True,
        about="Google’s, trained with a sigmoid for each pair; its words are read with the package"
        " transformers.",
    ),
    "fare2-vit-l-14": _robust("FARE", 2, "without labels"),
    "fare4-vit-l-14": _robust("FARE", 4, "without labels"),
    "tecoa2-vit-l-14": _robust("TeCoA", 2, "with ImageNet’s labels"),
    "tecoa4-vit-l-14": _robust("TeCoA", 4, "with ImageNet’s labels"),
}
DEFAULT_MODEL = "photo"
# What every command that takes a model ends with, as its one sentence.
REFUSALS = (ModelUnavailable, DeviceError, LabelError)


def folder_of(key: str) -> Path:
    """Where a model's own files lie: profile, study and records, where it has them."""
    return EMBEDDED / key


def cache_of(key: str) -> Path:
    """Where a host keeps what was made of a model there: its study, its finished runs. It is a folder of the
    one that $CLIP_CACHE_DIR names, of the user's caches where it names none; a checkpoint's is that of its
    file as it is now."""
    named = os.environ.get(CACHE_VARIABLE)
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = Path(named) if named else caches / "clip-fights-back"
    file = MODELS[key].checkpoint
    if file is None:
        return home / key
    about = f"{file.resolve()} {file.stat().st_size} {file.stat().st_mtime_ns}"
    return home / f"{key}-{hashlib.sha256(about.encode()).hexdigest()[:12]}"


def keep_in_cache(key: str, name: str, content: bytes) -> Path:
    """Write a file of this name into a model's cache, in one moment, for a running page may be reading it.
    Says where. Raises ModelUnavailable where nothing can be written."""
    path = cache_of(key) / name
    coming = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        coming.write_bytes(content)
        coming.replace(path)
    except OSError as error:
        raise ModelUnavailable(
            f"Nothing can be kept in {path.parent}: name a folder that can be written in {CACHE_VARIABLE}."
        ) from error
    return path


def profile_of(key: str) -> Profile:
    """How a model is defended by default: calibrated where it is in the box, the paper's values otherwise."""
    path = folder_of(key) / PROFILE_FILE
    return Profile.read(path) if path.exists() else Profile()


def load_embedded(key: str, image_size: int = IMAGE_SIZE) -> ZeroShotCLIP:
    """A model in the box. image_size: pixels a side; it was made for 224, and takes other multiples of 32
    with another accuracy. Raises ModelUnavailable where a file is missing or another."""
    source = MODELS[key].original
    original = load_embedded(source, image_size) if source else None
    try:
        tensors = locked_weights()
        if original:
            tensors = tensors | {k: v.float() for k, v in load_file(folder_of(key) / TOWER_FILE).items()}
        shared = json.loads((EMBEDDED / SHARED_FILE).read_text(encoding="utf-8"))
        text, tokenizer = load_texts(EMBEDDED)
        model = PhotoCLIP(Visual(tensors, read_projection(EMBEDDED), image_size), text, shared["logit_scale"])
    except WeightsMissing as missing:
        raise ModelUnavailable(str(missing)) from missing
    except FileNotFoundError as missing:
        raise ModelUnavailable(
            f"{missing.filename or missing} is missing: clone the repository again, or make the model"
            " anew as its card says."
        ) from missing
    return ZeroShotCLIP(model, tokenizer, MEAN, STD, original)


# ---------------------------------------------------------------- a checkpoint of one's own


def add_checkpoint(path: str | Path, base: str | None = None) -> str:
    """Put a fine-tuned image tower into the table, and say by which key. base: the row that it was fine-tuned
    from; where it is not given, the first whose image tower has these shapes. Raises ModelUnavailable."""
    path = Path(path)
    bases = [key for key, row in MODELS.items() if row.open_clip_name and not row.original]
    if base is not None and base not in bases:
        raise ModelUnavailable(f"No checkpoint is of “{base}”: choose one of {', '.join(bases)}.")
    tower = weights.image_tower(weights.read(path))
    base = base or next((key for key in bases if not _unlike(key, tower)), None)
    if base is None:
        raise ModelUnavailable(
            f"{path} has the image tower of no model of the table: take one that was fine-tuned from one of"
            f" {', '.join(bases)}."
        )
    original = MODELS[base]
    if differs := _unlike(base, tower):
        raise ModelUnavailable(
            f"{path} was not fine-tuned from {original.title} ({differs}): name another model."
        )
    MODELS[CHECKPOINT] = replace(
        original,
        title=f"A checkpoint of your own: {path.name}",
        original=base,
        about=f"The image tower of {path.name}, and all else of {original.title}, which probes its signals.",
        checkpoint=path,
    )
    return CHECKPOINT


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """--model and --checkpoint, for `named_model`: the same for every command."""
    parser.add_argument(
        "--model",
        choices=list(dict.fromkeys((*MODELS, CHECKPOINT))),
        help=f"a model of the table, in which “{CHECKPOINT}” is the one that ${CHECKPOINT_VARIABLE} names;"
        " with --checkpoint, the one that was fine-tuned (default: the first that has its shapes)",
    )
    parser.add_argument(
        "--checkpoint",
        type=Path,
        help="a file with a fine-tuned image tower, to take in place of the model’s"
        f" (and of ${CHECKPOINT_VARIABLE}’s)",
    )


def named_model(given: argparse.Namespace) -> str | None:
    """The key of the model that these options name, None where they name none; a checkpoint that they or
    $CLIP_CHECKPOINT name is in the table from now on. Raises ModelUnavailable."""
    if given.checkpoint:
        return add_checkpoint(given.checkpoint, given.model)
    if host_s := os.environ.get(CHECKPOINT_VARIABLE):
        add_checkpoint(host_s)
    if given.model == CHECKPOINT and not host_s:
        raise ModelUnavailable(
            f"No checkpoint is named: say where its file lies by --checkpoint or in {CHECKPOINT_VARIABLE}."
        )
    model: str | None = given.model
    return model


def _unlike(key: str, tower: dict[str, torch.Tensor]) -> str:
    """How an image tower's tensors are not those of a row, in words; empty where they are."""
    return weights.difference(skeleton(MODELS[key]).get_submodule("visual"), tower)


def gigabytes(key: str) -> float:
    """What a model's parameters take in float32, with those of its original."""
    row = MODELS[key]
    return row.millions * 4 / 1000 + (gigabytes(row.original) if row.original else 0)


def surrogate_of(key: str) -> str:
    """The model that transfer attacks on this one are crafted on: another one in the box."""
    return next(other for other, row in MODELS.items() if row.embedded and other != key)


def study_of(key: str) -> Study | None:
    """The study of a model of the table, where one was made: on this host (`python -m demo_core.calibrate`),
    or that which comes with the model. The same object as long as its file is the same."""
    paths = (folder / STUDY_FILE for folder in (cache_of(key), folder_of(key)))
    path = next((path for path in paths if path.exists()), None)
    return _study_in(path, written(path)) if path else None


@lru_cache(maxsize=64)
def _study_in(path: Path, as_written: tuple[int, int]) -> Study:
    return Study.read(path)


def written(path: Path) -> tuple[int, int]:
    """By which a file that was read is told from one that was written anew."""
    found = path.stat()
    return found.st_mtime_ns, found.st_size


def keep_study(key: str, study: Study) -> Path:
    """Keep a study where `study_of` finds it from now on, also in a page that runs already, and say where.
    Raises ModelUnavailable where nothing can be written."""
    return keep_in_cache(key, STUDY_FILE, study.text().encode())


@lru_cache
def fit_of(key: str) -> Fit | None:
    """What tells whether any label fits a picture, where a model was calibrated for it."""
    path = folder_of(MODELS[key].original or key) / FIT_FILE
    return Fit.read(path) if path.exists() else None


def load(key: str = DEFAULT_MODEL, device: str | torch.device | None = None) -> ZeroShotCLIP:
    """A model of the table by its key, where and as precisely as `demo_core.device` chooses; on a device that
    is given, in float32. Raises KeyError, ModelUnavailable or DeviceError."""
    hardware = chosen() if device is None else None
    clip = _on_cpu(MODELS[key], key).to(hardware.device if hardware else device)
    return clip.computing_in(hardware.autocast) if hardware else clip


def _on_cpu(row: ModelRow, key: str) -> ZeroShotCLIP:
    if row.embedded:
        return load_embedded(key)
    original = _on_cpu(MODELS[row.original], row.original) if row.original else None
    if row.checkpoint and original:
        return load_checkpoint(row, original)
    clip = load_open_clip(row)
    clip.original = original
    return clip
