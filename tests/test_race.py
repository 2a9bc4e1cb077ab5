"""Who stands in the arena, in which order, and what is said of it, on bouts made by hand."""

import re

import pytest
import torch

from demo_core.counterattack import Gate
from demo_core.defenses import CERTIFIED, CORRUPTION, DEFENSES, LOW_PASS, RANK, TAU_HAT
from demo_core.story import Bout, Reading, arena_words
from demo_core.story.axes import gauge
from demo_core.story.gate_words import acted
from demo_core.story.price import Price
from demo_core.story.race import Races, ranking, trusted
from demo_core.story.settings import Chosen
from demo_core.ui.render import arena_html
from tests.test_words import CAT, DOG, attacked, clean

SURE = torch.tensor([0.98, 0.01, 0.01])
ONE = "One picture proves nothing; the benchmark counts many."
TRY = "This attacker knew none of them: try the one who knows each."


def bout(key: str, says=DOG, control=CAT, **changes) -> Bout:
    return Bout(key, says, control, **{"forward": 3, "backward": 1, "milliseconds": 40.0} | changes)


def bouts(**special: Bout) -> tuple[Bout, ...]:
    """All rows: those named as they are given, the others fallen."""
    return tuple(special.get(key, bout(key)) for key in DEFENSES)


RUN = attacked()
STOOD = bouts(tte=bout("tte", CAT), csr=bout("csr", CAT))
ALL = bouts(**{key: bout(key, CAT) for key in DEFENSES})
CASES = {
    "not yet": (RUN, Races(STOOD[:5]), ""),
    "nobody ran": (RUN, Races(), ""),
    "none": (
        RUN,
        Races(bouts()),
        "None of them: none stands against this attacker in every draw and keeps the clean answer."
        f" {TRY} {ONE}",
    ),
    "one": (
        RUN,
        Races(bouts(tte=bout("tte", CAT))),
        f"TTE stands against this attacker and keeps the answer on the clean picture. {TRY} {ONE}",
    ),
    "two": (
        RUN,
        Races(STOOD),
        f"TTE and CSR stand against this attacker and keep the answer on the clean picture. {TRY} {ONE}",
    ),
    "fell to who knows it": (
        RUN,
        Races(STOOD, bouts(csr=bout("csr", CAT))),
        "CSR stands against both attackers and keeps the answer on the clean picture. TTE stood only while"
        f" the attacker did not know them. {ONE}",
    ),
    "all fell to who knows them": (
        RUN,
        Races(STOOD, bouts()),
        "None of them: none stands against both attackers in every draw and keeps the clean answer. TTE and"
        f" CSR stood only while the attacker did not know them. {ONE}",
    ),
    "luck": (
        RUN,
        Races(bouts(rn=bout("rn", CAT, random=True, rerolls=(3, 4)))),
        "None of them: none stands against this attacker in every draw and keeps the clean answer. In other"
        f" draws of the dice, not so: Random noise. {TRY} {ONE}",
    ),
    "every draw": (
        RUN,
        Races((), bouts(rn=bout("rn", CAT, random=True, rerolls=(4, 4)))),
        f"Random noise stands against this attacker and keeps the answer on the clean picture. {ONE}",
    ),
    "the dice still roll": (
        RUN,
        Races((), bouts(rn=bout("rn", CAT, random=True))),
        "Random noise stands against this attacker and keeps the answer on the clean picture. The dice are"
        f" being rolled again, which may change this. {ONE}",
    ),
    "a cost": (
        RUN,
        Races((), bouts(tte=bout("tte", CAT, DOG))),
        "None of them: none stands against this attacker in every draw and keeps the clean answer. The clean"
        f" picture’s answer is changed by TTE. {ONE}",
    ),
    "a cost of those that fell, too": (
        RUN,
        Races((), bouts(tte=bout("tte", CAT, DOG), csr=bout("csr", CAT), mac=bout("mac", DOG, DOG))),
        "CSR stands against this attacker and keeps the answer on the clean picture. The clean picture’s"
        f" answer is changed by TTE and MAC. {ONE}",
    ),
    "no attack": (
        RUN,
        Races(ALL),
        f"This attack did not fool even the bare model, so it tells no defence from another. {ONE}",
    ),
    "nobody knows the truth": (
        attacked(clean(truth=None)),
        Races((), bouts(tte=bout("tte", CAT))),
        "TTE stands against this attacker and keeps the answer on the clean picture. To stand means here to"
        f" say what CLIP said before, as nobody said what is right. {ONE}",
    ),
    "an attack that cannot know": (
        attacked(clean(attack="transfer")),
        Races(bouts(tte=bout("tte", CAT))),
        f"TTE stands against this attacker and keeps the answer on the clean picture. {ONE}",
    ),
}


