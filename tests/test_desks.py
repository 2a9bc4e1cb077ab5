"""What is kept of visitors between two clicks, and what is put away."""

import torch

from demo_core.ui import desks
from demo_core.ui.desks import Desks, bytes_of


def test_each_has_his_own_and_a_stranger_nothing():
    kept = Desks()
    kept.put("a", 1)
    kept.put("b", 2)
    kept.put("a", 3)
    assert (kept.of("a"), kept.of("b"), kept.of("c"), len(kept)) == (3, 2, None, 2)
    kept.clear("a")
    kept.clear("never here")
    assert kept.of("a") is None


def test_one_without_a_name_shares_with_nobody():
    kept = Desks()
    for nobody in (None, ""):
        kept.put(nobody, "a picture")
        assert kept.of(nobody) is None and len(kept) == 0


def test_the_longest_untouched_goes_first_by_number_and_by_bytes():
    kept = Desks(most=3)
    for visitor in "abcad":
        kept.put(visitor, visitor)
    assert [kept.of(visitor) for visitor in "abcd"] == ["a", None, "c", "d"]
    kept = Desks(most_bytes=100)
    for visitor in "abc":
        kept.put(visitor, torch.zeros(10))
    assert [kept.of(visitor) is None for visitor in "abc"] == [True, False, False] and kept.bytes == 80
    kept.put("large", torch.zeros(1000))
    assert kept.of("large") is not None and len(kept) == 1  # one's own work is always there


def test_what_nobody_touched_for_an_hour_goes(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(desks.time, "monotonic", lambda: now[0])
    kept = Desks()
    kept.put("early", 1)
    now[0] = 3000
    kept.put("late", 2)
    now[0] = 4000
    assert kept.of("early") is None and kept.of("late") == 2 and len(kept) == 1


def test_bytes_are_those_of_the_storages_each_counted_once():
    whole = torch.zeros(100)
    assert bytes_of({"a": (whole, whole[:10]), "b": [torch.zeros(5, dtype=torch.uint8)], "c": "text"}) == 405
