"""CLIP as everything here sees it: pixels [B,3,S,S] in [0,1] -> raw features [B,D] -> logits [B,K] over label
texts.

Normalisation and the text features live in here. MODELS is the table of what can be loaded; to add a model is
to add a row.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlparse

import huggingface_hub
import open_clip
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

from demo_core.defenses import Profile
from demo_core.drift import Study
from demo_core.fit import Fit
from demo_core.labels import LabelError
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
RECORDS_FILE = "records.csv.xz"


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
    open_clip_name: str | None = None
    pretrained: str | None = None
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


@dataclass
class Passes:
    """Passes through an image tower, counted in pictures."""

    forward: int = 0
    backward: int = 0

    def see(self, features: torch.Tensor) -> None:
        """Count the pass that made these features [B,D], and the one back when it comes."""
        self.forward += len(features)
        if features.requires_grad:
            features.register_hook(lambda gradient: setattr(self, "backward", self.backward + len(gradient)))


# How this thread computes, whichever model it uses. Others who use the same models meanwhile do not notice.
_counted: ContextVar[Passes | None] = ContextVar("counted", default=None)
_bf16: ContextVar[bool] = ContextVar("bf16", default=False)
_tile: ContextVar[int | None] = ContextVar("tile", default=None)


@contextmanager
def _meanwhile(variable: ContextVar, value):
    token = variable.set(value)
    try:
        yield value
    finally:
        variable.reset(token)


def count_passes() -> AbstractContextManager[Passes]:
    """Counts the passes through any image tower meanwhile."""
    return _meanwhile(_counted, Passes())


def in_bf16(on: bool = True) -> AbstractContextManager[bool]:
    """Image features in bfloat16 meanwhile, which doubles the speed on a CPU; all around them stays in
    float32."""
    return _meanwhile(_bf16, on)


def in_tiles(size: int | None) -> AbstractContextManager[int | None]:
    """Meanwhile models compute exactly so many pictures at a time, the last ones filled up with black:
    kernels always meet the same shapes, so that a picture's features have the same bits whatever batch it
    stands in."""
    return _meanwhile(_tile, size)


def _tiled(function: Callable[[torch.Tensor], torch.Tensor], batch: torch.Tensor) -> torch.Tensor:
    if (size := _tile.get()) is None:
        return function(batch)
    parts = []
    for part in batch.split(size):
        missing = size - len(part)
        filled = torch.cat([part, part.new_zeros(missing, *part.shape[1:])]) if missing else part
        parts.append(function(filled)[: len(part)])
    return torch.cat(parts)


class ZeroShotCLIP(nn.Module):
    """A frozen open_clip model in eval mode, with pixels in [0, 1] at its door.

    image_size: S, pixels a side. `device` follows the weights. original: the model this one was fine-tuned
    from; profile: how it is defended by default; fit: what tells whether any label fits, where it is
    calibrated for that.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Callable,
        mean: Sequence[float],
        std: Sequence[float],
        original: ZeroShotCLIP | None = None,
        profile: Profile = Profile(),
    ):
        super().__init__()
        self.original, self.profile, self.fit = original, profile, None
        self.model = model.float().eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.image_size = model.visual.image_size[0]
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self._text_features = lru_cache(maxsize=32)(self._encode_text)

    @property
    def device(self) -> torch.device:
        return self.mean.device

    def train(self, mode: bool = True) -> ZeroShotCLIP:
        """The model stays in eval mode: nothing here is ever trained."""
        return super().train(False)

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Raw image features [B,D] of pixels [B,3,S,S] in [0,1]; differentiable with respect to the
        pixels."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=_bf16.get()):
            features = _tiled(
                lambda part: self.model.encode_image((part - self.mean) / self.std), pixels
            ).float()
        if passes := _counted.get():
            passes.see(features)
        return features

    @property
    def probe(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """The encoder that the stability signals are measured with: the original's, or this model's own."""
        return self.original.encode if self.original else self.encode

    def text_features(self, labels: list[str] | tuple[str, ...], template: str) -> torch.Tensor:
        """Unit text features [K,D] of the template with each label in place of {}; computed once for each
        label set and template. Raises LabelError where the model reads two of them as the same, for instance
        cut off."""
        return self._text_features(tuple(labels), template, str(self.device))

    @torch.no_grad()
    def _encode_text(self, labels: tuple[str, ...], template: str, device: str) -> torch.Tensor:
        tokens = self.tokenizer([template.replace("{}", label) for label in labels])
        if len(tokens.unique(dim=0)) < len(
            set(labels)
        ):  # a data set may name two classes alike: ImageNet has two cranes
            raise LabelError(
                "The template, or a label, is too long for this model, and some labels read the same to it:"
                " shorten them."
            )
        batches = [self.model.encode_text(part) for part in tokens.to(device).split(256)]
        return F.normalize(torch.cat(batches).float(), dim=-1)

    def logits(self, features: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """Logits [B,K]: logit scale times the cosine of features [B,D] and unit text features [K,D]."""
        scale = self.model.logit_scale.exp()
        return _tiled(lambda rows: scale * F.normalize(rows, dim=-1) @ text.T, features)

    def classifier(
        self, labels: list[str] | tuple[str, ...], template: str
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        """A function from pixels [B,3,S,S] to logits [B,K] over these labels."""
        text = self.text_features(labels, template)
        return lambda pixels: self.logits(self.encode(pixels), text)


def load_embedded(key: str, image_size: int = IMAGE_SIZE) -> ZeroShotCLIP:
    """A model in the box. image_size: pixels a side; it was made for 224, and takes other multiples of 32
    with another accuracy. Raises ModelUnavailable where a file is missing or another."""
    original = MODELS[key].original and load_embedded(MODELS[key].original, image_size)
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
    return ZeroShotCLIP(model, tokenizer, MEAN, STD, original or None)


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
            f" {name}.safetensors into the folder named by {WEIGHTS_VARIABLE}; the embedded model works without."
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
    clip.profile, clip.fit = profile_of(key), fit_of(key)
    return clip.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