@pytest.mark.parametrize("run, races, said", CASES.values(), ids=CASES)
def test_which_would_i_trust(run, races, said):
    assert arena_words.trust(run, races) == (f"Which would I trust? {said}" if said else "")


@pytest.mark.parametrize(
    "marked, said",
    [
        (("tte", "ttc"), "TTE wears a ⚠: what many pictures say for it is not to be trusted."),
        (("csr", "tte"), "All of these wear a ⚠: what many pictures say for them is not to be trusted."),
        (("none",), "on the clean picture. One picture"),
    ],
)
def test_who_stands_and_wears_a_mark_is_named(marked, said):
    found = arena_words.trust(RUN, Races((), bouts(tte=bout("tte", CAT), csr=bout("csr", CAT))), marked)
    assert said in found


def test_of_many_marks_who_wears_none_is_named():
    stood = bouts(**{key: bout(key, CAT) for key in ("tte", "csr", "mac")})
    found = arena_words.trust(RUN, Races((), stood), ("mac", "csr"))
    assert (
        "Of these only TTE wears no ⚠: what many pictures say for the others is not to be trusted." in found
    )


def test_the_bare_model_is_never_trusted():
    assert "none" not in trusted(RUN, Races(ALL)) and "tte" in trusted(RUN, Races(ALL))


def test_the_lanes_words_of_the_field_have_notes():
    found = (
        bout("doc", reading=Reading(TAU_HAT, 0.5, 0.0)),
        bout("mac", reading=Reading(CORRUPTION, 0.5, 0.0)),
    )
    page = arena_html(RUN, Races(found))
    noted = re.findall(r'class="term" data-term="([^"]+)"', page)
    assert {"masked gradients", "passes", "tau hat", "corruption degree"} <= set(noted)


def test_the_order():
    """Standing first, then the likelier; by the strongest attacker, whom not all may have met."""
    static = bouts(
        tte=bout("tte", CAT), csr=bout("csr", SURE), mac=bout("mac", torch.tensor([0.4, 0.5, 0.1]))
    )
    first = ranking(RUN, Races(static))
    assert first[:3] == ["csr", "tte", "mac"] and sorted(first) == sorted(DEFENSES)
    then = ranking(RUN, Races(static, (bout("none"), bout("tte", CAT), bout("csr", DOG))))
    assert then[0] == "tte" and set(then[1:3]) == {"none", "csr"} and then[3] == "mac"
    assert ranking(RUN, Races()) == []


def test_who_breaks_the_clean_answer_comes_after_who_keeps_it_and_is_no_winner():
    races = Races(bouts(tte=bout("tte", SURE, DOG), csr=bout("csr", CAT)))
    assert ranking(RUN, races)[:2] == ["csr", "tte"]
    page = arena_html(RUN, races)
    assert 'class="lane costly" style="order:2" data-key="tte"' in page
    assert page.count("lane standing") == 1 and page.count(arena_words.CLEAN[False]) == 1


def test_what_he_costs_is_said():
    assert "at most 5,542 passes" in arena_words.cost(Chosen(), 5542)
    assert "cannot be made through a defence" in arena_words.cost(Chosen(attack="transfer"), 1)


