"""Files of weights: where they are, how they are fetched, and what is in them.

They are read as tensors alone: of a file that would run code none of it is run, but for OpenAI's own programs
in the folder that a host names himself. One that cannot be used is refused in one sentence that says why, and
what to do.
"""

from __future__ import annotations

import os
import pickle
import socket
import struct
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import huggingface_hub
import numpy as np
import torch
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from demo_core.photo import WEIGHTS_VARIABLE
from demo_core.stages import bar

ENDS = (".safetensors", ".pt", ".bin", ".pth", ".pth.tar")
# What a repository of the hub, or its clone, calls its weights, the safe one first, and what belongs to them.
HUB_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
CONFIG_FILE, TOKENIZER_FILE = "open_clip_config.json", "tokenizer.json"
# Where a file that was written while a model was trained keeps the model, the released fine-tuned ones first.
HOLDERS = ("vision_encoder_state_dict", "state_dict", "model_state_dict", "model")
WRAPPERS = ("module.", "model.")  # what stands before each name of a model that was wrapped
IMAGE = "visual."
NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size")  # numbers that OpenAI keeps among them
TRANSFORMERS = ("vision_model.", "text_model.")
OTHER_FORMATS = {
    b"\x89HDF": "HDF5",
    b"GGUF": "GGUF",
    b"\x93NUMPY": "NumPy",
    b"\x1f\x8b": "gzip",
    b"7z\xbc\xaf": "7-Zip",
}
# What readers of these formats, and of pickles in them, stumble over.
BROKEN = (
    *(SafetensorError, zipfile.BadZipFile, RuntimeError, OSError, EOFError),
    *(struct.error, ValueError, KeyError, IndexError, AttributeError, TypeError),
)
AGAIN = "download it again"
AS_TENSORS = "save its state dict as .safetensors, or with torch.save"


def _scalar(core: str) -> Callable[..., Any]:
    """NumPy's maker of numbers, under the name that it has or had."""

    def scalar(*given: Any) -> Any:
        return np.float64(0).__reduce__()[0](*given)

    scalar.__module__, scalar.__qualname__ = f"numpy.{core}.multiarray", "scalar"
    return scalar


# Whoever trains keeps the best accuracy beside the weights, often as a number of NumPy's. These are numbers
# and run nothing; allowed for good, as torch has no list of its own for one file.
_NUMBERS = (np.float64, np.float32, np.float16, np.int64, np.int32, np.bool_)
torch.serialization.add_safe_globals(
    [*map(_scalar, ("core", "_core")), np.dtype, *(type(np.dtype(kind)) for kind in _NUMBERS)]
)


class ModelUnavailable(RuntimeError):
    """A model's weights cannot be had here. The message is one sentence that says what to do."""


class WeightsRefused(ModelUnavailable):
    """A file of weights cannot be used."""

    def __init__(self, path: Path, why: str, instead: str):
        super().__init__(f"{path} {why}: {instead}.")


class CutShort(WeightsRefused):
    """The file ends before its end, or is damaged; another download may help."""

    def __init__(self, path: Path):
        super().__init__(path, "is cut short or damaged", AGAIN)


# ---------------------------------------------------------------- what is in a file


def read(path: Path, programs: bool = False) -> dict[str, torch.Tensor]:
    """The tensors of a file by their names: a state dict in safetensors' format or torch's, by itself or
    kept under one of HOLDERS, without WRAPPERS. programs: a TorchScript archive is read too, as OpenAI's
    files are; loading one can run what is in it. Raises WeightsRefused."""
    found = _opened(path, programs)
    while isinstance(found, Mapping):
        inner = next((found[name] for name in HOLDERS if isinstance(found.get(name), Mapping)), None)
        if not inner:
            break
        found = inner
    tensors = _named_tensors(found)
    if not tensors:
        raise WeightsRefused(path, "holds no weights by name", AS_TENSORS)
    if any(name.startswith(TRANSFORMERS) for name in tensors):
        raise WeightsRefused(
            path, "is in the format of the package transformers", "take open_clip’s file of the same model"
        )
    return tensors


