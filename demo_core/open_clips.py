"""Models of open_clip's: a row of the table of models, and how it is built and filled.

All that a model asks of its pictures and words (size, mean and spread, resampling, activation, the prompt's
length, the tokenizer) comes from its own description.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import open_clip
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from demo_core import weights
from demo_core.clip import ZeroShotCLIP, any_words, has_latin
from demo_core.photo import WEIGHTS_VARIABLE
from demo_core.stages import building
from demo_core.weights import ModelUnavailable

PAPER_TEMPLATE = "This is a photo of a {}."
HUB = "hf-hub:"

# Of a model that is built first and filled then, open_clip says that it is a random one.
logging.getLogger().addFilter(lambda record: "No pretrained weights loaded for model" not in str(record.msg))


class _Unset(TorchFunctionMode):
    """Meanwhile new layers keep what is in memory instead of being dealt random weights, which takes seconds
    for a large model: each of them is filled."""

    DEALT = {"normal_", "uniform_", "trunc_normal_", "kaiming_uniform_", "xavier_uniform_", "erfinv_"}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in self.DEALT:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


@dataclass(frozen=True)
class ModelRow:
    """A row of the table: a model in the box, or an architecture of open_clip's with the weights for it.

    millions: of parameters. embedded: it is in the box, its own files in the folder of its key under
    `assets/embedded`. original: the key of the model whose image tower this one was fine-tuned from; the
    original's encoder probes the stability signals (so does the paper's code for its fine-tuned CLIPs).
    pretrained: open_clip's tag, or a repository of the hub, which brings the architecture too. template: the
    prompt that the model is asked with by default. checkpoint: a file with the image tower that replaces the
    original's, where all else stays. multilingual: it learned from many languages, not from English alone.
    """

    title: str
    millions: float
    embedded: bool = False
    original: str | None = None
    open_clip_name: str = ""
    pretrained: str = ""
    about: str = ""
    template: str = PAPER_TEMPLATE
    checkpoint: Path | None = None
    multilingual: bool = False

    @property
    def summary(self) -> str:
        """A sentence or three for whoever chooses."""
        if self.embedded or self.checkpoint:
            return self.about
        size = f"{self.millions * 4 / 1000:.1f} GB"
        return f"{self.about} Downloaded from the Hugging Face Hub at first use ({size}).".strip()

    @property
    def repository(self) -> str:
        """The repository of the hub that has the weights."""
        if self.pretrained.startswith(HUB):
            return self.pretrained.removeprefix(HUB)
        return str(self._tag.get("hf_hub", "")).strip("/")

    @property
    def _tag(self) -> dict[str, Any]:
        return open_clip.get_pretrained_cfg(self.open_clip_name, self.pretrained)

    @property
    def preprocessing(self) -> dict[str, Any]:
        """What open_clip's tag says of the pictures that the weights were trained on."""
        return {k: self._tag[k] for k in ("mean", "std", "interpolation", "resize_mode") if k in self._tag}

    @property
    def file_names(self) -> tuple[str, ...]:
        """What a file of these weights may be called, without its end."""
        name, published = self.open_clip_name, self.repository.split("/")[-1]
        if self.pretrained.startswith(HUB):
            return (published,)
        if self.pretrained != "openai":  # others have weights for the same architectures
            return (f"{name}-{self.pretrained}", published)
        return (name, name.removesuffix("-quickgelu"), Path(self._tag["url"]).stem)

    @property
    def folder_names(self) -> tuple[str, ...]:
        """What a folder with a clone of the hub's repository may be called."""
        owner, _, name = self.repository.partition("/")
        return (*self.file_names, name, f"{owner}/{name}", f"{owner}--{name}")


def _tensors(row: ModelRow) -> tuple[dict[str, torch.Tensor], Path]:
    """A row's weights by their names, and the file that they are from: of the folder in $CLIP_WEIGHTS_DIR,
    of the hub's cache, or of the hub. A broken one in the cache is fetched once more. Raises
    ModelUnavailable."""
    path = weights.in_folder(row.file_names, row.folder_names)
    if path:
        return weights.read(path, programs=True), path
    path = weights.in_cache(row.repository) or _fetched(row)
    try:
        return weights.read(path), path
    except weights.CutShort:
        weights.forget(path)
    path = _fetched(row)
    return weights.read(path), path


