"""The captions of the acts and the verdict in three depths: for everyone, without a number; for students, as
words.py has them; and in the symbols of the paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch

from demo_core.attacks import ATTACKS, Attack
from demo_core.defenses import TAU, VIEW_DRIFT, Defense
from demo_core.models import MODELS
from demo_core.story import words
from demo_core.story.gate_words import gate_words, told_apart
from demo_core.story.grid import final_weights
from demo_core.story.run import Moment, Run


@dataclass(frozen=True)
class Depth:
    """title: in the switch; the others as the functions of words.py by the same names."""

    title: str
    opening: Callable[[Run], str]
    attacking: Callable[[Run, Moment, int], str]
    testing: Callable[[Run], str]
    countering: Callable[[Run, Moment, int], str]
    outcome: Callable[[Run], str]
    verdict: Callable[[Run], str]


# ---------------------------------------------------------------- for everyone


def _doubt(run: Run) -> str:
    clean = run.label(run.clean)
    if run.judgement:
        return f"You say that “{clean}” is right."
    if run.true_label is not None:
        return (
            "" if run.true_label == clean else f"That is wrong before any attack: it is “{run.true_label}”."
        )
    if run.doubted:
        return f"You say that “{clean}” is wrong: then to say it again is no recovery."
    if run.no_label_fits:
        return "None of the labels seems to fit, so whatever CLIP says is a guess."
    return "It is not sure." if run.unsure else ""


def _plain_opening(run: Run) -> str:
    return f"CLIP looks at the picture and says “{run.label(run.clean)}”. {_doubt(run)}".strip()


def _plain_attacking(run: Run, moment: Moment, step: int) -> str:
    row, clean, now = ATTACKS[run.settings.attack], run.label(run.clean), run.label(moment.probabilities)
    if step < run.attack_steps or not run.attack_finished:
        where = "paints over a part of the picture" if row.visible else "changes the picture a little"
        return f"The attacker {where}, to make CLIP err. It says “{now}”."
    if now == clean:
        return f"The attacker is done, and CLIP still says “{clean}”."
    seen = "Nobody sees the change" if words.unseen(run) else "The picture is nearly the same"
    seen = "Anyone sees what was painted over" if row.visible else seen
    return f"{seen}, but CLIP now says “{now}” instead of “{clean}”."


def _plain_testing(run: Run) -> str:
    if run.gate is None:
        return words.NO_TEST
    if run.signal is None:
        return "Is something wrong with this picture? The defence decides by a test of its own."
    if run.gate.engages(torch.tensor(run.tested[run.signal])):
        return f"Is something wrong with this picture? {gate_words(run.signal).suspect}: it is suspicious."
    passed = "The attack slips past the test" if words.fooled(run) else "It passes the test: it looks clean"
    return f"Is something wrong with this picture? {passed}."


def _plain_countering(run: Run, moment: Moment, step: int) -> str:
    where = "it was" if run.control else "the attacker left it"
    what = f"CLIP nudges the picture itself, away from where {where}"
    if run.gate is None:
        what = "The defence changes the picture a little"
    return f"{what}. CLIP says “{run.label(moment.probabilities)}”."


def _plain_verdict(run: Run) -> str:
    ended = run.defended is not None
    came = words.standing(run, numbers=False) if ended or run.engaged is None else ""
    return f"{_doubt(run)} {came}".strip()


# ---------------------------------------------------------------- in the symbols of the paper


def _answer(run: Run, of: str, probabilities: torch.Tensor) -> str:
    return f"ŷ({of}) = “{run.label(probabilities)}”, {_likely(probabilities)}"


def _likely(probabilities: torch.Tensor) -> str:
    """How likely the likeliest label is; 1 only where it is."""
    most = probabilities.max().item()
    return "p > 0.999" if 0.9995 <= most < 1 else f"p = {most:.3f}"


def _exact_opening(run: Run) -> str:
    count = len(run.settings.labels)
    found = f"ŷ = argmaxₖ cos(f(x), g(tₖ)) over K = {count} labels: {_answer(run, 'x', run.clean)}."
    return f"{found} {words.caveat(run)}".strip()


def _exact_attacking(run: Run, moment: Moment, step: int) -> str:
    settings, row = run.settings, ATTACKS[run.settings.attack]
    bound = f"‖δₐ‖∞ ≤ {settings.eps * 255:g}/255"
    if row.visible:
        bound = f"δₐ inside {words.patch(run)}"
    found = _answer(run, "x + δₐ", moment.probabilities)
    return (
        f"{_cited(row)}, step {step} of {run.attack_steps}, {bound}: {found};"
        f" ‖f(x + δₐ) − f(x)‖ / ‖f(x)‖ = {run.drift(moment):.3f}."
    )


def _cited(row: Attack | Defense) -> str:
    """A method's title, and where it is from."""
    return f"{row.title} ({row.source})" if row.source else row.title


