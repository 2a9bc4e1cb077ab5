"""How long passes through an image tower take here, and what that says of work before it begins."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

from demo_core.clip import ZeroShotCLIP, count_passes
from demo_core.limits import LIMITS
from demo_core.models import MODELS
from demo_core.story import time_words
from demo_core.story.price import Price, passes_of, what_fits
from demo_core.story.settings import InputError
from demo_core.ui.lent import IS_LENT, PASS_SECONDS
from demo_core.ui.place import Refused

Item = TypeVar("Item")
LAST = 32  # steps by which a model's tempo is told
TRIES = 4  # of a pass, before the first run
ROOM = 1.5  # prices count every gate as open: what seems to take so many times the limit may just end


def timed(encode: Callable[[torch.Tensor], torch.Tensor], pixels: torch.Tensor, back: bool = True) -> float:
    """Seconds of one pass of pictures [B,3,S,S], forward, and with `back` also back."""
    leaf, then = pixels.clone().requires_grad_(back), time.monotonic()
    with torch.set_grad_enabled(back):
        found = encode(leaf).sum()
        if back:
            (gradient,) = torch.autograd.grad(found, leaf)
            found = gradient.sum()
    found.item()  # a GPU has ended only now
    return time.monotonic() - then


class Tempo:
    """Seconds a pass, by a model's key, in the middle one of its last steps: with all that goes with a step,
    and beside all else that this machine does."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, ...]] = {}

    def saw(self, key: str, passes: int, seconds: float) -> None:
        """A step; one without a pass says nothing."""
        if passes:
            self._seen[key] = (*self._seen.get(key, ())[1 - LAST :], seconds / passes)

    def of(self, key: str) -> float | None:
        """None where nobody knows yet."""
        seen = self._seen.get(key)
        return statistics.median(seen) if seen else None

    def try_out(self, key: str, clip: ZeroShotCLIP) -> None:
        """A pass, forward and back, the quickest of a few: a process has its first ones many times as slow,
        and what is said by them would frighten."""
        pixels = torch.zeros(1, 3, clip.image_size, clip.image_size, device=clip.device)
        self.saw(key, 2, min(timed(clip.encode, pixels) for _ in range(TRIES)))

    def watching(self, key: str, steps: Iterator[Item]) -> Iterator[Item]:
        """The same steps, each of which is seen."""
        try:
            while True:
                then = time.monotonic()
                with count_passes() as passes:
                    try:
                        item = next(steps)
                    except StopIteration:
                        return
                self.saw(key, passes.total, time.monotonic() - then)
                yield item
        finally:
            steps.close()


TEMPO = Tempo()


def expected(work: str, price: Price) -> float | None:
    """About how many seconds of computing a work of price.WORKS takes here; None where nobody knows yet."""
    each = PASS_SECONDS if IS_LENT else TEMPO.of(price.chosen.model)
    return None if each is None else each * passes_of(work, price)


def advice(work: str, price: Price, seconds: float, longest: float) -> str:
    """What to do where it takes `seconds`, and only `longest` are given."""
    fits = what_fits(work, price, passes_of(work, price) * longest / seconds)
    return time_words.advice(fits, smaller=not MODELS[price.chosen.model].embedded)


def takes(work: str, price: Price, longest: float) -> str:
    """What is said beside its button."""
    seconds = expected(work, price)
    if not time_words.is_long(seconds):
        return ""
    if seconds <= longest:
        return time_words.takes(seconds)
    return time_words.would_take(seconds, longest, advice(work, price, seconds, longest))


def allowed(work: str, read: Callable[[], Price], longest: float = LIMITS.seconds) -> float | None:
    """The seconds before it begins; None also of settings that cannot be used, which whoever reads them says.
    read: gives the settings, or raises InputError. Raises Refused where it is too long, and says what would
    fit into `longest`."""
    try:
        price = read()
    except InputError:
        return None
    seconds = expected(work, price)
    if seconds is not None and seconds > ROOM * longest:
        raise Refused(time_words.too_long(seconds, longest, advice(work, price, seconds, longest)))
    return seconds
