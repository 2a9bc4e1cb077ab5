"""The words of gates: what each measures, what a picture is that calls for the defence, and what comes of it.
Part of words.py, which is all English of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from demo_core.defenses import (
    AGREEMENT,
    CERTIFIED,
    CORRUPTION,
    LOW_PASS,
    PADDING,
    RANK,
    TAU,
    TAU_HAT,
    UNISON,
    VIEW_DRIFT,
    Gate,
    linf_within,
)
from demo_core.story.run import Reading, Run


@dataclass(frozen=True)
class GateWords:
    """A signal in words. name: in short; suspect: what a picture is that calls for the defence; moves: what
    is done to the picture and what is looked at, {} being the reading where it is known before, else the
    defence; state: of a suspect, in one word; acts, rests: what comes of the gate."""

    name: str
    suspect: str
    moves: str
    state: str
    acts: str = "suspicious, so CLIP fights back"
    rests: str = "no counterattack"


_STILL = ("A little noise hardly moves CLIP’s view of it", "still")
_UNITED = (
    "However the picture is changed, CLIP’s view of it moves the same way",
    "{} looks how well its views agree on where the embedding should go, 1 being fully",
    "united",
)
_UNSTEADY = ("Nudge the picture by one pixel or mirror it, and CLIP’s view of it jumps", "unsteady")
GATES = {
    TAU: GateWords(
        "tau",
        _STILL[0],
        "A little noise moves its embedding by {} of its length",
        _STILL[1],
        rests="no counterattack, only the probing noise",
    ),
    VIEW_DRIFT: GateWords(
        "view drift",
        _UNSTEADY[0],
        "Nudged by one pixel or mirrored, its embedding moves by {} of its length",
        _UNSTEADY[1],
    ),
    TAU_HAT: GateWords("tau hat", _STILL[0], "{} looks how far a little noise turns it", _STILL[1]),
    CORRUPTION: GateWords(
        "corruption degree",
        "Change the picture a little, and CLIP’s view of it jumps",
        "{} looks how far a random view moves it",
        "unsteady",
    ),
    LOW_PASS: GateWords(
        "low-pass cosine",
        "Blur the picture, and it tells CLIP another story",
        "{} looks how alike the picture and its low frequencies are, 1 being the same",
        "unlike",
    ),
    PADDING: GateWords(
        "padding cosine",
        "Inside a black border the picture tells another story",
        "{} looks how alike the picture is with and without a black border, 1 being the same",
        "unlike",
        "the bordered picture is judged",
        "it is judged as it is",
    ),
    AGREEMENT: GateWords("agreement of shifts", *_UNITED),
    UNISON: GateWords("agreement of views", *_UNITED),
}
HARDLY = 0.005  # a share of the counterattack that rounds to none
# What comes of the gate of a row that moves no pixel, whatever it measures.
SHIFTED = ("the defence moves CLIP’s view further that way", "the defence moves CLIP’s view a little")


def _certificate(run: Run, radius: float, numbers: bool) -> str:
    """How far nothing turns what is certified, the answer of most of *all* noise, which the draws name with a
    small chance of error; and what that is beside the eps of an attack."""
    certified = "what most noisy versions of it are called"
    if not radius:
        return f"Too few of the noisy draws agree to be sure {certified}."
    if not numbers:
        return f"It is all but certain that no tiny change turns {certified}, right or wrong."
    sure = 100 * (1 - run.defense.config(run.profile).alpha)
    each = 255 * linf_within(radius, run.pixels.numel())
    return (
        f"It is all but certain ({sure:g} %) that no change shorter than {radius:.2g} (l2, of pixels in"
        f" [0, 1]) turns {certified}, right or wrong: spread over all pixels, that is {each:.2g}/255 each."
    )


def _rank(run: Run, rank: float, numbers: bool) -> str:
    """In how many directions crops differ from the picture."""
    if numbers and rank == 1:
        return "Its crops differ from the picture in 1 direction, and are moved along it."
    few = f"{rank:.0f} directions" if numbers else "a few directions"
    return f"Its crops differ from the picture in {few}, and are moved along these."


# What rows without a gate measure: in short, and (run, value, numbers) -> a sentence, numbers: with them.
MEASURED: dict[str, tuple[str, Callable[[Run, float, bool], str]]] = {
    CERTIFIED: ("certified l2 radius", _certificate),
    RANK: ("rank", _rank),
}


def measured(run: Run, numbers: bool = True) -> str:
    """What a row has measured that has no gate; empty where it has measured nothing."""
    if run.gate is not None or run.reading is None or run.reading.signal not in MEASURED:
        return ""
    return MEASURED[run.reading.signal][1](run, run.reading.value, numbers)


def told_apart(value: float, line: float) -> tuple[str, str]:
    """Two numbers with as many digits as they need to differ, and not to look like nought; equal only where
    the numbers are."""
    value, line = value + 0.0, line + 0.0  # no negative zero
    if value == line:
        return f"{value:.4f}", f"{line:.4f}"
    for digits in (2, *range(4, 18)):
        one, two = f"{value:.{digits}f}", f"{line:.{digits}f}"
        if one != two and all(float(said) or not number for said, number in ((one, value), (two, line))):
            return one, two
    return repr(float(value)), repr(float(line))


def enumerated(parts: Sequence[str], last: str = "and") -> str:
    """One after the other; last: the word before the last of several."""
    return f" {last} ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))


def so_many_of(share: float, pictures: int) -> str:
    """A share of the study's pictures in words."""
    number = round(share * pictures)
    if number == pictures or number == 0:
        few, many = ("none of", "all") if share in (0, 1) else ("hardly any of", "nearly all")
        return f"{many if number else few} {pictures}"
    return f"about {number} of {pictures}"


