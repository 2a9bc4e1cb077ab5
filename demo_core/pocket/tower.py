"""The image tower of the embedded CLIP: a convolutional stem under a small transformer, as a timm model.

Why not a stock network: transformers and networks that normalise every picture by itself (GroupNorm, LayerNorm)
recover far better under the counterattack than batch-norm networks do, and a convolutional stem learns faster than
bare patches (Xiao et al., *Early Convolutions Help Transformers See Better*, NeurIPS 2021). Without batch norm the
features of all pictures share one large component and training crawls; weight standardisation (Qiao et al., 2019)
removes it. Importing this module registers the model with timm, by which open_clip finds it.
"""
from __future__ import annotations

import torch
from timm.layers import PatchEmbed, StdConv2d
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.vision_transformer import VisionTransformer
from torch import nn

IMAGE_SIZE = 64
default_cfgs = generate_default_cfgs({"pocket_vit": {"input_size": (3, IMAGE_SIZE, IMAGE_SIZE), "pool_size": None}})


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(channels // 16, channels)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut, pre-activated: [B,C,H,W] -> [B,C,H,W]."""

    def __init__(self, channels: int):
        super().__init__()
        self.body = nn.Sequential(
            _norm(channels), nn.ReLU(), StdConv2d(channels, channels, 3, padding=1),
            _norm(channels), nn.ReLU(), StdConv2d(channels, channels, 3, padding=1),
        )
        self.gain = nn.Parameter(torch.full((1,), 0.2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.gain * self.body(x)


class ConvPatchEmbed(PatchEmbed):
    """Patches of 16x16 pixels made by convolutions: [B,3,S,S] -> [B,(S/16)^2,embed_dim]."""

    def __init__(self, *args, embed_dim: int, widths: tuple[int, int, int] = (32, 64, 160), blocks: int = 2, **kwargs):
        super().__init__(*args, embed_dim=embed_dim, **kwargs)
        first, second, third = widths
        self.proj = nn.Sequential(
            StdConv2d(3, first, 3, stride=2, padding=1), _norm(first), nn.ReLU(),
            StdConv2d(first, second, 3, stride=2, padding=1),
            *(ResidualBlock(second) for _ in range(blocks)),
            _norm(second), nn.ReLU(), StdConv2d(second, third, 3, stride=2, padding=1),
            *(ResidualBlock(third) for _ in range(blocks)),
            _norm(third), nn.ReLU(), StdConv2d(third, embed_dim, 3, stride=2, padding=1),
        )


def _initialise(tower: nn.Module) -> None:
    """Transformer layers start as the identity, and no layer shrinks its input (timm's default, std 0.02, would)."""
    for name, module in tower.named_modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
        if name.endswith(("attn.proj", "mlp.fc2")):
            nn.init.zeros_(module.weight)


@register_model
def pocket_vit(pretrained: bool = False, **kwargs) -> VisionTransformer:
    """4.6 M parameters, 64-px pictures, 16 tokens. Other sizes are accepted too (positions are interpolated)."""
    defaults = dict(
        img_size=IMAGE_SIZE, patch_size=16, embed_dim=288, depth=3, num_heads=4, class_token=False,
        global_pool="avg", dynamic_img_size=True, embed_layer=ConvPatchEmbed,
    )
    tower = build_model_with_cfg(VisionTransformer, "pocket_vit", pretrained, **(defaults | kwargs))
    for block in tower.blocks:
        block.attn.fused_attn = False  # over 16 tokens plain matrix products are faster, most of all backwards
    _initialise(tower)
    return tower
