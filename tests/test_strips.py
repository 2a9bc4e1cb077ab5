"""Embeddings as the page shows them: what a script reads from the bytes is what the model compared."""

from base64 import b64decode
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from demo_core import story
from demo_core.examples import EXAMPLES
from demo_core.models import profile_of
from demo_core.pictures import open_picture, to_photo
from demo_core.story.reel import SHOWN_LABELS, reel
from demo_core.story.run import NOISE
from demo_core.story.strips import label_strips, strip


def read(found: dict) -> np.ndarray:
    """As the page's script does."""
    return np.frombuffer(b64decode(found["bytes"]), dtype=np.int8) * found["largest"] / 127


@pytest.fixture(scope="module")
def run(clip):
    settings = story.Settings(tuple(f"a {i}" for i in "bcdefghijk"), "{}.", steps=2)
    photo = to_photo(open_picture(EXAMPLES[1].path))
    *_, found = story.whole(clip, story.begin(clip, photo, settings, profile_of("photo")))
    return found


def test_a_strip_is_the_unit_vector_to_half_a_step():
    features = torch.randn(640, generator=torch.Generator().manual_seed(0)) * 7
    features[3] = 200.0  # one large number, as real CLIPs have
    unit = F.normalize(features, dim=0)
    found = read(strip(features))
    assert np.abs(found - unit.numpy()).max() <= unit.abs().max().item() / 127 / 2 + 1e-6
    assert read(strip(torch.zeros(8))).tolist() == [0] * 8


def test_the_page_finds_the_cosines_that_the_model_found(run):
    found = reel(run)
    for frame, moment in zip(found["frames"][:2], run.moments):
        mine = read(frame["strip"])
        for index, label in found["strips"].items():
            cosine = F.cosine_similarity(moment.features[0], run.text[int(index)], dim=0).item()
            assert mine @ read(label) == pytest.approx(cosine, abs=0.01)


def test_where_the_bars_tell_what_these_numbers_do_not_it_is_said(run):
    """Of an answer from several looks; a row that answers of the picture itself says nothing."""
    assert f"comes from {run.looks} looks at it, taken together" in reel(run)["frames"][-1]["bars"]
    assert {frame["bars"] for frame in reel(run)["frames"][:-1]} == {""}
    same = replace(run, defended=run.final.probabilities)
    assert reel(same)["frames"][-1]["bars"] == ""


def test_every_label_that_a_bar_names_has_its_strip(run):
    named = {index for frame in reel(run)["frames"] for index, _ in frame["top"]}
    assert named <= set(map(int, label_strips(run, SHOWN_LABELS)))


def test_the_test_is_made_of_the_changes_that_are_shown(run):
    for signals in (run.clean_signals, run.attacked_signals):
        names = [nudge.name for nudge in signals.nudges]
        assert names[0] == NOISE and len(names) == 6 and "mirrored" in names
        assert signals.nudges[0].drift == signals.tau
        assert sum(n.drift for n in signals.nudges[1:]) / 5 == pytest.approx(signals.view_drift, abs=1e-5)
        assert all(0 <= n.label < 10 for n in signals.nudges)
    shown = reel(run)["nudges"]
    assert list(shown) == ["clean", "attacked"] and [n[0] for n in shown["clean"]] == names
