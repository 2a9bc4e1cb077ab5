"""One way of resizing, for the page, its links and the benchmark alike."""

import open_clip
import pytest
import torch
from torchvision.transforms import v2 as transforms

from demo_core.examples import EXAMPLES
from demo_core.pictures import open_picture, perturb, to_image, to_pixels
from demo_core.resizes import OF_MANY, RESIZES, photo_for
from demo_core.story.scenes import Scene, SceneError, scene_of
from demo_core.story.settings import InputError, choose, read_settings
from demo_core.story.summary import summary


class _Like:
    """What a model says of its own preprocessing."""

    def __init__(self, image_size: int, interpolation: str = "bicubic", squash: bool = False):
        self.image_size, self.interpolation, self.squash = image_size, interpolation, squash


def paper(side: int):
    """As the paper's code has it for 224."""
    larger = round(side * 256 / 224)
    return transforms.Compose(
        [transforms.Resize(larger), transforms.CenterCrop(side), transforms.PILToTensor()]
    )


def own(side: int, squash: bool):
    """As open_clip makes it, before the normalisation."""
    mode = "squash" if squash else "shortest"
    made = open_clip.image_transform(side, is_train=False, resize_mode=mode).transforms[:-1]
    return transforms.Compose([*made, lambda x: (x * 255).round().byte()])


@pytest.mark.parametrize("side, squash", [(224, False), (224, True), (336, False)])
def test_what_the_model_sees_of_a_photo_is_pixel_for_pixel_torchvision_s(side, squash):
    clip = _Like(side, squash=squash)
    for example in EXAMPLES:
        picture = open_picture(example.path)
        for key, theirs in (("paper", paper(side)), ("clip", own(side, squash))):
            expected = theirs(picture)
            seen = to_pixels(photo_for(clip, picture, key), side)[0] * 255
            assert torch.equal(seen.round().byte(), expected)
            assert (seen - expected).abs().max() < 1e-3


def test_the_photo_shows_the_cut_that_the_model_sees_and_sharply():
    picture = open_picture(EXAMPLES[3].path)
    photo = photo_for(_Like(224), picture, "paper")
    seen = to_pixels(photo, 224)[0].repeat_interleave(2, -1).repeat_interleave(2, -2)
    assert photo.shape == (3, 448, 448) and (photo - seen).abs().mean() > 1 / 255


@pytest.mark.parametrize("key", RESIZES)
def test_an_attacked_picture_that_was_saved_is_taken_as_it_is_by_each_way(key, tmp_path):
    clip = _Like(224)
    photo = photo_for(clip, open_picture(EXAMPLES[1].path), key)
    delta = 4 / 255 * torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0)).sign()
    expected = (to_pixels(photo, 224) + delta).clamp(0, 1)
    to_image(perturb(photo, delta)).save(tmp_path / "taken.png")
    again = photo_for(clip, open_picture(tmp_path / "taken.png"), key)
    assert (to_pixels(again, 224) - expected).abs().max() < 0.5 / 255


def test_the_ways_differ_and_one_that_is_not_there_is_refused_in_one_sentence():
    picture = open_picture(EXAMPLES[1].path)
    seen = [to_pixels(photo_for(_Like(224), picture, key), 224) for key in RESIZES]
    assert all((a - b).abs().mean() > 0.1 / 255 for i, a in enumerate(seen) for b in seen[:i])
    with pytest.raises(InputError, match="There is no resize “nearest”: choose one of lab, paper, clip."):
        choose(resize="nearest")
    with pytest.raises(SceneError, match="This link’s resize, “nearest”, is not here"):
        Scene.read("picture=cat&resize=nearest")


@pytest.mark.parametrize("key", OF_MANY)
def test_a_link_keeps_the_way_and_a_run_says_it(key):
    scene = scene_of("cat", resize=key)
    assert f"resize={key}" in scene.query() and Scene.read(scene.query()) == scene
    assert "resize" not in scene_of("cat").query()
    settings = read_settings(scene, "cat")
    assert settings.resize == key and settings.chosen().resize == key
    assert ["Resize", RESIZES[key].title, key] in summary(settings)["rows"]
