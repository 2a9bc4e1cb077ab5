"""What a picture could be: the likeliest of many words, for someone who has not written labels yet."""

from __future__ import annotations

from functools import lru_cache
from itertools import chain

import torch
import torch.nn.functional as F
from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES

from demo_core.clip import ZeroShotCLIP, first_read_so
from demo_core.labels import PRESETS
from demo_core.pictures import to_pixels

COUNT = 10  # labels that are suggested


@lru_cache
def vocabulary() -> tuple[str, ...]:
    """The names of ImageNet's thousand classes as CLIP's authors refined them, and the words of all lists of
    labels on offer, each once."""
    return tuple(dict.fromkeys([*IMAGENET_CLASSNAMES, *chain(*PRESETS.values())]))


def _told_apart(clip: ZeroShotCLIP, words: tuple[str, ...], template: str) -> tuple[str, ...]:
    """Those that the model does not read as an earlier one: “sofas” may be “sofa” to it."""
    tokens = clip.tokenizer([template.replace("{}", word) for word in words])
    return tuple(word for word, first in first_read_so(words, tokens) if first == word)


@torch.no_grad()
def likeliest(clip: ZeroShotCLIP, photo: torch.Tensor, template: str, count: int = COUNT) -> tuple[str, ...]:
    """So many words of the vocabulary whose embeddings lie nearest to that of the photo [3,P,P], the nearest
    first."""
    words = _told_apart(clip, vocabulary(), template)
    text = clip.text_features(words, template)
    features = clip.encode(to_pixels(photo, clip.image_size).to(clip.device))
    nearest = (F.normalize(features, dim=-1) @ text.T)[0].topk(count).indices
    return tuple(words[place] for place in nearest.tolist())
