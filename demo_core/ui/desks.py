"""What is on each visitor's stage, kept on the server between two of his clicks, within bounds."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, fields, is_dataclass
from typing import Generic, TypeVar

import torch

from demo_core.limits import LIMITS

Work = TypeVar("Work")
IDLE_FOR = 3600.0  # seconds; as long as pictures are kept


@dataclass
class Desk(Generic[Work]):
    work: Work
    bytes: int
    touched: float


class Desks(Generic[Work]):
    """The last work of each visitor. Whose turn was longest ago is put away first: when there are more than
    `most`, when their tensors take more than `most_bytes`, or after IDLE_FOR seconds; and everybody when he
    closes his page."""

    def __init__(self, most: int = LIMITS.visitors, most_bytes: int = LIMITS.runs_megabytes * 1_000_000):
        self.most, self.most_bytes = most, most_bytes
        self._desks: OrderedDict[str, Desk[Work]] = OrderedDict()  # the longest untouched first
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._desks)

    @property
    def bytes(self) -> int:
        return sum(desk.bytes for desk in self._desks.values())

    def of(self, visitor: str | None) -> Work | None:
        """A visitor's work; None where nothing of his is kept, or it was put away."""
        with self._lock:
            self._tidy()
            desk = self._desks.get(visitor or "")
            return desk.work if desk else None

    def put(self, visitor: str | None, work: Work) -> None:
        """Keep a visitor's work instead of his last; one without a name has no desk."""
        if not visitor:
            return
        with self._lock:
            self._desks.pop(visitor, None)
            self._desks[visitor] = Desk(work, bytes_of(work), time.monotonic())
            self._tidy()

    def clear(self, visitor: str | None) -> None:
        with self._lock:
            self._desks.pop(visitor or "", None)

    def _tidy(self) -> None:
        longest_ago, taken = time.monotonic() - IDLE_FOR, self.bytes
        while self._desks:
            oldest = next(iter(self._desks.values()))
            crowded = len(self._desks) > 1 and (len(self._desks) > self.most or taken > self.most_bytes)
            if not crowded and oldest.touched >= longest_ago:
                return
            taken -= self._desks.popitem(last=False)[1].bytes


def bytes_of(work: object) -> int:
    """What the tensors take that something is made of, each storage once."""
    storages: dict[int, int] = {}

    def visit(part: object) -> None:
        if isinstance(part, torch.Tensor):
            storage = part.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
        elif is_dataclass(part):
            for field in fields(part):
                visit(getattr(part, field.name))
        elif isinstance(part, (tuple, list)):
            for item in part:
                visit(item)
        elif isinstance(part, dict):
            for item in part.values():
                visit(item)

    visit(work)
    return sum(storages.values())