def _named_tensors(found: object) -> dict[str, torch.Tensor]:
    given = found.items() if isinstance(found, Mapping) else ()
    tensors = {str(name): value for name, value in given if isinstance(value, torch.Tensor)}
    for wrapper in WRAPPERS:
        if all(name.startswith(wrapper) for name in tensors):
            tensors = {name.removeprefix(wrapper): value for name, value in tensors.items()}
    return {name: value for name, value in tensors.items() if name not in NOT_WEIGHTS}


def _opened(path: Path, programs: bool) -> object:
    """What the file holds, read in the way of its format, which its first bytes tell."""
    head = _head(path)
    try:
        if head[8:9] == b"{":
            return load_file(path)
        if head.startswith(b"PK"):
            names = zipfile.ZipFile(path).namelist()
            if any(name.endswith("/constants.pkl") for name in names):
                return _program(path, programs)
            if any(name.endswith("/data.pkl") for name in names):
                return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        elif head.startswith(b"\x80"):  # as torch wrote before it wrote archives
            return torch.load(path, map_location="cpu", weights_only=True)
    except WeightsRefused:
        raise
    except pickle.UnpicklingError as error:
        raise WeightsRefused(
            path, "holds more than tensors and numbers, and was not opened, as it could run code", AS_TENSORS
        ) from error
    except BROKEN as error:
        raise CutShort(path) from error
    kind = next((name for magic, name in OTHER_FORMATS.items() if head.startswith(magic)), "another program")
    raise WeightsRefused(path, f"is in the format of {kind}, and no state dict", AS_TENSORS)


def _head(path: Path) -> bytes:
    """The first bytes. Raises WeightsRefused where they say that the weights are elsewhere."""
    if path.is_symlink() and not path.exists():
        annexed = "annex" in os.readlink(path)
        instead = "run `git annex get` on it" if annexed else "put the file there"
        raise WeightsRefused(path, "points to a file that is not here", instead)
    if not path.is_file():
        raise WeightsRefused(path, "is no file", "name the file of the weights")
    with path.open("rb") as file:
        head = file.read(256)
    if not head:
        raise WeightsRefused(path, "is empty", AGAIN)
    if head.startswith(b"version https://git-lfs"):
        raise WeightsRefused(path, "is a pointer of git-lfs, not the weights", "run `git lfs pull`")
    if b"annex/objects/" in head:
        raise WeightsRefused(path, "is a pointer of git-annex, not the weights", "run `git annex get` on it")
    if head.lstrip().lower().startswith((b"<!doctype", b"<html")):
        raise WeightsRefused(path, "is a web page, not the weights", AGAIN)
    return head


def _program(path: Path, allowed: bool) -> dict[str, torch.Tensor]:
    if not allowed:
        raise WeightsRefused(
            path, "is a TorchScript program, and was not opened, as it could run code", AS_TENSORS
        )
    return torch.jit.load(path, map_location="cpu").state_dict()