def _fetched(row: ModelRow, files: Sequence[str] = weights.HUB_FILES) -> Path:
    try:
        return weights.fetched(row.repository, files)
    except Exception as error:  # the hub's client raises many kinds: no network, half a file, a full disk
        instead = f"{row.file_names[0]}.safetensors"
        raise _not_downloaded(f"The weights of {row.title}", instead) from error


def _not_downloaded(what: str, instead: str) -> ModelUnavailable:
    return ModelUnavailable(
        f"{what} could not be downloaded from the Hugging Face Hub: go online, or put {instead} into the"
        f" folder named by {WEIGHTS_VARIABLE}; the embedded model works without."
    )


def _architecture(row: ModelRow, path: Path) -> str:
    """The name that open_clip builds the row's model by. Where the weights are a repository's of the hub and
    not one of open_clip's own tags, the description is the repository's, beside the weights."""
    if not row.pretrained.startswith(HUB):
        return row.open_clip_name
    beside, wanted = path.parent / weights.CONFIG_FILE, [weights.CONFIG_FILE]
    if not beside.is_file() and "snapshots" in path.parts:
        beside = weights.in_cache(row.repository, wanted) or _fetched(row, wanted)
    return f"local-dir:{beside.parent}" if beside.is_file() else row.open_clip_name


def _tokenizer(row: ModelRow, name: str, path: Path) -> Any:
    """Texts -> tokens, as the model's description says; those of other makers come from the hub, or lie
    beside the weights. Raises ModelUnavailable."""
    needed = (weights.CONFIG_FILE, weights.TOKENIZER_FILE)
    if _reads_with_transformers(row) and all((path.parent / file).is_file() for file in needed):
        name = f"local-dir:{path.parent}"
    try:
        return open_clip.get_tokenizer(name)
    except Exception as error:
        raise _not_downloaded(f"The words of {row.title}", f"a clone of {row.repository}") from error


def _reads_with_transformers(row: ModelRow) -> bool:
    return bool(open_clip.get_model_config(row.open_clip_name)["text_cfg"].get("hf_tokenizer_name"))


def load_open_clip(row: ModelRow) -> ZeroShotCLIP:
    """A model of open_clip's, without its original. Its weights come from disk where they are (see _tensors),
    else from the hub; pictures' size, mean and spread, the prompt's length and the tokenizer from its own
    description. Raises ModelUnavailable where they can be had from nowhere, or are not its own."""
    if _reads_with_transformers(row) and find_spec("transformers") is None:
        raise ModelUnavailable(
            f"{row.title} reads words with another package: run `pip install transformers`, and start again."
        )
    tensors, path = _tensors(row)
    building()
    name = _architecture(row, path)
    with _Unset():
        model = open_clip.create_model(name, load_weights=False, force_preprocess_cfg=row.preprocessing)
    weights.fill(model, tensors, path, row.title)
    return _zero_shot(row, model, _tokenizer(row, name, path))


def _zero_shot(
    row: ModelRow, model: nn.Module, tokenizer: Any, original: ZeroShotCLIP | None = None
) -> ZeroShotCLIP:
    pictures = open_clip.get_model_preprocess_cfg(model)
    squash = pictures["resize_mode"] == "squash"
    return ZeroShotCLIP(
        model,
        tokenizer,
        pictures["mean"],
        pictures["std"],
        original,
        pictures["interpolation"],
        squash,
        any_words if row.multilingual else has_latin,
    )


def skeleton(row: ModelRow) -> nn.Module:
    """The row's architecture without any memory for its weights."""
    with torch.device("meta"):
        return open_clip.create_model(row.open_clip_name, load_weights=False, device="meta")


def load_checkpoint(row: ModelRow, original: ZeroShotCLIP) -> ZeroShotCLIP:
    """The original with the checkpoint's image tower; all else is the original's own, and shared."""
    assert row.checkpoint is not None
    shared: Any = original.model
    model = copy.copy(shared)
    model._modules = shared._modules | {"visual": copy.deepcopy(shared.visual)}
    weights.fill_tower(model.visual, row.checkpoint, row.title)
    return _zero_shot(row, model, original.tokenizer, original)