def in_percent(share: float) -> str:
    """A share in whole percent, where that does not make nothing or all of what is neither."""
    if 0 < share < 0.01:
        return "under 1 %"
    if 0.995 <= share < 1:
        return f"{100 * share:.1f} %" if share < 0.9995 else "over 99.9 %"
    return f"{100 * share:.0f} %"


def in_tenths(share: float) -> str:
    """A share in percent beside its bar, with one digit, by the same rule; as the page's script has it."""
    if 0 < share < 0.0005:
        return "< 0.1 %"
    return "> 99.9 %" if 0.9995 <= share < 1 else f"{100 * share:.1f} %"


def part(weight: float) -> str:
    """How much a soft gate lets through."""
    share = f"{weight * 100:.0f} %"
    return {"0 %": "hardly any", "100 %": "nearly all"}.get(share, share)


def gate_words(signal: str) -> GateWords:
    """The words of a signal; its own name for one that has none."""
    return GATES.get(signal, GateWords(signal, "Suspicious", "", "suspicious"))


_NO_GATE = "No gate: it acts on every picture."


def acted(reading: Reading | None, gate: Gate | None, bare: bool = False) -> str:
    """Whether a defence acted on a picture, and by what. reading: of its gate, if it has one; bare: of the
    row that is no defence."""
    if reading is None:
        return "Does nothing." if bare else _NO_GATE
    if gate is None and reading.signal in MEASURED:
        name, _ = MEASURED[reading.signal]
        return f"{_NO_GATE[:-1]}; {name} {reading.value:.2g}."
    by = reading_words(reading, gate) if gate else reading.signal
    acts = "Holds back" if reading.weight < HARDLY else "Acts"
    if HARDLY <= reading.weight <= 1 - HARDLY:
        acts = f"Acts in part, {part(reading.weight)}"
    return f"{acts}: {by}."


def reading_words(reading: Reading, gate: Gate) -> str:
    """What a gate measured, beside its threshold."""
    value, line = told_apart(reading.value, gate.threshold)
    sign = "<" if reading.value < gate.threshold else ("=" if reading.value == gate.threshold else ">")
    return f"{gate_words(reading.signal).name} {value} {sign} {line}"
