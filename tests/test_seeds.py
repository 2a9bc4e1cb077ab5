"""Several seeds: each draw is that seed's own run, and they are counted as they are."""

from dataclasses import replace

import pytest

from demo_core import story
from demo_core.examples import EXAMPLES
from demo_core.labels import PRESETS
from demo_core.models import profile_of
from demo_core.pictures import open_picture, to_photo
from demo_core.story.seed_words import drawn, outcome
from demo_core.story.seeds import DRAWS, Draw, draws
from demo_core.ui.render import seeds_html


@pytest.fixture(scope="module")
def run(clip):
    settings = story.Settings(tuple(PRESETS["Everyday"]), "a photo of a {}.", steps=2, seed=3, truth=0)
    return story.begin(clip, to_photo(open_picture(EXAMPLES[1].path)), settings, profile_of("photo"))


def test_each_draw_is_that_seed_s_own_run(clip, run):
    steps = list(draws(clip, run))
    found = steps[-1]
    assert [draw.seed for draw in found] == list(range(3, 3 + DRAWS))
    assert len(steps) > 3 * DRAWS  # places to stop at
    own = list(story.whole(clip, run.under(seed=5)))[-1]
    assert found[2] == Draw.of(own)
    assert (
        len({round(own.attack_drift[-1], 6), round(list(story.attack(clip, run))[-1].attack_drift[-1], 6)})
        == 2
    )


def test_the_largest_seed_goes_on_with_nought(clip, run):
    assert [draw.seed for draw in next(reversed(list(draws(clip, run.under(seed=2**32 - 2)))))][:3] == [
        2**32 - 2,
        2**32 - 1,
        0,
    ]


TURNED = Draw(0, 1, 0, True, True, True)
LOST, NEVER, HARMED = (
    replace(TURNED, defended=1, held=False),
    replace(TURNED, attacked=0, turned=False),
    replace(TURNED, attacked=0, defended=1, turned=False, held=False),
)


def test_what_is_said_of_them(run):
    right = run.settings.labels[0]
    assert drawn(run, [TURNED] * 6 + [LOST, NEVER]) == (
        f"In 7 of 8 draws the attack turns “{right}” into something else. After the defence CLIP says"
        f" “{right}” again in 6 of these 7."
    )
    assert "of 2 draws so far, of 8" in drawn(run, [TURNED, LOST])
    assert drawn(run, [NEVER] * 8).startswith("In 0 of 8 draws") and "again" not in drawn(run, [NEVER] * 8)
    assert "In 1 the defence itself takes it away." in drawn(run, [TURNED] * 7 + [HARMED])
    unknown = drawn(run.under(truth=None), [TURNED])
    assert unknown.endswith("nobody said: it is CLIP’s first answer.")
    assert [outcome(draw) for draw in (TURNED, LOST, NEVER, HARMED)] == [
        "brought back",
        "not brought back",
        "never turned",
        "lost by the defence",
    ]


def test_labels_are_words_in_the_table(run):
    odd = run.under(labels=("<b>cat</b>", "dog"))
    assert "<b>cat" not in seeds_html(odd, [TURNED]) and seeds_html(odd, [TURNED]).count("<tr>") == 2
