"""Work on a GPU that is lent for it, as on a ZeroGPU Space.

There the package `spaces` runs a generator in another process, the only one that has the GPU, and sends what
it yields back. What crosses is packed here: values of the machine's own memory, each tensor once for all the
messages of one work, for a run's snapshots share nearly all of theirs. Elsewhere nothing of this is done.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
import torch

from demo_core.story.price import Price, passes_of
from demo_core.ui.place import Refused

try:
    import spaces
except ImportError:
    spaces = None

Item = TypeVar("Item")
Package = tuple[bytes, list[np.ndarray]]  # a value without its new tensors, and these
START, PASS_SECONDS = 10.0, 0.03  # seconds until a GPU computes; of one picture's pass by the largest models
LONGEST = 120.0  # seconds that a GPU is asked for at most: longer is lent to few


class Packer:
    """Packs values for another process."""

    def __init__(self) -> None:
        self._sent: list[torch.Tensor] = []  # kept, so that no other tensor gets the name of one
        self._places: dict[int, int] = {}

    def __call__(self, value: object) -> Package:
        """Raises ValueError where a tensor is on a GPU, TypeError or pickle's errors where something cannot
        cross."""
        new: list[np.ndarray] = []

        def place_of(part: object) -> int | None:
            if not isinstance(part, torch.Tensor):
                return None
            if id(part) not in self._places:
                if part.device.type != "cpu":
                    raise ValueError(f"A tensor on {part.device} cannot leave the process that has the GPU.")
                self._places[id(part)] = len(self._sent)
                self._sent.append(part)
                new.append(part.detach().numpy())
            return self._places[id(part)]

        target = io.BytesIO()
        _Pickler(target, place_of).dump(value)
        return target.getvalue(), new


class Unpacker:
    """Unpacks what one Packer packed, in its order."""

    def __init__(self) -> None:
        self._known: list[torch.Tensor] = []

    def __call__(self, package: Package) -> Any:
        packed, new = package
        self._known += [torch.from_numpy(np.array(values)) for values in new]
        return _Unpickler(io.BytesIO(packed), self._known).load()


class _Pickler(pickle.Pickler):
    """Writes a number in place of what `place_of` knows one of."""

    def __init__(self, target: io.BytesIO, place_of: Callable[[object], int | None]):
        super().__init__(target, pickle.HIGHEST_PROTOCOL)
        self.persistent_id = place_of


class _Unpickler(pickle.Unpickler):
    def __init__(self, source: io.BytesIO, known: list[torch.Tensor]):
        super().__init__(source)
        self.persistent_load = known.__getitem__


class _Sentence(str):
    """What is said in place of a result."""


def _where_the_gpu_is(work: Package, seconds: float) -> Iterator[Package]:
    """The items of (steps, their arguments, the errors that are sentences), packed."""
    steps, given, refusals = Unpacker()(work)
    pack = Packer()
    try:
        for item in steps(*given):
            yield pack(item)
    except refusals as refused:
        yield pack(_Sentence(refused))


_lent = spaces.GPU(duration=lambda work, seconds: seconds)(_where_the_gpu_is) if spaces else None
IS_LENT = _lent not in (None, _where_the_gpu_is)  # the package is there, and this is such a Space


def computed(
    steps: Callable[..., Iterator[Item]],
    *given: Any,
    seconds: Callable[[], float],
    refusals: tuple[type[Exception], ...] = (),
) -> Iterator[Item]:
    """The items of steps(*given), where the GPU is. seconds: about how long that takes, asked for
    only where a GPU is lent for so long; refusals: errors whose message is a sentence for the visitor, which
    comes back as Refused from another process."""
    if _lent is None or not IS_LENT:
        yield from steps(*given)
        return
    unpack = Unpacker()
    for package in _lent(Packer()((steps, given, refusals)), min(seconds(), LONGEST)):
        item = unpack(package)
        if isinstance(item, _Sentence):
            raise Refused(str(item))
        yield item


def seconds_of(work: str, price: Price) -> float:
    """About how long a work of price.WORKS takes where a GPU is lent."""
    return START + PASS_SECONDS * passes_of(work, price)
