"""Embeddings as strips of numbers, as the page shows what CLIP compares: the picture's at each moment, and
those of its likeliest labels."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import torch
import torch.nn.functional as F

from demo_core.story.run import Run

TOP = 127  # a strip's numbers are whole, from -TOP to TOP


def strip(features: torch.Tensor) -> dict[str, Any]:
    """The unit vector of features [D]: bytes, in base64, that are its numbers in parts of the largest of them
    over TOP; largest."""
    unit = F.normalize(features.detach(), dim=-1)
    largest = unit.abs().max().item()
    levels = (unit * (TOP / max(largest, 1e-12))).round().to(torch.int8).cpu()
    return {"bytes": b64encode(levels.numpy().tobytes()).decode(), "largest": round(largest, 6)}


def label_strips(run: Run, count: int) -> dict[str, dict[str, Any]]:
    """The strips of all labels that are among the so many likeliest at some moment of the run, by their
    index."""
    answers = [moment.probabilities for moment in run.moments]
    if run.defended is not None:
        answers.append(run.defended)
    shown = {i for answer in answers for i in answer.topk(min(count, len(answer))).indices.tolist()}
    return {str(i): strip(run.text[i]) for i in sorted(shown)}
