"""CLIP as everything here sees it: pixels [B,3,S,S] in [0,1] -> raw features [B,D] -> logits [B,K] over label
texts.

Normalisation and the text features live in here.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Protocol, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import nn

from demo_core.labels import LabelError, shortened

Value = TypeVar("Value")
Template = str | tuple[str, ...]  # a prompt with {} for a label, or several, whose features are averaged


def templates_in(template: Template) -> tuple[str, ...]:
    """A prompt, or the several."""
    return (template,) if isinstance(template, str) else template


class _Visual(Protocol):
    image_size: int | tuple[int, int]


class _Model(Protocol):
    """What is used here of a model of open_clip's form; a SigLIP also has a logit_bias."""

    visual: _Visual
    logit_scale: torch.Tensor

    def encode_image(self, pixels: torch.Tensor, /) -> torch.Tensor: ...

    def encode_text(self, tokens: torch.Tensor, /) -> torch.Tensor: ...


@dataclass
class Passes:
    """Passes through an image tower, counted in pictures."""

    forward: int = 0
    backward: int = 0

    @property
    def total(self) -> int:
        """Both."""
        return self.forward + self.backward

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
def _meanwhile(variable: ContextVar[Any], value: Value) -> Iterator[Value]:
    token = variable.set(value)
    try:
        yield value
    finally:
        variable.reset(token)


@contextmanager
def count_passes(alone: bool = False) -> Iterator[Passes]:
    """Counts the passes through any image tower meanwhile; who counts around this counts them too, but where
    it is to be alone."""
    outer = None if alone else _counted.get()
    with _meanwhile(_counted, Passes()) as passes:
        yield passes
    if outer:
        outer.forward += passes.forward
        outer.backward += passes.backward


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


def any_words(text: str) -> bool:
    """Whether a model that learned from many languages reads anything of a text."""
    return bool(text.strip())


def has_latin(text: str) -> bool:
    """Whether a text has a Latin letter, accents aside, or a digit."""
    return any(sign.isascii() and sign.isalnum() for sign in unicodedata.normalize("NFKD", text))


def _side(size: int | tuple[int, int]) -> int:
    """Pixels a side of a model's square input, however it writes that."""
    height, width = (size, size) if isinstance(size, int) else size
    if height != width:
        raise ValueError(f"A model of square pictures is needed, not of {height} x {width} pixels.")
    return height


@torch.no_grad()
def _encode_text(
    model: _Model,
    tokenizer: Callable[[list[str]], torch.Tensor],
    reads: Callable[[str], bool],
    labels: tuple[str, ...],
    templates: tuple[str, ...],
    device: str,
) -> torch.Tensor:
    def of(template: str) -> torch.Tensor:
        tokens = tokenizer([template.replace("{}", label) for label in labels])
        _check_read(labels, tokens, int(tokenizer(["a"])[0, -1]), reads)
        batches = [model.encode_text(part) for part in tokens.to(device).split(256)]
        return F.normalize(torch.cat(batches).float(), dim=-1)

    first, *others = templates
    found = of(first)
    return F.normalize(sum(map(of, others), found), dim=-1) if others else found


def first_read_so(texts: Sequence[str], tokens: torch.Tensor) -> Iterator[tuple[str, str]]:
    """Each text [K] with the first one that a model reads as it reads this one, by their tokens [K,T]."""
    first: dict[tuple[int, ...], str] = {}
    for text, row in zip(texts, tokens.tolist()):
        yield text, first.setdefault(tuple(row), text)


