"""MODELS: what can be loaded, how each loads, how it is defended by default, and what was studied of it.

To add a model is to add a row.
"""

from __future__ import annotations

import json
import os
import socket
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlparse

import huggingface_hub
import open_clip
import torch
from safetensors.torch import load_file

from demo_core.clip import ZeroShotCLIP
from demo_core.defenses import Profile
from demo_core.defenses.drift import Study
from demo_core.fit import Fit
from demo_core.photo import (
    IMAGE_SIZE,
    MEAN,
    STD,
    WEIGHTS_VARIABLE,
    PhotoCLIP,
    Visual,
    WeightsMissing,
    locked_weights,
    read_projection,
)
from demo_core.texts import load_texts

ASSETS = Path(__file__).resolve().parent.parent / "assets"
EMBEDDED = ASSETS / "embedded"  # what the models in the box share; each has a folder of its own in it
TOWER_FILE, PROFILE_FILE, STUDY_FILE, FIT_FILE = "image.safetensors", "profile.json", "study.json", "fit.json"
SHARED_FILE = "model.json"
RECORDS_FILE = "records.sqlite"


class ModelUnavailable(RuntimeError):
    """A model's weights cannot be had here. The message is one sentence that says what to do."""


@dataclass(frozen=True)
class ModelRow:
    """A row of the table: either a model in the box, or an open_clip name with its pretrained tag.

    embedded: it is in the box, its own files in the folder of its key under `assets/embedded`. original: the
    key of the model whose image tower this one was fine-tuned from; the original's encoder probes the
    stability signals (so does the paper's code for its fine-tuned CLIPs).
    """

    title: str
    embedded: bool = False
    original: str | None = None
    open_clip_name: str = ""
    pretrained: str = ""
    summary: str = ""


MODELS: dict[str, ModelRow] = {
    "photo": ModelRow(
        "Photo CLIP (224 px, in the box)",
        embedded=True,
        summary="Knows photographs of thousands of things; a CLIP-form model over a locked"
        " EfficientNet-Lite0, not OpenAI’s CLIP. Answers at once on a CPU.",
    ),
    "photo-fare": ModelRow(
        "Photo CLIP, adversarially fine-tuned (224 px, in the box)",
        embedded=True,
        original="photo",
        summary="The same model after adversarial fine-tuning of its image tower (FARE, eps 1/255).",
    ),
    "vit-b-32": ModelRow(
        "OpenAI CLIP ViT-B/32 (224 px)",
        open_clip_name="ViT-B-32-quickgelu",
        pretrained="openai",
        summary="The paper's main model. Downloaded from the Hugging Face Hub at first use (0.6 GB).",
    ),
    "vit-b-16": ModelRow(
        "OpenAI CLIP ViT-B/16 (224 px)",
        open_clip_name="ViT-B-16-quickgelu",
        pretrained="openai",
        summary="Downloaded from the Hugging Face Hub at first use (0.6 GB).",
    ),
    "vit-l-14": ModelRow(
        "OpenAI CLIP ViT-L/14 (224 px)",
        open_clip_name="ViT-L-14-quickgelu",
        pretrained="openai",
        summary="Large: a GPU is advisable. Downloaded from the Hugging Face Hub at first use (1.7 GB).",
    ),
}
DEFAULT_MODEL = "photo"


def folder_of(key: str) -> Path:
    """Where a model's own files lie: profile, study and records, where it has them."""
    return EMBEDDED / key


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
        weights = locked_weights()
        if original:
            weights = weights | {k: v.float() for k, v in load_file(folder_of(key) / TOWER_FILE).items()}
        shared = json.loads((EMBEDDED / SHARED_FILE).read_text())
        text, tokenizer = load_texts(EMBEDDED)
        model = PhotoCLIP(Visual(weights, read_projection(EMBEDDED), image_size), text, shared["logit_scale"])
    except WeightsMissing as missing:
        raise ModelUnavailable(str(missing)) from missing
    except FileNotFoundError as missing:
        raise ModelUnavailable(
            f"{missing.filename or missing} is missing: clone the repository again, or make the model"
            " anew as its card says."
        ) from missing
    return ZeroShotCLIP(model, tokenizer, MEAN, STD, original)


def _weights_on_disk(name: str, pretrained: str) -> str | None:
    """A file with these weights: from the folder in $CLIP_WEIGHTS_DIR, or from the hub's cache, as it was
    left there."""
    folder = os.environ.get(WEIGHTS_VARIABLE)
    for path in [Path(folder) / f"{name}{end}" for end in (".safetensors", ".pt")] if folder else []:
        if path.is_file():
            return str(path)
    repository = open_clip.get_pretrained_cfg(name, pretrained).get("hf_hub", "").strip("/")
    cached = (
        huggingface_hub.try_to_load_from_cache(repository, "open_clip_model.safetensors")
        if repository
        else None
    )
    return cached if isinstance(cached, str) else None


def _hub_has_an_address() -> bool:
    """Whether the hub's name resolves; without this, its client retries for most of a minute on a machine
    offline."""
    if any(os.environ.get(v) for v in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return True
    try:
        socket.getaddrinfo(urlparse(huggingface_hub.constants.ENDPOINT).hostname, 443)
    except OSError:
        return False
    return True


def load_open_clip(name: str, pretrained: str, title: str) -> ZeroShotCLIP:
    """A model of open_clip's. Weights come from disk where they are (the folder in $CLIP_WEIGHTS_DIR with
    `<open_clip name>.safetensors` or `.pt`, an open_clip state dict; or the hub's cache), else from the hub.

    Raises ModelUnavailable where they can be had from nowhere.
    """
    source = _weights_on_disk(name, pretrained)
    try:
        if source is None and not _hub_has_an_address():
            raise ConnectionError("the hub's name does not resolve")
        model = open_clip.create_model(name, pretrained=source or pretrained)
    except Exception as error:  # the hub's client and torch raise many kinds: no network, a file cut short
        if source:
            raise ModelUnavailable(
                f"The weights of {title} cannot be read from {source}: replace that file, or remove"
                " it to download them; the embedded model works without."
            ) from error
        raise ModelUnavailable(
            f"The weights of {title} could not be downloaded from the Hugging Face Hub: go online, or put"
            f" {name}.safetensors into the folder named by {WEIGHTS_VARIABLE}; the embedded model works"
            " without."
        ) from error
    preprocess = open_clip.get_model_preprocess_cfg(model)
    return ZeroShotCLIP(model, open_clip.get_tokenizer(name), preprocess["mean"], preprocess["std"])


def surrogate_of(key: str) -> str:
    """The model that transfer attacks on this one are crafted on: another one in the box."""
    return next(other for other, row in MODELS.items() if row.embedded and other != key)


@lru_cache
def study_of(key: str) -> Study | None:
    """The study of a model of the table, where one was made (`python -m demo_core.embedded.study`)."""
    path = folder_of(key) / STUDY_FILE
    return Study.read(path) if path.exists() else None


@lru_cache
def fit_of(key: str) -> Fit | None:
    """What tells whether any label fits a picture, where a model was calibrated for it."""
    path = folder_of(MODELS[key].original or key) / FIT_FILE
    return Fit.read(path) if path.exists() else None


def load(key: str = DEFAULT_MODEL, device: str | torch.device | None = None) -> ZeroShotCLIP:
    """A model of the table by its key, on a GPU where there is one. Raises KeyError or ModelUnavailable."""
    row = MODELS[key]
    clip = (
        load_embedded(key) if row.embedded else load_open_clip(row.open_clip_name, row.pretrained, row.title)
    )
    return clip.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
