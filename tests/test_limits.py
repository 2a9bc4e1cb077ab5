"""What a host allows, by environment variables."""

import pytest

from demo_core.limits import MEANINGS, Limits


def test_a_host_sets_each_limit_and_the_others_stay():
    found = Limits.read({"CLIP_MAX_STEPS": " 20 ", "CLIP_MAX_WAITING": "", "CLIP_MAX_NOTHING": "x"})
    assert found == Limits(steps=20)
    assert all(Limits.read({name: "7"}) != Limits() for name in MEANINGS)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "²"])
def test_another_thing_than_a_number_is_refused_at_the_start(text):
    with pytest.raises(SystemExit, match=f"CLIP_MAX_STEPS is “{text}”: set it to a whole number"):
        Limits.read({"CLIP_MAX_STEPS": text})