def image_tower(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Of a whole model's tensors, or an image tower's alone, the image tower's by their names in it."""
    found = {name.removeprefix(IMAGE): value for name, value in tensors.items() if name.startswith(IMAGE)}
    return found or dict(tensors)


def difference(module: nn.Module, tensors: Mapping[str, torch.Tensor]) -> str:
    """How the tensors are not those of the module, in words; empty where they are."""
    wanted = module.state_dict()
    for name, value in wanted.items():
        if name in tensors and tensors[name].shape != value.shape and value.numel() > 1:
            has, wants = (
                "×".join(map(str, shape)) or "a number" for shape in (tensors[name].shape, value.shape)
            )
            return f"its {name} is {has} instead of {wants}"
    if missing := [name for name in wanted if name not in tensors]:
        return f"it has no {missing[0]}"
    extra = [name for name in tensors if name not in wanted]
    return f"its {extra[0]} has no place there" if extra else ""


def fill(module: nn.Module, tensors: Mapping[str, torch.Tensor], path: Path, title: str) -> None:
    """Put a whole model's tensors into it. Raises WeightsRefused where they are not those of the model."""
    wanted = module.state_dict()
    words = {name for name in wanted if not name.startswith((IMAGE, "logit_"))}
    whole = any(name.startswith(IMAGE) for name in tensors)
    if _image_like(tensors) and not (whole and words & {*tensors}):
        raise WeightsRefused(path, f"has no text tower, which {title} needs", "give it by --checkpoint")
    # Of a scale, the one number has been written as a list of one; and programs have constants among theirs.
    numbers = {n: v.reshape(wanted[n].shape) for n, v in tensors.items() if n in wanted and v.numel() == 1}
    constants = {name for name, _ in module.named_buffers()} - {*wanted}
    tensors = {name: value for name, value in tensors.items() if name not in constants} | numbers
    if differs := difference(module, tensors):
        raise WeightsRefused(
            path, f"is of another architecture than {title} ({differs})", "put that model’s weights there"
        )
    module.load_state_dict(tensors)


def fill_tower(visual: nn.Module, path: Path, title: str) -> None:
    """Put the image tower in a file into one. Raises WeightsRefused."""
    tensors = image_tower(read(path))
    if differs := difference(visual, tensors):
        raise WeightsRefused(path, f"is of another architecture than {title} ({differs})", "start again")
    visual.load_state_dict(tensors)


def _image_like(tensors: Mapping[str, torch.Tensor]) -> bool:
    """Whether the tensors of an image tower are among them: its first layer's are."""
    return any(name.startswith(("conv1.", "trunk.")) for name in image_tower(tensors))


# ---------------------------------------------------------------- where a file is


def in_folder(names: Iterable[str], places: Iterable[str]) -> Path | None:
    """A file in the folder that $CLIP_WEIGHTS_DIR names: one of these names with one of ENDS, or one of the
    hub's files in a sub-folder of one of these places, as a clone has it."""
    folder = os.environ.get(WEIGHTS_VARIABLE)
    return next(filter(_there, _candidates(Path(folder), names, places)), None) if folder else None


def _candidates(folder: Path, names: Iterable[str], places: Iterable[str]) -> Iterator[Path]:
    yield from (folder / f"{name}{end}" for name in names for end in ENDS)
    yield from (folder / place / file for place in places for file in HUB_FILES)


def _there(path: Path) -> bool:
    return path.is_file() or path.is_symlink()  # a link to nowhere is told, not passed over


def in_cache(repository: str, files: Sequence[str] = HUB_FILES) -> Path | None:
    """The first of these files that the hub's cache has of a repository."""
    found = (huggingface_hub.try_to_load_from_cache(repository, file) for file in files)
    return next((Path(path) for path in found if isinstance(path, str)), None)


def forget(path: Path) -> None:
    """Take a file out of the hub's cache, where it is a link to a blob, so that it is fetched anew."""
    blob = path.resolve()
    path.unlink(missing_ok=True)
    blob.unlink(missing_ok=True)


def fetched(repository: str, files: Sequence[str] = HUB_FILES) -> Path:
    """The first of these files that a repository of the hub has, downloaded into the hub's cache; tried twice
    where it breaks off. Raises what the hub's client raises, ConnectionError where there is no network."""
    if not _hub_has_an_address():
        raise ConnectionError("the hub's name does not resolve")
    try:
        return _first(repository, files)
    except EntryNotFoundError:
        raise
    except Exception:  # the client and its transport raise many kinds
        return _first(repository, files)


def _first(repository: str, files: Sequence[str]) -> Path:
    for place, file in enumerate(files, 1):
        try:
            return Path(huggingface_hub.hf_hub_download(repository, file, tqdm_class=bar()))
        except LocalEntryNotFoundError as error:  # the hub was not reached
            raise ConnectionError(str(error)) from error
        except EntryNotFoundError:
            if place == len(files):
                raise
    raise ValueError("no file was asked for")


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
