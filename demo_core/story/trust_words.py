"""What is said of a calibration on a model: while it runs, of each gate, and of all together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from demo_core.defenses import DEFENSES, TAU_HAT
from demo_core.defenses.drift import Study
from demo_core.examples import EXAMPLES
from demo_core.stages import lasting
from demo_core.story.gate_words import enumerated, gate_words, so_many_of
from demo_core.story.trust import ENOUGH, QUICK, Verdict, interval

BUTTONS = {  # by how many photographs
    QUICK: f"Measure this model on {QUICK} photographs, roughly",
    len(EXAMPLES): f"Measure this model on all {len(EXAMPLES)} example photographs",
}
TITLE = "Which gates can be trusted on this model"
NOT_YET = (
    "Where clean and attacked photographs lie on this model’s signals has not been measured here: the"
    " thresholds above were published for other models. Press a button, and how long it takes is said before"
    " the first photograph; what was measured of each is shown at once, and stays after Stop."
)
FROM_MORE = "Of more photographs the shares are less rough."
UNPRINTED = (TAU_HAT,)  # gates whose source prints no threshold
TRUSTED, PARTLY, EAGER, UNTRUSTED = (
    "can be trusted here",
    "can be trusted in part",
    "cannot be trusted here: it acts on clean pictures too",
    "cannot be trusted here",
)


@dataclass(frozen=True)
class Progress:
    """How a measurement stands. picture, of pictures: that is being measured; step, of at most `steps`: the
    last that is done, 0 before the first; seconds: still to go."""

    picture: int
    pictures: int
    step: int
    steps: int
    seconds: float


def buttons(pictures: int) -> dict[int, str]:
    """What is offered where so many photographs have been measured: more of them."""
    return {number: words for number, words in BUTTONS.items() if number > pictures}


def measuring(stands: Progress) -> str:
    """While it runs, and before."""
    left = f"about {lasting(max(1, stands.seconds))}"
    if stands.step == 0:
        return f"Measuring {stands.pictures} photographs takes {left}; Stop keeps what is measured"
    photograph = f"Photograph {stands.picture} of {stands.pictures}"
    return f"{photograph}, step {stands.step} of at most {stands.steps}: {left} to go"


def titles(verdict: Verdict) -> str:
    """The rows that a gate decides for."""
    return _listed(verdict.rows)


def _listed(keys: Iterable[str]) -> str:
    return enumerated([f"“{DEFENSES[key].title}”" for key in keys])


def threshold(verdict: Verdict) -> str:
    """Where it is drawn, and by whom."""
    gate = verdict.gate
    side = "below" if gate.below else "above"
    whose = "as published"
    if verdict.own:
        whose = "this model’s own"
    elif gate.signal in UNPRINTED:
        whose = "set by hand, for its paper prints none"
    return f"It reads {gate_words(gate.signal).name}, and acts {side} {gate.threshold:.3g} ({whose})."


def share_of(share: float, pictures: int) -> str:
    """A share of so many pictures, with its interval."""
    low, high = interval(share, pictures)
    return f"{so_many_of(share, pictures)} ({100 * low:.0f}–{100 * high:.0f} %)"


def medians(verdict: Verdict) -> str:
    """Where the middle one of the clean and of the attacked photographs lies."""
    clean, attacked = (pile.quantile(0.5) for pile in (verdict.known.clean, verdict.known.attacked))
    return f"The median is {clean:.3g} clean and {attacked:.3g} attacked."


def acts_on(verdict: Verdict) -> dict[str, str]:
    """For how many of which photographs the gate opens."""
    shares = {"clean": verdict.opens} | verdict.caught
    return {which: share_of(share, verdict.known.pictures) for which, share in shares.items()}


def measured(verdict: Verdict) -> str:
    """Both in a line."""
    acts = "; ".join(f"{which}, {share}" for which, share in acts_on(verdict).items())
    return f"{medians(verdict)} It acts on: {acts}."


def judgement(verdict: Verdict) -> str:
    """Whether it can be trusted on this model."""
    if verdict.trusted:
        said = TRUSTED
    elif verdict.tells:
        said = PARTLY
    else:
        said = EAGER if verdict.opens > 0.5 else UNTRUSTED
    few = verdict.known.pictures
    return said if few >= ENOUGH else f"{said}, as far as {few} photographs can tell"


def summary(study: Study, found: Iterable[Verdict]) -> str:
    """All in a few sentences."""
    good = [key for verdict in found if verdict.trusted for key in verdict.rows]
    first = f"On {study.pictures} photographs, clean and attacked, "
    if good:
        first += f"{'the gates' if len(good) > 1 else 'the gate'} of {_listed(good)} kept them apart."
    else:
        first += "no gate kept them apart."
    return (
        f"{first} A gate can be trusted that acts on at most 10 % of the clean pictures and on at least 90 %"
        " under each attack. In brackets stands the 95 % interval of the share, of so few pictures; of an"
        " attacker who knows the gate they say nothing."
    )


def said(study: Study, found: Iterable[Verdict]) -> list[str]:
    """Line by line, for a terminal."""
    found = tuple(found)
    lines = []
    for verdict in found:
        lines += [f"{titles(verdict)}: {judgement(verdict)}", f"    {threshold(verdict)} {measured(verdict)}"]
    head = f"{study.title}: half the predictions change at an eps of {study.median_flip_eps:.2g}/255."
    return [head, *lines, summary(study, found)]
