"""How far a model is on its way, for whoever waits for it; and a time in words."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from huggingface_hub.utils.tqdm import tqdm

LOADING, BUILDING = "loading", "building"


@dataclass(frozen=True)
class Stage:
    """kind: LOADING while its file comes, then BUILDING; done, total: bytes, None where nobody knows; speed:
    bytes a second."""

    kind: str
    done: int = 0
    total: int | None = None
    speed: float = 0.0


Tell = Callable[[Stage], None]
_told: ContextVar[Tell | None] = ContextVar("told", default=None)


@contextmanager
def telling(tell: Tell) -> Iterator[None]:
    """Meanwhile each stage of what this thread loads is told."""
    token = _told.set(tell)
    try:
        yield
    finally:
        _told.reset(token)


def building() -> None:
    """The file is here: tell whoever wants to know."""
    if tell := _told.get():
        tell(Stage(BUILDING))


def bar() -> type[tqdm] | None:
    """What the hub's client shows a download by, where somebody wants to know of it."""
    tell = _told.get()
    return _bar(tell) if tell else None


def _bar(tell: Tell) -> type[tqdm]:
    class Told(tqdm):
        def __init__(self, *args: Any, **named: Any):
            super().__init__(*args, **named)  # type: ignore[no-untyped-call]
            self.first = self.count = int(named.get("initial", 0))
            self.bytes, self.since = named.get("total"), time.monotonic()

        def update(self, n: float | None = 1) -> bool | None:
            self.count += int(n or 0)  # its own count stands still where nothing is shown
            seconds = max(time.monotonic() - self.since, 1e-3)
            tell(Stage(LOADING, self.count, self.bytes, (self.count - self.first) / seconds))
            return super().update(n)

    return Told


def lasting(seconds: float) -> str:
    """A time in words."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
