"""All English of a run: each sentence is a function of the run. What the page says by itself is in
page_words.py."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from demo_core.attacks import ATTACKS, Attack
from demo_core.defenses import CORRUPTION, TAU, TAU_HAT, VIEW_DRIFT, transformed
from demo_core.story.run import Moment, Run

ACTS = ("The picture", "The attack", "The test", "The counterattack")
PICTURES = ("clean", "attacked", "defended")


@dataclass(frozen=True)
class _Gate:
    """A signal in words. name: in short; suspect: what a picture is that calls for the counterattack; moves:
    what is done to the picture and how far its embedding moves; state: of a suspect, in one word."""

    name: str
    suspect: str
    moves: str
    state: str


_STILL, _UNSTEADY = ("Falsely stable", "still"), ("Unsteady under small views", "unsteady")
_GATES = {
    TAU: _Gate("tau", _STILL[0], "A little noise moves its embedding by {} of its length", _STILL[1]),
    VIEW_DRIFT: _Gate(
        "view drift",
        _UNSTEADY[0],
        "Nudged by one pixel or mirrored, its embedding moves by {} of its length",
        _UNSTEADY[1],
    ),
    TAU_HAT: _Gate("tau hat", _STILL[0], "{} looks how far a little noise turns it", _STILL[1]),
    CORRUPTION: _Gate(
        "corruption degree",
        "Unsteady under a random view",
        "{} looks how far a random view moves it",
        "unsteady",
    ),
}
# What a step does, where it does not push the embedding away from where it was.
_STEPS = {
    "rn": "a little random noise is added, and nothing else",
    "anti_adversary": "every pixel is pushed a little so that the first guess grows more certain",
    "hedge": "every pixel is pushed a little away from every label at once",
}


def percent(probabilities: torch.Tensor) -> str:
    """How likely the likeliest label is."""
    return f"{probabilities.max().item() * 100:.0f} %"


def told_apart(value: float, line: float) -> tuple[str, str]:
    """Two numbers with as many digits as they need to differ; equal only where the numbers are."""
    value, line = value + 0.0, line + 0.0  # no negative zero
    if value == line:
        return f"{value:.4f}", f"{line:.4f}"
    for digits in (2, *range(4, 18)):
        one, two = f"{value:.{digits}f}", f"{line:.{digits}f}"
        if one != two:
            return one, two
    return repr(float(value)), repr(float(line))


def _says(run: Run, probabilities: torch.Tensor) -> str:
    return f"“{run.label(probabilities)}” ({percent(probabilities)})"


# ---------------------------------------------------------------- the acts, frame by frame


def opening(run: Run) -> str:
    """The clean picture."""
    doubt = caveat(run) or ("It is not sure." if run.unsure else "")
    found = f"CLIP compares the picture with {len(run.settings.labels)} labels and finds"
    return f"{found} “{run.label(run.clean)}” likeliest ({percent(run.clean)}).{' ' + doubt if doubt else ''}"


def attacking(run: Run, moment: Moment, step: int) -> str:
    """A step of the attack."""
    row, eps = ATTACKS[run.settings.attack], f"{run.settings.eps * 255:g}/255"
    hidden = run.settings.eps * 255 <= 4.5  # of more, a keen eye sees something in smooth places
    says, changed = _says(run, moment.probabilities), f"No pixel moved by more than {eps}"
    if row.visible:
        hidden, changed = False, f"Only {patch(run)} was painted over, for anyone to see"
    if step == run.attack_steps and run.attack_finished:
        if run.label(moment.probabilities) == run.label(run.clean):
            return f"{changed}, and CLIP still says {says}."
        unseen = ", too little to see," if hidden else "," if row.visible else ""
        return f"{changed}{unseen} and CLIP says {says} instead of “{run.label(run.clean)}”."
    if step == 0 and not row.single_step:
        return f"{_beginning(row, run, ' too faint to see' if hidden else '')} CLIP says {says}."
    return f"Step {step} of {run.attack_steps}: {_doing(row, run)}. CLIP says {says}."


def patch(run: Run) -> str:
    """Where a visible attack is."""
    return f"a square of {run.settings.patch} % of the picture’s side"


def _beginning(row: Attack, run: Run, faint: str) -> str:
    """What an attack starts from."""
    if row.visible:
        return f"{row.title} starts from random colours in {patch(run)}."
    kind = "stripes" if row.rule.black_box else "random noise"
    return f"{row.title} starts from {kind}{faint}, at most {run.settings.eps * 255:g}/255 a pixel."


def _doing(row: Attack, run: Run) -> str:
    """What a step of an attack does."""
    which, eps = "towards the target" if row.targeted else "the wrong way", f"{run.settings.eps * 255:g}/255"
    if row.visible:
        return f"every colour in the square is pushed a little further {which}, the rest is left"
    if row.rule.black_box:
        return f"a random square is tried, and kept where CLIP errs more, never beyond {eps}"
    return f"every pixel is pushed a little further {which}, never beyond {eps}"


def testing(run: Run) -> str:
    """The test. Only of what is known before the defence runs, for it is told then."""
    if run.gate is None:
        return "This defence has no gate: it acts on every picture."
    side, threshold = "below" if run.gate.below else "over", run.gate.threshold
    if run.gate.signal not in _GATES:
        return f"{run.defense.title} decides by a test of its own whether it acts."
    gate = _GATES[run.gate.signal]
    if run.signal is None:
        looks = gate.moves.format(run.defense.title)
        return f"Does it hold still? {looks}: {side} {threshold:.4g} it is suspiciously {gate.state}."
    measured = run.tested[run.signal]
    value, line = told_apart(measured, threshold)
    engages = (measured < threshold) if run.gate.below else (measured > threshold)
    why = f"it is suspiciously {gate.state}" if engages else "so it looks clean"
    verdict = f"{side} {line} {why}" if engages else f"not {side} {line}, {why}"
    return f"Does it hold still? {gate.moves.format(value)}: {verdict}."


def countering(run: Run, moment: Moment, step: int) -> str:
    """A step of the counterattack."""
    where = "it was" if run.control else "the attacker left it"
    says = _says(run, moment.probabilities)
    what = f"the same frozen model pushes the picture’s embedding away from where {where}"
    if run.gate is None:
        what = _STEPS.get(run.settings.defense, "the defence moves the picture a little")
    if not run.defence_steps:
        return f"{what[0].upper()}{what[1:]}. It says {says}."
    return f"Step {step} of {run.defence_steps}: {what}. It says {says}."


def adding(run: Run) -> str:
    """What it is that the defence adds, by name; empty where it adds nothing."""
    if run.engaged is False and run.signal is not None:
        return "probing noise" if run.signal == TAU else ""
    if run.final is not None and not run.defence:
        return ""
    return "random noise" if run.settings.defense == "rn" else "counterattack"


# ---------------------------------------------------------------- where it stands


def stopped(run: Run) -> str:
    """What is said when a person stops a run; empty where it had already ended."""
    if run.engaged is None and not run.attack_finished:
        return f"Stopped after step {max(len(run.attack) - 1, 0)} of {run.attack_steps} of the attack."
    if run.engaged is not None and run.defended is None:
        if not run.defence_steps:
            return "Stopped before the defence had answered."
        return (
            f"Stopped after step {max(len(run.defence) - 1, 0)} of {run.defence_steps} of the counterattack."
        )
    return ""


def caveat(run: Run) -> str:
    """What has to be said before any verdict; empty where nothing has."""
    clean = run.label(run.clean)
    if run.true_label is not None and run.true_label != clean:
        wrong = "CLIP had this picture wrong before any attack"
        return f"{wrong}: it is “{run.true_label}”, and CLIP said “{clean}”."
    if run.true_label is None and run.no_label_fits:
        return (
            f"None of these labels seems to fit the picture (a chance of {run.fit:.0%} that one does):"
            " whatever CLIP says of it is a guess. Write a label that names what you see."
        )
    if run.true_label is None and run.unsure:
        return f"CLIP was not sure before any attack: “{clean}” with {run.clean.max().item():.0%}."
    return ""


def verdict(run: Run) -> str:
    """Where the run stands, in a few sentences: first what puts it in doubt, then the gate, then what came of
    it."""
    return " ".join(filter(None, [caveat(run), _standing(run)]))


def _standing(run: Run) -> str:
    if run.engaged is not None:
        return " ".join(filter(None, [_gate(run), outcome(run) if run.defended is not None else ""]))
    clean = run.label(run.clean)
    if run.attacked is None:
        return f"The model sees “{clean}”." if not run.attack else "The attack is running …"
    attacked = run.label(run.attacked)
    if run.settings.eps == 0 and not ATTACKS[run.settings.attack].visible:
        return f"With eps 0 nothing changes: “{clean}” stands."
    made = ", made through the defence," if run.settings.knows_defence else ""
    if attacked == clean:
        return f"The attack{made} did not change the undefended prediction: “{clean}” stands."
    return f"The attack{made} turned “{clean}” into “{attacked}”."


def _gate(run: Run) -> str:
    """What the gate decided."""
    if run.gate is None or run.reading is None:
        return " ".join(filter(None, ["This defence has no gate: it acts on every picture.", still(run)]))
    signal, measured = run.reading.signal, run.reading.value
    gate = _GATES.get(signal, _Gate(signal, "Suspicious", "", "suspicious"))
    threshold = run.gate.threshold
    value, line = told_apart(measured, threshold)
    sign = "<" if measured < threshold else ("=" if measured == threshold else ">")
    reason = f"({gate.name} {value} {sign} {line})"
    if 0 < run.reading.weight < 1:  # a soft gate
        share = f"{run.reading.weight * 100:.0f} %"
        part = {"0 %": "hardly any", "100 %": "nearly all"}.get(share, share)
        first = gate.suspect if run.engaged else "Looks clean"
        return f"{first} {reason}: {part} of the counterattack is added."
    if run.engaged:
        return f"{gate.suspect} {reason}: counterattack engaged."
    return f"Looks clean {reason}: no counterattack{', only the probing noise' if signal == TAU else ''}."


def still(run: Run) -> str:
    """Of a defence that has ended and moved no pixel."""
    if run.final is None or run.defence:
        return ""
    looks = len(transformed(run.pixels)) if run.settings.defense == "tte" else 1
    return f"It moves no pixel: it looks at the picture {'once' if looks == 1 else f'{looks} times'}."


def outcome(run: Run) -> str:
    """What the defence came to, in one sentence. “Recovered” is said only of a label that is known to be
    right."""
    before = run.before_defence.probabilities
    answer = before if run.defended is None else run.defended
    clean, final, attacked = map(run.label, (run.clean, answer, before))
    by = " by the probing noise alone" if not run.engaged and run.signal == TAU else ""
    if run.control:
        return _kept(run, clean, final)
    if run.true_label is None:
        if final != clean:
            return f"CLIP now says “{final}”; before the attack it said “{clean}”."
        return (
            f"CLIP says “{clean}” again{by}, as before the attack."
            if attacked != clean
            else f"CLIP says “{clean}” throughout."
        )
    return _judged(run.true_label, clean, final, attacked, by)


def _kept(run: Run, clean: str, final: str) -> str:
    """Of the control."""
    truth = run.true_label
    if final == clean:
        return f"The picture keeps its prediction, “{clean}”."
    if truth is not None and final == truth:
        return f"The defence put the answer right: “{clean}” became “{final}”."
    cost = "A cost of the defence" if truth == clean else "The defence changed the answer"
    return f"{cost}: the clean picture changed from “{clean}” to “{final}”."


def _judged(truth: str, clean: str, final: str, attacked: str, by: str) -> str:
    """Where the right label is known."""
    if final == truth:
        if clean != truth:
            return f"The defended prediction, “{truth}”, is right."
        return (
            f"Recovered{by}: “{attacked}” is “{truth}” again." if attacked != truth else f"“{truth}” stands."
        )
    if clean == truth:
        return f"Not recovered: the defended prediction is “{final}”, not “{truth}”."
    if final != clean:
        return f"The defended prediction is “{final}”, not right either."
    return f"CLIP is back at its own mistake, “{clean}”."


def tone(run: Run) -> str:
    """Whether things stand well: "good" only where a label that is known to be right is there after the
    defence, "bad" where it is known to be gone, "same" or "other" where only the first answer is known to
    compare with, and "wait" where the run has not come so far."""
    answer = run.defended if run.defended is not None else run.attacked
    if answer is None:
        return "wait"
    now, first, truth = run.label(answer), run.label(run.clean), run.true_label
    if truth is None:
        return "other" if now != first else "wait" if run.defended is None else "same"
    if now != truth:
        return "bad" if first == truth else "other"
    return "wait" if run.defended is None else "good"


def described(run: Run) -> dict[str, str]:
    """What the plots show."""
    drift = [
        f"{name} from {values[0]:.2f} to {values[-1]:.2f} over {len(values) - 1} steps"
        for name, values in (
            ("attack", run.attack_drift if not run.control else ()),
            ("counterattack", run.defence_drift),
        )
        if values
    ]
    signals = [
        f"{name}: tau {found.tau:.3f}, view drift {found.view_drift:.3f}"
        for name, found in (
            ("clean", run.clean_signals),
            ("attacked", None if run.control else run.attacked_signals),
        )
        if found
    ]
    gate = "Neither of them decides here."
    if run.gate and run.signal:
        gate = f"The gate’s threshold is {run.gate.threshold:.3f}."
    moved = "out by the attack, then the way of the counterattack." if run.attack else "it has not moved."
    return {
        "drift": "Relative drift of the embedding from the clean picture."
        f" {'; '.join(drift) or 'Nothing has moved yet'}.",
        "signal": f"Stability signals. {'; '.join(signals)}. {gate}",
        "map": f"The path of the embedding in two dimensions: {moved}",
    }
