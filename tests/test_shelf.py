"""Models that are loaded once, and put away when memory is short."""

import gc
import threading
import time
import weakref
from pathlib import Path

import huggingface_hub
import psutil
import pytest
import torch

from demo_core import shelf
from demo_core.models import MODELS, ModelUnavailable, load
from demo_core.shelf import WORKING, Shelf, free_gigabytes
from tests.hub import fill_cache, random_model, shrink


class Model:
    def __init__(self, key: str):
        self.key = key


def shelf_of(memory: float, size: float = 1.0, loading: list | None = None) -> Shelf:
    """A shelf in so many GB of memory, every model of one size."""
    alive: weakref.WeakSet = weakref.WeakSet()

    def loaded(key: str) -> Model:
        (loading if loading is not None else []).append(key)
        time.sleep(0.01)
        alive.add(found := Model(key))
        return found

    return Shelf(loaded, lambda _: size, lambda: memory - size * len(alive))


def test_a_model_is_loaded_once_for_many_visitors():
    loading: list[str] = []
    store, got = shelf_of(9, loading=loading), []
    visitors = [
        threading.Thread(target=lambda key=key: got.append(store(key))) for key in ("photo", "rn50") * 8
    ]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    assert sorted(loading) == ["photo", "rn50"] and len(got) == 16 and len({id(m) for m in got}) == 2


def test_the_longest_unused_goes_and_the_last_used_stays_until_the_new_one_is_there():
    seen: list[tuple[str, ...]] = []
    store = shelf_of(3 + WORKING)
    inner = store._load
    store._load = lambda key: (seen.append(store.keys()), inner(key))[1]
    for key in ("photo", "rn50", "vit-b-32", "photo", "vit-b-16"):
        store(key)
    assert store.keys() == ("vit-b-32", "photo", "vit-b-16") and seen[-1] == ("vit-b-32", "photo")


def test_what_does_not_fit_is_said_and_the_running_one_stays():
    store = shelf_of(1.9 + WORKING)
    store("photo")
    with pytest.raises(
        ModelUnavailable, match=r"RN50 \(224 px\) takes about 1.5 GB .* 1.4 GB are free: choose"
    ):
        store("rn50")
    assert store.keys() == ("photo",) and store("photo").key == "photo"


def test_models_on_their_way_are_counted():
    """Two that fit each alone, asked for at once: one of them is refused, not both loaded."""
    gate, begun, refused = threading.Event(), threading.Event(), []

    def slow(key: str) -> Model:
        begun.set()
        gate.wait(5)
        return Model(key)

    store = Shelf(slow, lambda _: 1.0, lambda: 2.0)
    first = threading.Thread(target=lambda: store("photo"))
    first.start()
    begun.wait(5)
    with pytest.raises(ModelUnavailable):
        store("rn50")
    gate.set()
    first.join()
    assert store.keys() == ("photo",) and not refused


def test_one_that_could_not_be_loaded_can_be_asked_for_again():
    answers = iter([ModelUnavailable("Not here."), Model("photo")])

    def loaded(key: str) -> Model:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    store = Shelf(loaded, lambda _: 1.0, lambda: 9.0)
    with pytest.raises(ModelUnavailable):
        store("photo")
    assert store("photo").key == "photo" and not store._coming
    with pytest.raises(KeyError):
        Shelf()("no such model")


def test_ten_switches_leave_memory_flat(monkeypatch, tmp_path):
    """Where two fit, of three small ones never more than two are there, and what was put away is gone at
    once: it is in no circle that only a search would find."""
    shrink(monkeypatch)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(shelf.gc, "collect", lambda: None)
    keys, made = ("vit-b-32", "vit-b-16", "rn50"), []
    for key in keys:
        fill_cache(tmp_path, MODELS[key], random_model(MODELS[key]))

    def loaded(key: str):
        clip = load(key, "cpu")
        clip.text_features(("cat", "dog"), "a {}")
        made.append(weakref.ref(clip))
        return clip

    def alive() -> int:
        return sum(clip() is not None for clip in made)

    store = Shelf(loaded, lambda _: 1.0, lambda: 2.0 + WORKING - alive())
    gc.disable()
    try:
        for turn in range(10):
            store(keys[turn % 3])
            assert alive() == min(turn + 1, 2)
    finally:
        gc.enable()
    assert len(made) == 10


def test_memory_is_the_least_of_the_machine_s_and_the_container_s(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(shelf, "CGROUPS", ())
    assert free_gigabytes() == pytest.approx(psutil.virtual_memory().available / 1e9, rel=0.2)
    for name, text in (
        ("max", "5000000000"),
        ("current", "3000000000"),
        ("stat", "anon 1\ninactive_file 1000000000"),
    ):
        (tmp_path / name).write_text(text + "\n")
    group = (*(str(tmp_path / name) for name in ("max", "current", "stat")), "inactive_file")
    monkeypatch.setattr(shelf, "CGROUPS", (group,))
    monkeypatch.setattr(shelf.psutil, "virtual_memory", lambda: type("M", (), {"available": 64e9}))
    assert free_gigabytes() == pytest.approx(3.0)
    Path(group[0]).write_text("max\n")
    assert free_gigabytes() == pytest.approx(64.0)
