"""What a shared link holds."""

import base64
import zlib

import pytest

from demo_core.story.scenes import Scene, SceneError, scene_of


def test_a_link_is_short_and_says_all_that_differs():
    assert scene_of("cat").query() == "picture=cat"
    for changes in ({"eps": 2.5}, {"labels": "cat\ndog"}, {"control": True, "seed": 7}, {"template": "{}"}):
        scene = scene_of("cat", **changes)
        assert Scene.read(scene.query()) == scene and len(scene.query()) < 60
    many = scene_of("cat", labels="\n".join(f"thing number {i}" for i in range(600)))
    assert len(many.query()) < 4000 and Scene.read(many.query()) == many


@pytest.mark.parametrize("packed", ["x", "!!!", "AAAA", "é"])
def test_packed_labels_that_are_none_get_a_sentence(packed):
    with pytest.raises(SceneError, match="labels cannot be read"):
        Scene.read(f"picture=cat&packed={packed}")


def test_a_link_unpacks_no_more_than_labels_may_be():
    bomb = base64.urlsafe_b64encode(zlib.compress(b"x" * 10_000_000)).decode()
    assert len(Scene.read(f"picture=cat&packed={bomb}").labels) < 1_000_000