def test_what_he_may_try_is_said_beside_his_tick():
    him = Price(Chosen(defense="dbd")).knowing()
    said = arena_words.cost_of_knowing(him)
    assert f"Against “DBD” he makes it on the bare model, through it: at most {him.cost:,} passes" in said
    assert him.cost <= 1000 and him.left_out == ("gate",)
    assert "cannot be made" in arena_words.cost_of_knowing(Price(Chosen(attack="noise")).knowing())
    dear = arena_words.left_out(bout("dbd", left_out=("gate", "surrogate 1", "surrogate 2")))
    assert dear == "Too dear for him here: an attack past its gate, through a stand-in of it."
    assert arena_words.left_out(bout("dbd")) == ""


@pytest.mark.parametrize(
    "met, said",
    [
        (Races(), "They answer one after another."),
        (Races(STOOD), "All met the same attack, which knows none of them."),
        (Races((), STOOD), "Each defence met an attack made through itself."),
        (
            Races(STOOD, STOOD),
            "All met the same attack, which knows none of them, and each one made through itself.",
        ),
    ],
)
def test_above_the_lanes(met, said):
    assert arena_words.arena(RUN, met) == f"{said} The clean prediction was “cat”, which is right."
    assert arena_words.arena(attacked(clean(truth=1)), met).endswith("“cat”, which is wrong: it is “dog”.")


BELOW, SOFT = Gate(LOW_PASS, 0.85, below=True), Gate(TAU_HAT, 0.00295, below=True, slope=1690.0)


@pytest.mark.parametrize(
    "key, gate, reading, said",
    [
        ("none", None, None, "Does nothing."),
        ("tte", None, None, "No gate: it acts on every picture."),
        ("csr", BELOW, Reading(LOW_PASS, 0.28, 1.0), "Acts: low-pass cosine 0.28 < 0.85."),
        ("csr", BELOW, Reading(LOW_PASS, 0.97, 0.0), "Holds back: low-pass cosine 0.97 > 0.85."),
        ("doc", SOFT, Reading(TAU_HAT, 0.0024, 0.7), "Acts in part, 70 %: tau hat 0.0024 < 0.0029."),
        ("doc", SOFT, Reading(TAU_HAT, 0.0524, 1e-30), "Holds back: tau hat 0.0524 > 0.0029."),
        ("new", None, Reading("contrast", 0.3, 1.0), "Acts: contrast."),
        ("tvss", None, Reading(RANK, 3.0, 1.0), "No gate: it acts on every picture; rank 3."),
        (
            "smoothing",
            None,
            Reading(CERTIFIED, 0.04316, 1.0),
            "No gate: it acts on every picture; certified l2 radius 0.043.",
        ),
    ],
)
def test_the_gate_in_a_lane(key, gate, reading, said):
    assert acted(reading, gate, bare=key == "none") == said


@pytest.mark.parametrize(
    "changes, said",
    [
        ({}, ""),
        ({"random": True}, "It rolls dice; they are rolled again at the end."),
        ({"random": True, "rerolls": (1, 4)}, "Right in 1 of 4 re-rolls."),
    ],
)
def test_the_dice_in_a_lane(changes, said):
    assert arena_words.rerolls(bout("rn", **changes)) == said


def test_a_reading_on_its_own_scale():
    found = gauge(BELOW, 0.28)
    assert (found.value, found.line, found.engages) == (0.28, 0.85, (0.0, 0.85))
    above = gauge(Gate("view_drift", 0.3), 4.0)  # off the usual scale, which then grows
    assert above.value == pytest.approx(4 / 6) and above.engages == (above.line, 1.0)
    small = gauge(SOFT, 0.003)
    assert small.line == 0.25 and small.value == pytest.approx(0.003 / 0.0118)
    assert gauge(BELOW, -0.2).value == 0


def test_the_benchmark_is_linked_where_it_is_open(monkeypatch):
    link = 'href="./?view=benchmark"'
    monkeypatch.delenv("BENCHMARK_SECRET", raising=False)
    monkeypatch.delenv("SPACE_ID", raising=False)
    assert link in arena_html(RUN, Races(ALL)) and ONE.split(";")[0] in arena_html(RUN, Races(ALL))
    monkeypatch.setenv("BENCHMARK_SECRET", "known to few")
    assert link not in arena_html(RUN, Races(ALL)) and ONE in arena_html(RUN, Races(ALL))