# A signal's symbol, and its formula; the paper's are cited by their names, as its code is.
_SIGNALS = {
    TAU: ("τ", "τ = ‖f(x′ + n) − f(x′)‖ / ‖f(x′)‖ (the false stability of Xing et al., CVPR 2025)"),
    VIEW_DRIFT: ("d", "d, the mean over small views v of ‖f(v(x′)) − f(x′)‖ / ‖f(x′)‖,"),
}


def _exact_testing(run: Run) -> str:
    if run.gate is None or run.signal is None:
        return words.testing(run)
    symbol, formula = _SIGNALS[run.signal]
    value, line = told_apart(run.tested[run.signal], run.gate.threshold)
    engages = bool(run.gate.engages(torch.tensor(run.tested[run.signal])))
    sign = "<" if run.gate.below else ">"
    probe = " (f: the encoder that it was tuned from)" if MODELS[run.settings.model].original else ""
    came = "acts" if engages else "does not act"
    return f"The gate acts where {symbol} {sign} {line}: {formula} is {value}{probe}, so it {came}."


def _exact_countering(run: Run, moment: Moment, step: int) -> str:
    start = "x" if run.control else "x + δₐ"
    aim = ", argmax ‖f(x′ + δ) − f(x′)‖²" if run.settings.defense == "ttc" else ""
    return (
        f"{_cited(run.defense)}{aim}, step {step} of {run.defence_steps}, x′ = {start}:"
        f" {_answer(run, 'x′ + δ', moment.probabilities)};"
        f" ‖f(x′ + δ) − f(x′)‖ / ‖f(x′)‖ = {run.push(moment):.3f}."
    )


def _exact_outcome(run: Run) -> str:
    if run.defended is None:
        return words.outcome(run)
    said = f"{words.outcome(run)} {_likely(run.defended)}."
    weights = final_weights(run)
    if not weights:
        return said
    told = ", ".join(f"{weight:.2f}" for weight in weights)
    return f"δ* = Σₜ wₜ δₜ, w = {told}. {said}"


def _exact_verdict(run: Run) -> str:
    if run.engaged is None or run.defended is None:
        return words.verdict(run)
    gate = _exact_testing(run) if run.gate is not None and run.signal is not None else words.decided(run)
    said = [words.caveat(run), words.attacker(run), gate, _exact_outcome(run)]
    return " ".join(filter(None, said))


EVERYONE = Depth(
    "Everyone",
    _plain_opening,
    _plain_attacking,
    _plain_testing,
    _plain_countering,
    words.outcome,
    _plain_verdict,
)
STUDENT = Depth(
    "Student",
    words.opening,
    words.attacking,
    words.testing,
    words.countering,
    words.outcome,
    words.verdict,
)
PAPER = Depth(
    "Paper",
    _exact_opening,
    _exact_attacking,
    _exact_testing,
    _exact_countering,
    _exact_outcome,
    _exact_verdict,
)
USUAL = "student"  # what the page begins with
DEPTHS: Mapping[str, Depth] = MappingProxyType({"everyone": EVERYONE, USUAL: STUDENT, "paper": PAPER})
