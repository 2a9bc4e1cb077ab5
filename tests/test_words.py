"""What is said of a run, case by case, on runs made by hand."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from demo_core.ascent import Budget
from demo_core.attacks import ATTACKS
from demo_core.counterattack import TAU
from demo_core.defenses import (
    AGREEMENT,
    CERTIFIED,
    CORRUPTION,
    DEFENSES,
    LOW_PASS,
    PADDING,
    RANK,
    UNISON,
    VIEW_DRIFT,
    Gate,
    OwnConfig,
    Profile,
)
from demo_core.defenses.drift import CLEAN_PILE
from demo_core.models import study_of
from demo_core.story import Moment, Reading, Run, Settings, Signals, words
from demo_core.story.gate_words import in_percent, in_tenths
from demo_core.story.page_words import PAGE_WORDS, told, tour
from demo_core.ui import lab

LABELS = ("cat", "dog", "lion")
OVER = Gate(VIEW_DRIFT, 0.3)
VIEWS = Profile(OwnConfig(OVER, Budget(eps=3 / 255, steps=2)))
CAT, DOG, LION = (torch.eye(3)[i] * 0.85 + 0.05 for i in range(3))
STEADY, UNSTEADY = Signals(0.5, 0.1), Signals(0.1, 0.9)


def moment(probabilities: torch.Tensor = CAT, size: float = 0.0) -> Moment:
    return Moment(torch.full((1, 3, 8, 8), size), torch.eye(3)[:1] + size, probabilities)


def clean(profile: Profile = VIEWS, probabilities: torch.Tensor = CAT, fit=None, **changes) -> Run:
    """A picture of a cat, and CLIP says so."""
    chosen = Settings(LABELS, "{}", **{"truth": 0, "steps": 2} | changes)
    pixels = torch.full((1, 3, 8, 8), 0.5)
    return Run(chosen, profile, pixels[0], pixels, torch.eye(3), moment(probabilities), STEADY, fit=fit)


def attacked(run: Run | None = None, says: torch.Tensor = DOG) -> Run:
    run = run or clean()
    path = (moment(), moment(CAT, 1 / 255), moment(says, 2 / 255))
    return replace(run, attack=path, attacked_signals=UNSTEADY)


def fought(
    run: Run, says: torch.Tensor = CAT, reading: Reading | None = None, steps: int | None = None
) -> Run:
    """The run after its defence."""
    count = run.defence_steps + 1 if steps is None else steps
    engaged = reading is None or reading.weight >= 0.5
    final = moment(says, 1 / 255 if count else 0.0)
    path = (moment(DOG, 1 / 255),) * count
    return replace(run, reading=reading, engaged=engaged, defence=path, final=final, defended=says)


HIGH, LOW = Reading(VIEW_DRIFT, 0.9, 1.0), Reading(VIEW_DRIFT, 0.1, 0.0)
ENGAGED = (
    "Nudge the picture by one pixel or mirror it, and CLIP’s view of it jumps (view drift 0.90 > 0.30):"
    " suspicious, so CLIP fights back."
)
SHUT = "Looks clean (view drift 0.10 < 0.30): no counterattack."
SLIPPED = "The attack slipped past the test (view drift 0.10 < 0.30): no counterattack."
CLOSED = replace(clean(), control=True)
CASES = {
    "clean only": (clean(), "The model sees “cat”."),
    "running": (replace(clean(), attack=(moment(),)), "The attack is running …"),
    "failed": (
        attacked(says=CAT),
        "The attack did not change CLIP’s answer: “cat” stands.",
    ),
    "succeeded": (attacked(), "The attack turned “cat” into “dog”."),
    "eps 0": (attacked(clean(eps=0.0), CAT), "With eps 0 nothing changes: “cat” stands."),
    "targeted": (
        attacked(clean(attack="targeted_pgd", target=2), LION),
        "The attack turned “cat” into “lion”.",
    ),
    "adaptive": (
        attacked(clean(adaptive=True)),
        "The attack, made through the defence, turned “cat” into “dog”.",
    ),
    "engaged": (replace(attacked(), reading=HIGH, engaged=True), ENGAGED),
    "gate shut": (
        fought(attacked(), DOG, LOW, steps=0),
        f"{SLIPPED} Not recovered: with the defence CLIP says “dog”, not “cat”.",
    ),
    "gate shut, by who knew it": (
        fought(attacked(clean(adaptive=True)), DOG, LOW, steps=0),
        f"The attacker knew this defence. {SLIPPED} Not recovered: with the defence CLIP says “dog”, not"
        " “cat”.",
    ),
    "gate shut on an attack that failed": (
        fought(attacked(says=CAT), CAT, LOW, steps=0),
        f"{SHUT} “cat” stands.",
    ),
    "recovered": (fought(attacked(), CAT, HIGH), f"{ENGAGED} Recovered: CLIP says “cat” again, not “dog”."),
    "not recovered": (
        fought(attacked(), LION, HIGH),
        f"{ENGAGED} Not recovered: with the defence CLIP says “lion”, not “cat”.",
    ),
    "stands": (fought(attacked(says=CAT), CAT, HIGH), f"{ENGAGED} “cat” stands."),
    "control kept": (fought(CLOSED, CAT, LOW, 0), f"{SHUT} CLIP still says “cat”."),
    "control changed": (
        fought(CLOSED, DOG, HIGH),
        f"{ENGAGED} A cost of the defence: the clean picture changed from “cat” to “dog”.",
    ),
    "unknown truth, again": (
        fought(attacked(clean(truth=None)), CAT, HIGH),
        f"{ENGAGED} CLIP says “cat” again, as before the attack.",
    ),
    "unknown truth, other": (
        fought(attacked(clean(truth=None)), LION, HIGH),
        f"{ENGAGED} CLIP now says “lion”; before the attack it said “cat”.",
    ),
    "unknown truth, throughout": (
        fought(attacked(clean(truth=None), CAT), CAT, HIGH),
        f"{ENGAGED} CLIP says “cat” throughout.",
    ),
    "no label fits": (
        clean(truth=None, fit=0.1),
        "None of these labels seems to fit the picture (a chance of 10 % that one does): whatever CLIP says"
        " of it is a guess. Write a label that names what you see. The model sees “cat”.",
    ),
    "unsure": (
        clean(truth=None, probabilities=torch.tensor([0.4, 0.3, 0.3])),
        "CLIP was not sure before any attack: “cat” with 40 %. The model sees “cat”.",
    ),
    "wrong before": (
        clean(truth=1),
        "CLIP had this picture wrong before any attack: it is “dog”, and CLIP said “cat”. The"
        " model sees “cat”.",
    ),
    "tau": (
        fought(attacked(clean(Profile())), CAT, Reading(TAU, 0.1, 1.0)),
        "A little noise hardly moves CLIP’s view of it (tau 0.10 < 0.20): suspicious, so"
        " CLIP fights back. Recovered: CLIP says “cat” again, not “dog”.",
    ),
    "tau, shut": (
        fought(attacked(clean(Profile())), CAT, Reading(TAU, 0.5, 0.0), 0),
        "The attack slipped past the test (tau 0.50 > 0.20): no counterattack, only the probing noise."
        " Recovered by the probing noise alone: CLIP says “cat” again, not “dog”.",
    ),
}


@pytest.mark.parametrize("run, said", CASES.values(), ids=CASES)
def test_the_verdict(run, said):
    assert words.verdict(run) == said


NO_GATE = "This defence has no gate: it acts on every picture."
AGAIN = "Recovered: CLIP says “cat” again, not “dog”."
PUSHED = "the same frozen model pushes the picture’s embedding away from where the attacker left it."
UNSTEADY_TEST = "Nudged by one pixel or mirrored, its embedding moves by 0.90 of its length: over 0.30 it is"
# For each row: what its gate read, the test, the first step, and the verdict but for how it ended.
ROWS = {
    "none": (None, NO_GATE, "", f"{NO_GATE} It moves no pixel: it looks at the picture once."),
    "rn": (None, NO_GATE, "A little random noise is added, and nothing else.", NO_GATE),
    "low_pass": (
        None,
        NO_GATE,
        "",
        f"{NO_GATE} It takes no step: it changes the picture as a whole, and looks at it once.",
    ),
    "padding": (
        Reading(PADDING, 0.35, 1.0),
        "Does it hold still? Padding looks how alike the picture is with and without a black border, 1 being"
        " the same: below 0.8 it is suspiciously unlike.",
        "",
        "Inside a black border the picture tells another story (padding cosine 0.35 < 0.80): the bordered"
        " picture is judged.",
    ),
    "tte": (None, NO_GATE, "", f"{NO_GATE} It moves no pixel: it looks at the picture 10 times."),
    "anti_adversary": (
        None,
        NO_GATE,
        "Step 0 of 2: every pixel is pushed a little so that the first guess grows more certain.",
        NO_GATE,
    ),
    "hedge": (
        None,
        NO_GATE,
        "Step 0 of 4: every pixel is pushed a little away from every label at once.",
        NO_GATE,
    ),
    "ttc": (
        Reading(TAU, 0.1, 1.0),
        "Does it hold still? A little noise moves its embedding by 0.10 of its length: below 0.20 it is"
        " suspiciously still.",
        f"Step 0 of 2: {PUSHED}",
        "A little noise hardly moves CLIP’s view of it (tau 0.10 < 0.20): suspicious, so CLIP fights back.",
    ),
    "doc": (
        Reading("tau_hat", 0.005, 0.9),
        "Does it hold still? DOC looks how far a little noise turns it: below 0.01 it is suspiciously still.",
        f"Step 0 of 4: {PUSHED}",
        "A little noise hardly moves CLIP’s view of it (tau hat 0.0050 < 0.0100): 90 % of"
        " the counterattack is added.",
    ),
    "mac": (
        Reading("corruption degree", 0.69, 0.27),
        "Does it hold still? MAC looks how far a random view moves it: over 0.7 it is suspiciously unsteady.",
        f"Step 0 of 4: {PUSHED}",
        "The attack slipped past the test (corruption degree 0.69 < 0.70):"
        " 27 % of the counterattack is added.",
    ),
    "csr": (
        Reading(LOW_PASS, 0.46, 1.0),
        "Does it hold still? CSR looks how alike the picture and its low frequencies are, 1 being the same:"
        " below 0.85 it is suspiciously unlike.",
        "Step 0 of 3: every pixel is pushed a little so that the embedding goes where its low frequencies"
        " are.",
        "Blur the picture, and it tells CLIP another story (low-pass cosine 0.46 < 0.85):"
        " suspicious, so CLIP fights back.",
    ),
    "dbd": (
        Reading(AGREEMENT, 0.95, 1.0),
        "Does it hold still? DBD looks how well its views agree on where the embedding should go, 1 being"
        " fully: over 0.8 it is suspiciously united.",
        "",
        "However the picture is changed, CLIP’s view of it moves the same way (agreement of shifts 0.95 >"
        " 0.80): the defence moves CLIP’s view further that way.",
    ),
    "agc": (None, NO_GATE, "", f"{NO_GATE} It moves no pixel: it looks at the picture 33 times."),
    "tvss": (
        Reading(RANK, 3.0, 1.0),
        NO_GATE,
        "",
        f"{NO_GATE} It moves no pixel: it looks at the picture 8 times. Its crops differ from the"
        " picture in 3 directions, and are moved along these.",
    ),
    "smoothing": (
        Reading(CERTIFIED, 0.043, 1.0),
        NO_GATE,
        "",
        f"{NO_GATE} It moves no pixel: it looks at the picture 40 times. It is all but certain (99.9 %) that"
        " no change shorter than 0.043 (l2, of pixels in [0, 1]) turns what most noisy versions of it are"
        " called, right or wrong: spread over all pixels, that is 0.79/255 each.",
    ),
    "shift": (
        Reading(UNISON, 0.95, 1.0),
        "Does it hold still? Ours (feature space) looks how well its views agree on where the embedding"
        " should go, 1 being fully: over 0.8 it is suspiciously united.",
        "",
        "However the picture is changed, CLIP’s view of it moves the same way (agreement of views 0.95 >"
        " 0.80): the defence moves CLIP’s view further that way.",
    ),
    "default": (
        HIGH,
        f"Does it hold still? {UNSTEADY_TEST} suspiciously unsteady.",
        f"Step 0 of 2: {PUSHED}",
        ENGAGED,
    ),
}


def test_every_row_has_its_words():
    assert ROWS.keys() == DEFENSES.keys()


@pytest.mark.parametrize("key", ROWS)
def test_a_defence_in_words(key):
    reading, test, step, gate = ROWS[key]
    start = attacked(clean(defense=key))
    run = fought(start, CAT, reading, 0 if not step else None)
    run = replace(
        run, looks={"tte": 10, "dbd": 32, "agc": 33, "low_pass": 1, "tvss": 8, "smoothing": 40}.get(key)
    )
    changes = {"rn": "random noise", "low_pass": "blur", "padding": "black border"}
    if not step and key in changes:
        run = replace(run, final=moment(CAT, 0.3))
    assert words.testing(start) == words.testing(run) == test
    if step:
        assert words.countering(run, run.defence[0], 0) == f"{step} It says “dog” (90 %)."
    assert words.verdict(run) == f"{gate} {AGAIN}"
    assert words.adding(run) == changes.get(key, "counterattack" if step else "")
    stops = tour(told(run))
    assert [stop["act"] for stop in stops] == [0, 1, 2, 3, -1] and stops[3]["text"].endswith(AGAIN)
    assert (words.NO_TEST == stops[2]["text"]) == (test == NO_GATE)
    gate = run.gate.signal if run.gate else None
    assert ("jumps" in stops[2]["text"]) == (gate in (VIEW_DRIFT, CORRUPTION)), "told by the deciding signal"
    assert ("falsely stable" in stops[2]["text"]) == (gate == TAU)
    assert ("model, unchanged" in stops[3]["text"]) == (reading is not None and bool(step))


def test_a_certificate_without_numbers_and_none():
    start = attacked(clean(defense="smoothing"))
    certified, abstains = (
        fought(start, CAT, Reading(CERTIFIED, radius, 1.0), None) for radius in (0.043, 0.0)
    )
    said = words.decided(certified, numbers=False)
    assert said.endswith("no tiny change turns what most noisy versions of it are called, right or wrong.")
    assert "Too few of the noisy draws agree" in words.verdict(abstains)
    assert "l2" not in said + words.verdict(abstains)


def test_a_row_that_moves_no_pixel_speaks_of_no_counterattack():
    rested = fought(attacked(clean(defense="shift")), CAT, Reading(UNISON, 0.5, 0.0), None)
    assert words.verdict(rested).startswith(
        "The attack slipped past the test (agreement of views 0.50 < 0.80): the defence moves"
        " CLIP’s view a little."
    )


def test_where_it_was_stopped():
    running = replace(clean(), attack=(moment(), moment()))
    assert words.stopped(running) == "Stopped after step 1 of 2 of the attack."
    begun = replace(attacked(), reading=HIGH, engaged=True, defence=(moment(),))
    assert words.stopped(begun) == "Stopped after step 0 of 2 of the counterattack."
    looking = replace(attacked(clean(defense="tte")), engaged=True)
    assert words.stopped(looking) == "Stopped before the defence had answered."
    assert words.stopped(attacked()) == words.stopped(fought(attacked(), CAT, HIGH)) == ""


def test_steps_of_an_attack():
    run = attacked()
    assert words.opening(run) == "CLIP compares the picture with 3 labels and finds “cat” likeliest (90 %)."
    assert [words.attacking(run, m, i) for i, m in enumerate(run.attack)] == [
        "PGD starts from random noise too faint to see, at most 4/255 a pixel. CLIP says “cat” (90 %).",
        "Step 1 of 2: every pixel is pushed a little further the wrong way, never beyond 4/255. CLIP says"
        " “cat” (90 %).",
        "No pixel moved by more than 4/255, too little to see, and CLIP says “dog” (90 %) instead of “cat”.",
    ]
    aimed = attacked(clean(attack="targeted_pgd", target=2))
    assert "pushed a little further towards the target" in words.attacking(aimed, aimed.attack[1], 1)


def test_a_patch_is_told_as_what_anyone_can_see():
    """Never as a bound on a pixel; also where eps, which it does not keep to, is 0."""
    run = attacked(clean(attack="patch", patch=20, eps=0.0))
    said = [words.attacking(run, m, i) for i, m in enumerate(run.attack)]
    assert said == [
        "Patch starts from random colours in a square of 20 % of the picture’s side. CLIP says “cat” (90 %).",
        "Step 1 of 2: every colour in the square is pushed a little further the wrong way, the rest is left."
        " CLIP says “cat” (90 %).",
        "Only a square of 20 % of the picture’s side was painted over, for anyone to see, and CLIP says “dog”"
        " (90 %) instead of “cat”.",
    ]
    assert words.verdict(run) == "The attack turned “cat” into “dog”."
    assert "a square of 20 %" in tour(told(run))[1]["text"]
    everything = " ".join(
        [*said, ATTACKS["patch"].help, *(str(stop["text"]) for stop in tour(told(run))[:2])]
    )
    assert "/255" not in everything and "more than" not in everything and "grey levels" not in everything


def test_a_black_box_tries_squares():
    run = attacked(clean(attack="square"))
    assert words.attacking(run, run.attack[0], 0).startswith("Square starts from stripes too faint to see")
    assert "a random square is tried" in words.attacking(run, run.attack[1], 1)


@pytest.mark.parametrize(
    "value, line, said",
    [
        (0.9, 0.3, ("0.90", "0.30")),
        (0.3139, 0.3138, ("0.3139", "0.3138")),
        (0.31234, 0.31233, ("0.31234", "0.31233")),
        (0.3138, 0.3138, ("0.3138", "0.3138")),
        (0.1 + 0.2, 0.3, ("0.30000000000000004", "0.29999999999999999")),
        (1e-300, 2e-300, ("1e-300", "2e-300")),
        (-0.0, 0.0, ("0.0000", "0.0000")),
    ],
)
def test_two_numbers_are_told_apart(value, line, said):
    assert words.told_apart(value, line) == said
    assert (said[0] == said[1]) == (value == line)


def test_the_page_s_own_words_are_fixed():
    with pytest.raises(TypeError):
        PAGE_WORDS["next"] = "other"
    assert all(PAGE_WORDS.values())


@pytest.mark.parametrize("key", ["photo", "photo-fare"])
def test_the_attacked_photographs_behind_the_threshold_met_the_attack_that_is_named(key):
    rows = study_of(key).find(VIEW_DRIFT, encoder=study_of(key).probing)
    assert all(pile.startswith("PGD-10, ") for pile in rows if pile != CLEAN_PILE)
    assert "under PGD-10 (of the nearest eps" in PAGE_WORDS["threshold_others"]


def test_an_answer_that_nearly_was_another_is_told_as_one():
    run = fought(attacked(), CAT, HIGH)
    most = run.defended.argmax()[None]
    barely = replace(run, defended=torch.full_like(run.defended, 0.3).scatter(0, most, 0.34))
    assert words.outcome(barely) == f"{words.outcome(run)} It was a close call."
    assert words.tone(barely) == words.tone(run)


def test_the_tour_before_the_end():
    assert "has not been run" in tour(told(attacked()))[3]["text"]
    assert tour(told(fought(CLOSED, CAT, LOW, 0)))[3]["text"].startswith("The test found nothing suspicious")
    assert tour(told(CLOSED))[1]["text"] == "In this run nobody attacks: it is the control."


def test_what_the_visitor_says_of_the_first_answer():
    """Nobody knows the truth of an own picture: he may say whether the first answer is right."""
    run = fought(attacked(clean(truth=None)), CAT, HIGH)
    assert run.asks and words.tone(run) == "same" and "as before the attack" in words.verdict(run)
    right = run.judged(True)
    assert words.verdict(right).startswith("CLIP’s first answer, “cat”, is right, you say. Nudge")
    assert words.tone(right) == "good" and words.verdict(right).endswith(AGAIN)
    wrong = run.judged(False)
    assert not wrong.understood and words.tone(wrong) != "good"
    assert words.verdict(wrong).startswith("CLIP’s first answer, “cat”, is wrong, you say")
    assert right.asks and wrong.asks  # a slip of the hand is taken back
    assert wrong.judged(True) == right and right.judged(False) == wrong
    assert not fought(attacked(clean(truth=0)), CAT, HIGH).asks


@pytest.mark.parametrize(
    "shares, told_as",
    [
        ((0.904, 0.09), "90 %"),
        ((0.5, 0.498), "50.0 %"),  # the next one would be 50 %, too
        ((0.9972, 0.0028), "99.7 %"),
        ((0.99996, 0.00004), "over 99.9 %"),
        ((1.0, 0.0), "100 %"),
        ((0.996,), "99.6 %"),  # of a single label
    ],
)
def test_no_two_options_are_told_as_alike_and_nothing_as_all(shares, told_as):
    assert words.percent(torch.tensor(shares)) == told_as


def test_hardly_any_is_not_none():
    assert [in_percent(share) for share in (0, 0.004, 0.0099, 0.01)] == [
        "0 %",
        "under 1 %",
        "under 1 %",
        "1 %",
    ]
    shares = {
        0: "0.0 %",
        0.0003: "< 0.1 %",
        0.0005: "0.1 %",
        0.9994: "99.9 %",
        0.9996: "> 99.9 %",
        1: "100.0 %",
    }
    assert {share: in_tenths(share) for share in shares} == shares
    guess = clean(truth=None, fit=0.004)
    assert "a chance of under 1 % that one does" in words.caveat(guess)


def test_the_shelf_says_how_many_runs_it_keeps():
    script = (Path(lab.__file__).parent / "shelf.js").read_text()
    (most,) = re.findall(r"\bMOST_KEPT = (\d+)\b", script)
    assert PAGE_WORDS["shelf_help"].startswith(f"The last {({'6': 'six'})[most]},")
