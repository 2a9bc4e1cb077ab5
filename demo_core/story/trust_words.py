"""What is said of a calibration on a model: while it runs, of each gate, and of all together."""

from __future__ import annotations

from collections.abc import Iterable

from demo_core.defenses import DEFENSES, TAU_HAT
from demo_core.defenses.drift import Study
from demo_core.story.gate_words import gate_words, in_percent
from demo_core.story.trust import Verdict

BUTTON = "Measure this model on the example photographs"
TITLE = "Which gates can be trusted on this model"
NOT_YET = (
    "Where clean and attacked photographs lie on this model’s signals has not been measured here: the"
    " thresholds above were published for other models. Measuring it takes a minute or a few."
)
UNPRINTED = (TAU_HAT,)  # gates whose source prints no threshold
TRUSTED, PARTLY, EAGER, UNTRUSTED = (
    "can be trusted here",
    "can be trusted in part",
    "cannot be trusted here: it acts on clean pictures too",
    "cannot be trusted here",
)


def measuring(step: int, most: int) -> str:
    """While it runs."""
    return f"Measuring this model: step {step} of at most {most}"


def titles(verdict: Verdict) -> str:
    """The rows that a gate decides for."""
    *others, last = [f"“{DEFENSES[key].title}”" for key in verdict.rows]
    return f"{', '.join(others)} and {last}" if others else last


def threshold(verdict: Verdict) -> str:
    """Where it is drawn, and by whom."""
    gate = verdict.gate
    side = "below" if gate.below else "above"
    whose = "as published"
    if verdict.own:
        whose = "this model’s own"
    elif gate.signal in UNPRINTED:
        whose = "set by hand, for its paper prints none"
    return f"It acts where the {gate_words(gate.signal).name} is {side} {gate.threshold:.3g} ({whose})."


def measured(verdict: Verdict) -> str:
    """What was found: the medians, and for whom the gate opens."""
    clean, attacked = (pile.quantile(0.5) for pile in (verdict.known.clean, verdict.known.attacked))
    caught = ", ".join(f"{in_percent(share)} under {attack}" for attack, share in verdict.caught.items())
    return (
        f"Measured medians: {clean:.3g} clean, {attacked:.3g} attacked. It acts on"
        f" {in_percent(verdict.opens)} of the clean pictures and on {caught}."
    )


def judgement(verdict: Verdict) -> str:
    """Whether it can be trusted on this model."""
    if verdict.trusted:
        return TRUSTED
    if verdict.tells:
        return PARTLY
    return EAGER if verdict.opens > 0.5 else UNTRUSTED


def summary(study: Study, found: Iterable[Verdict]) -> str:
    """All in a few sentences."""
    good = [titles(verdict) for verdict in found if verdict.trusted]
    first = f"On {study.pictures} photographs, clean and attacked, "
    if good:
        first += f"the gate of {', of '.join(good)} kept them apart."
    else:
        first += "no gate kept them apart."
    return (
        f"{first} A gate can be trusted that acts on at most 10 % of the clean pictures and on at least 90 %"
        " under each attack; of so few pictures the shares are rough, and of an attacker who knows the gate"
        " they say nothing."
    )


def said(study: Study, found: Iterable[Verdict]) -> list[str]:
    """Line by line, for a terminal."""
    found = tuple(found)
    lines = []
    for verdict in found:
        lines += [f"{titles(verdict)}: {judgement(verdict)}", f"    {threshold(verdict)} {measured(verdict)}"]
    head = f"{study.title}: half the predictions change at an eps of {study.median_flip_eps:.2g}/255."
    return [head, *lines, summary(study, found)]