def _check_read(
    labels: tuple[str, ...], tokens: torch.Tensor, padding: int, reads: Callable[[str], bool]
) -> None:
    """Raises LabelError where a model does not read one of the labels [K] to its end, or nothing of it, or
    two as the same, by their tokens [K,T]; padding: the token behind a short text."""
    if (cut := tokens[:, -1] != padding).any():
        label = labels[int(cut.int().argmax())]
        raise LabelError(
            f"“{shortened(label)}”, in its template, is longer than the {tokens.shape[1]} pieces of words"
            " that this model reads: shorten it."
        )
    if unread := next((label for label in labels if not reads(label)), None):
        raise LabelError(
            f"This model reads English, and nothing of “{shortened(unread)}”: write it in English words."
        )
    for label, other in first_read_so(labels, tokens):
        if other != label:  # a data set may name two classes alike: ImageNet has two cranes
            raise LabelError(
                f"“{shortened(other)}” and “{shortened(label)}” read the same to this model: keep one of"
                " them, or call them differently."
            )


class ZeroShotCLIP(nn.Module):
    """A frozen open_clip model in eval mode, with pixels in [0, 1] at its door.

    image_size: S, pixels a side. `device` follows the weights. original: the model this one was fine-tuned
    from. interpolation, squash: how the model's own preprocessing brings a picture to S, by which resampling
    and whether the whole picture, whatever its shape, instead of the centre square. autocast: what the image
    tower computes in, None for float32; all around it is float32 in any case. reads: whether it reads
    anything of a label, as most, which learned from English alone, do only of Latin letters and digits.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Callable[[list[str]], torch.Tensor],
        mean: Sequence[float],
        std: Sequence[float],
        original: ZeroShotCLIP | None = None,
        interpolation: str = "bicubic",
        squash: bool = False,
        reads: Callable[[str], bool] = has_latin,
    ):
        super().__init__()
        self.original = original
        self.interpolation, self.squash = interpolation, squash
        self.autocast: torch.dtype | None = None
        self.model = cast(_Model, model.float().eval().requires_grad_(False))
        self.tokenizer = tokenizer
        self.image_size = _side(self.model.visual.image_size)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        # Of the parts, not of self: a circle would keep a model that was let go in memory for a while.
        self._text_features = lru_cache(maxsize=32)(partial(_encode_text, self.model, tokenizer, reads))

    @property
    def device(self) -> torch.device:
        return self.mean.device

    def computing_in(self, autocast: torch.dtype | None) -> ZeroShotCLIP:
        """Itself, its image tower and its original's computing in that from now on."""
        self.autocast = autocast
        if self.original:
            self.original.computing_in(autocast)
        return self

    def train(self, mode: bool = True) -> ZeroShotCLIP:
        """The model stays in eval mode: nothing here is ever trained."""
        return super().train(False)

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Raw image features [B,D] of pixels [B,3,S,S] in [0,1]; differentiable with respect to the
        pixels."""
        lower = torch.bfloat16 if _bf16.get() else self.autocast
        with torch.autocast(self.device.type, lower or torch.bfloat16, enabled=lower is not None):
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

    def text_features(self, labels: list[str] | tuple[str, ...], template: Template) -> torch.Tensor:
        """Unit text features [K,D] of the template with each label in place of {}, of several templates the
        direction of the mean; computed once for each label set and template. Raises LabelError where the
        model reads two of them as the same, for instance cut off."""
        return self._text_features(tuple(labels), templates_in(template), str(self.device))

    def logits(self, features: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """Logits [B,K]: logit scale times the cosine of features [B,D] and unit text features [K,D], plus the
        logit bias of a SigLIP. Its sigmoid is what a SigLIP says of each pair alone; what is shown of every
        model is the softmax over the labels, which label it is, and that a bias does not change."""
        scale, bias = self.model.logit_scale.exp(), getattr(self.model, "logit_bias", None)

        def scaled(rows: torch.Tensor) -> torch.Tensor:
            logits = scale * F.normalize(rows, dim=-1) @ text.T
            return logits if bias is None else logits + bias

        return _tiled(scaled, features)

    def classifier(
        self, labels: list[str] | tuple[str, ...], template: Template
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        """A function from pixels [B,3,S,S] to logits [B,K] over these labels."""
        text = self.text_features(labels, template)
        return lambda pixels: self.logits(self.encode(pixels), text)
