"""Three depths of the same words: one without a number, one in symbols, and all of them true of the run."""

import re
from dataclasses import replace

import pytest
import torch

from demo_core.attacks import ATTACKS
from demo_core.counterattack import TAU, step_weights
from demo_core.defenses import CERTIFIED, DEFENSES, RANK
from demo_core.story import Reading, Run, words
from demo_core.story.depths import DEPTHS, EVERYONE, PAPER, USUAL
from demo_core.story.finished import stored
from demo_core.story.page_words import PAGE_WORDS
from demo_core.story.reel import frames, reel
from demo_core.story.scenes import SCENES
from tests.test_words import CAT, DOG, HIGH, LION, LOW, attacked, clean, fought, moment


def looked(defense: str, reading: Reading | None, looks: int) -> Run:
    """A run whose defence has no gate and moves no pixel."""
    return replace(fought(attacked(clean(defense=defense)), CAT, reading, 0), looks=looks)


RUNS = {
    "nothing yet": clean(),
    "unsure": clean(truth=None, probabilities=(CAT + DOG) / 2),
    "a guess": clean(truth=None, fit=0.01),
    "wrong": attacked(clean(truth=2), LION),
    "control": fought(replace(clean(), control=True), CAT, LOW),
    "recovered": fought(attacked(), CAT, HIGH),
    "not recovered": fought(attacked(), DOG, HIGH),
    "slipped past": fought(attacked(clean(adaptive=True)), DOG, LOW),
    "soft": fought(attacked(clean(defense="mac")), CAT, Reading(TAU, 0.1, 0.7)),
    "nothing allowed": attacked(clean(eps=0), CAT),
    "looks": looked("tte", None, 10),
    "crops": looked("tvss", Reading(RANK, 1.0, 1.0), 8),
    "certified": looked("smoothing", Reading(CERTIFIED, 0.043, 1.0), 40),
    "not certified": looked("smoothing", Reading(CERTIFIED, 0.0, 1.0), 40),
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_every_moment_is_told_in_every_depth(run):
    found = reel(run)
    for told in (found["verdict"], *found["frames"]):
        assert set(told["depths"]) == set(DEPTHS) - {USUAL} and all(told["depths"].values())
    plain = [f["depths"]["everyone"] for f in found["frames"]] + [found["verdict"]["depths"]["everyone"]]
    for said in plain:
        assert not re.search(r"[0-9]|embedding|drift|\beps\b", said) and len(said) < 220
    assert all("ŷ" in f["depths"]["paper"] or f["act"] in (2, 3) for f in found["frames"])


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("depth", DEPTHS.values(), ids=DEPTHS)
def test_every_attack_and_defence_has_its_words(depth, attack):
    for defense in DEFENSES:
        run = clean(attack=attack, defense=defense, target=1)
        said = [depth.attacking(run, moment(DOG), 1), depth.testing(run), depth.countering(run, moment(), 1)]
        assert all(s.endswith((".", "?")) and "{" not in s for s in said)


def test_numbers_are_the_run_s_own():
    run = fought(attacked(), CAT, HIGH)
    last = [f for f in frames(run) if f["act"] == 1][-1]
    assert (
        "PGD (Madry et al., ICLR 2018), step 2 of 2, ‖δₐ‖∞ ≤ 4/255: ŷ(x + δₐ) = “dog”, p = 0.900"
        in last["depths"]["paper"]
    )
    assert f"= {last['drift']:.3f}." in last["depths"]["paper"]
    assert "The gate acts where d > 0.30" in PAPER.verdict(run) and "is 0.90, so it acts." in PAPER.verdict(
        run
    )
    assert PAPER.verdict(run).endswith(words.outcome(run) + " p = 0.900.")
    patch = attacked(clean(attack="patch", patch=15))
    assert "δₐ inside a square of 15 %" in PAPER.attacking(patch, moment(DOG), 2)
    assert "Anyone sees" in EVERYONE.attacking(patch, moment(DOG), 2)


def test_the_paper_s_depth_cites_what_the_tables_cite():
    """The weights are those of the weighted sum that the paper's counterattack ends with."""
    ttc = fought(attacked(clean(defense="ttc")), CAT, Reading(TAU, 0.1, 1.0))
    assert "TTC (Xing et al., CVPR 2025, arXiv 2503.03613), argmax" in PAPER.countering(ttc, moment(), 1)
    assert "(the false stability of Xing et al., CVPR 2025) is" in PAPER.testing(ttc)
    steps = ttc.defence_steps
    whole = replace(ttc, defence=tuple(moment() for _ in range(steps + 1)))
    weights = step_weights(steps, 2.0).tolist()
    assert f"δ* = Σₜ wₜ δₜ, w = {', '.join(f'{w:.2f}' for w in weights)}. Recovered" in PAPER.verdict(whole)
    for key, row in ATTACKS.items():
        said = PAPER.attacking(clean(attack=key, target=1), moment(), 1)
        assert said.startswith(f"{row.title} ({row.source})," if row.source else f"{row.title},")


def test_every_published_defence_says_its_paper():
    ours_and_controls = {"none", "rn", "low_pass", "padding", "shift", "default"}
    assert {key for key, row in DEFENSES.items() if not row.source} == ours_and_controls


def test_a_certificate_is_certain_only_so_far_and_of_most_noise_alone():
    """What is drawn errs with a chance of alpha, and this run's own answer may be turned by other draws."""
    for depth in DEPTHS.values():
        said = depth.verdict(RUNS["certified"])
        assert "all but certain" in said and "what most noisy versions of it are called" in said
        assert "proven" not in said and "this answer" not in said
        assert ("(99.9 %)" in said) == (depth is not EVERYONE)


def test_the_paper_s_depth_calls_nothing_certain_that_is_not():
    for share, said in ((0.9994, "p = 0.999."), (0.9996, "p > 0.999."), (1.0, "p = 1.000.")):
        sure = torch.tensor([share, 1 - share, 0.0])
        run = fought(attacked(), sure, HIGH)
        assert PAPER.verdict(run).endswith(said)


def test_everyone_is_spared_numbers_below_the_verdict():
    """Of the sentences with a number for students, those of the moment have one without for everyone."""
    numbers = {"value", "drift", "most", "cosine", "count", "kept"}
    short = {key: words for key, words in PAGE_WORDS.items() if key.endswith("_everyone")}
    short = {
        key: words for key, words in short.items() if not key.startswith("axis_")
    }  # in place of an axis’s
    assert {key.removesuffix("_everyone") for key in short} <= set(PAGE_WORDS)
    for key, words_of in short.items():
        left = set(re.findall(r"{(\w+)}", words_of))
        assert left <= set(re.findall(r"{(\w+)}", PAGE_WORDS[key.removesuffix("_everyone")]))
        assert not left & numbers and not re.search(r"[0-9]", words_of)


@pytest.mark.parametrize("depth", DEPTHS.values(), ids=DEPTHS)
def test_who_knew_the_defence_is_told_and_his_picture_is_not_called_clean(depth):
    run = RUNS["slipped past"]
    said = depth.verdict(run)
    assert said.startswith("The attacker knew this defence.")
    assert "clean" not in said.split("Not recovered")[0] and "looks clean" not in depth.testing(run)


def test_doubt_is_told_to_everyone():
    assert EVERYONE.verdict(RUNS["unsure"]).startswith("It is not sure.")
    assert EVERYONE.verdict(RUNS["a guess"]).startswith("None of the labels seems to fit")
    assert "That is wrong before any attack: it is “lion”." in EVERYONE.opening(RUNS["wrong"])
    assert EVERYONE.verdict(RUNS["recovered"]).endswith("Recovered: CLIP says “cat” again, not “dog”.")


def test_what_comes_with_the_demo_is_told_in_every_depth():
    for row in SCENES.values():
        found = stored(row.scene)
        assert all(f["depths"]["everyone"] and f["depths"]["paper"] for f in found["frames"])
