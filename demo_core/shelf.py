"""The models that are loaded: each once, whoever asks for it, and no more of them than memory holds."""

from __future__ import annotations

import gc
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import psutil
import torch

from demo_core.clip import ZeroShotCLIP
from demo_core.device import chosen
from demo_core.models import MODELS, ModelUnavailable, gigabytes, load
from demo_core.stages import Stage, telling

WORKING = 0.5  # GB that a run takes beside its model's weights
GB = 1e9
# Where a container's limit and use of memory are told, and of the use the files that can be dropped at once.
CGROUPS = (
    (
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory.current",
        "/sys/fs/cgroup/memory.stat",
        "inactive_file",
    ),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        "/sys/fs/cgroup/memory/memory.stat",
        "total_inactive_file",
    ),
)


def free_gigabytes() -> float:
    """Memory that a model may still take, in GB: of the GPU where models compute on one, else of the machine
    or of the container that this runs in."""
    device = chosen().device
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return (torch.cuda.mem_get_info(device)[0] + unused) / GB
    return min([psutil.virtual_memory().available, *map(_free_in_group, CGROUPS)]) / GB


def _free_in_group(files: tuple[str, str, str, str]) -> float:
    """Bytes that a container may still take; infinite where no limit is told."""
    limit, used, details, name = files
    try:
        stat = dict(line.split() for line in Path(details).read_text(encoding="utf-8").splitlines())
        return (
            int(Path(limit).read_text(encoding="utf-8"))
            - int(Path(used).read_text(encoding="utf-8"))
            + int(stat[name])
        )
    except (OSError, ValueError, KeyError):  # another system; or “max”
        return float("inf")


class Arrival:
    """A model on its way. stage: how far it is, None before anything was told; model: the model, or why it
    did not come, once it is known."""

    def __init__(self, shelf: Shelf, key: str):
        self.stage: Stage | None = None
        self.model: Future[ZeroShotCLIP] = Future()
        threading.Thread(target=self._come, args=(shelf, key), name=f"loading {key}", daemon=True).start()

    def _come(self, shelf: Shelf, key: str) -> None:
        try:
            with telling(lambda stage: setattr(self, "stage", stage)):
                found = shelf(key)
            self.model.set_result(found)
        except BaseException as error:  # whoever waits is to hear of it
            self.model.set_exception(error)


class Shelf:
    """Called with a key of MODELS, gives the model, which is loaded the first time.

    Two who ask for the same at once get the same: one loads it, the other waits. Before a model is loaded its
    memory is counted, together with that of others that are on their way; where it does not fit, those that
    were asked for longest ago are put away, never the one that was asked for last: that stays until the new
    one is there. load: key -> model; size: key -> GB; free: -> GB.
    """

    def __init__(
        self,
        load: Callable[[str], ZeroShotCLIP] = load,
        size: Callable[[str], float] = gigabytes,
        free: Callable[[], float] = free_gigabytes,
    ):
        self._load, self._size, self._free = load, size, free
        self._loaded: OrderedDict[str, ZeroShotCLIP] = OrderedDict()  # the one asked for last is the last
        self._coming: dict[str, float] = {}  # GB by key
        self._guard = threading.RLock()  # of what is above; held for moments
        self._doors: dict[str, threading.Lock] = {}  # one a key, held while it is loaded
        self._arrivals: dict[str, Arrival] = {}  # the last of each key

    def __call__(self, key: str) -> ZeroShotCLIP:
        """Raises KeyError, or ModelUnavailable where it cannot be had, or does not fit."""
        with self._guard:
            door = self._doors.setdefault(key, threading.Lock())
        with door:
            if (known := self._known(key)) is not None:
                return known
            self._make_room(key)
            try:
                clip = self._load(key)
                with self._guard:
                    self._loaded[key] = clip
            finally:
                with self._guard:
                    self._coming.pop(key)
            return clip

    def bring(self, key: str) -> Arrival | None:
        """Have a model loaded while others are used; None where it is here. Whoever asks meanwhile hears of
        the same."""
        with self._guard:
            if self._known(key) is not None:
                return None
            arrival = self._arrivals.get(key)
            if arrival is None or arrival.model.done():
                arrival = self._arrivals[key] = Arrival(self, key)
            return arrival

    def keys(self) -> tuple[str, ...]:
        """Of the models that are loaded, the one that was asked for longest ago first."""
        with self._guard:
            return tuple(self._loaded)

    def _known(self, key: str) -> ZeroShotCLIP | None:
        with self._guard:
            if key in self._loaded:
                self._loaded.move_to_end(key)
            return self._loaded.get(key)

    def _make_room(self, key: str) -> None:
        """Put models away until this one fits, and write down that it is coming."""
        needed = self._size(key) + WORKING
        with self._guard:
            while (room := self._free() - sum(self._coming.values())) < needed and len(self._loaded) > 1:
                self._loaded.popitem(last=False)
                gc.collect()  # so that what it held is free before it is counted again
                torch.cuda.empty_cache()  # does nothing where there is no GPU
            if room < needed:
                raise ModelUnavailable(
                    f"{MODELS[key].title} takes about {needed:.1f} GB of memory, of which"
                    f" {max(room, 0):.1f} GB are free: choose a smaller model."
                )
            self._coming[key] = needed
