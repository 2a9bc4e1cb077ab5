"""All English of a run: each sentence is a function of the run. What it says of gates is in gate_words.py,
and what the page says by itself in page_words.py."""

from __future__ import annotations

import torch

from demo_core.attacks import ATTACKS, Attack
from demo_core.defenses import DEFENSES, TAU
from demo_core.story.gate_words import (
    GATES,
    SHIFTED,
    gate_words,
    in_percent,
    measured,
    part,
    reading_words,
    told_apart,
)
from demo_core.story.run import UNMOVED, Moment, Run

ACTS = ("The picture", "The attack", "The test", "The counterattack")
PICTURES = ("clean", "attacked", "defended")


# What a step does, where it does not push the embedding away from where it was.
_STEPS = {
    "csr": "every pixel is pushed a little so that the embedding goes where its low frequencies are",
    "rn": "a little random noise is added, and nothing else",
    "anti_adversary": "every pixel is pushed a little so that the first guess grows more certain",
    "hedge": "every pixel is pushed a little away from every label at once",
}
CLOSE = 0.1  # of probability: two labels that lie nearer to each other are as likely
NO_GATE = "This defence has no gate: it acts on every picture."
NO_TEST = "This defence tests nothing: it acts on every picture."
# What is added where it is no counterattack.
_ADDED = {"rn": "random noise", "low_pass": "blur", "padding": "black border"}


def percent(probabilities: torch.Tensor) -> str:
    """How likely the likeliest label is; with a digit more where the next one would be told as alike."""
    most, *next_one = probabilities.topk(min(2, len(probabilities))).values.tolist()
    told = in_percent(most)
    return f"{100 * most:.1f} %" if told in map(in_percent, next_one) else told


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
    hidden = unseen(run)
    says, changed = _says(run, moment.probabilities), f"No pixel moved by more than {eps}"
    if row.visible:
        changed = f"Only {patch(run)} was painted over, for anyone to see"
    if step == run.attack_steps and run.attack_finished:
        if run.label(moment.probabilities) == run.label(run.clean):
            return f"{changed}, and CLIP still says {says}."
        sight = ", too little to see," if hidden else "," if row.visible else ""
        return f"{changed}{sight} and CLIP says {says} instead of “{run.label(run.clean)}”."
    if step == 0 and not row.single_step:
        return f"{_beginning(row, run, ' too faint to see' if hidden else '')} CLIP says {says}."
    return f"Step {step} of {run.attack_steps}: {_doing(row, run)}. CLIP says {says}."


def unseen(run: Run) -> bool:
    """Whether nobody sees what the attack may do: of more, a keen eye sees something in smooth places."""
    return run.settings.eps * 255 <= 4.5 and not ATTACKS[run.settings.attack].visible


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
        return NO_GATE
    side, threshold = "below" if run.gate.below else "over", run.gate.threshold
    if run.gate.signal not in GATES:
        return f"{run.defense.title} decides by a test of its own whether it acts."
    gate = GATES[run.gate.signal]
    if run.signal is None:
        looks = gate.moves.format(run.defense.title)
        return f"Does it hold still? {looks}: {side} {threshold:.4g} it is suspiciously {gate.state}."
    measured = run.tested[run.signal]
    value, line = told_apart(measured, threshold)
    engages = (measured < threshold) if run.gate.below else (measured > threshold)
    why = f"it is suspiciously {gate.state}" if engages else "so it looks clean"
    if not engages and fooled(run):
        why = "so the attack slips past"
    verdict = f"{side} {line} {why}" if engages else f"not {side} {line}, {why}"
    return f"Does it hold still? {gate.moves.format(value)}: {verdict}."


def countering(run: Run, moment: Moment, step: int) -> str:
    """A step of the counterattack."""
    where = "it was" if run.control else "the attacker left it"
    says = _says(run, moment.probabilities)
    what = "the defence moves the picture a little"
    if run.gate is not None:
        what = f"the same frozen model pushes the picture’s embedding away from where {where}"
    what = _STEPS.get(run.settings.defense, what)
    if not run.defence_steps:
        return f"{what[0].upper()}{what[1:]}. It says {says}."
    return f"Step {step} of {run.defence_steps}: {what}. It says {says}."


def adding(run: Run) -> str:
    """What it is that the defence adds, by name; empty where it adds nothing."""
    if run.engaged is False and run.signal is not None:
        return "probing noise" if run.signal == TAU else ""
    if run.final is not None and not run.defence and not moved(run):
        return ""
    return _ADDED.get(run.settings.defense, "counterattack")


def moved(run: Run) -> bool:
    """Whether a defence that has ended moved any pixel."""
    return run.final is not None and run.final.delta.abs().max().item() > UNMOVED


# ---------------------------------------------------------------- where it stands


def stopped(run: Run) -> str:
    """What is said when a person stops a run; empty where it had already ended."""
    if run.answered:
        return ""
    if run.defended is not None and run.settings.second:
        first, other = run.defense.title, DEFENSES[run.settings.second].title
        return f"Stopped before “{other}” had answered; “{first}” has."
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
    if run.judgement:
        return f"CLIP’s first answer, “{clean}”, is right, you say."
    if run.true_label is not None and run.true_label != clean:
        wrong = "CLIP had this picture wrong before any attack"
        return f"{wrong}: it is “{run.true_label}”, and CLIP said “{clean}”."
    if run.doubted:
        return f"CLIP’s first answer, “{clean}”, is wrong, you say: then to say it again is no recovery."
    if run.true_label is None and run.fit is not None and run.no_label_fits:
        return (
            f"None of these labels seems to fit the picture (a chance of {in_percent(run.fit)} that one"
            " does): whatever CLIP says of it is a guess. Write a label that names what you see."
        )
    if run.true_label is None and run.unsure:
        return f"CLIP was not sure before any attack: “{clean}” with {percent(run.clean)}."
    return ""


def verdict(run: Run) -> str:
    """Where the run stands, in a few sentences: first what puts it in doubt, then the gate, then what came of
    it."""
    return " ".join(filter(None, [caveat(run), standing(run)]))


def standing(run: Run, numbers: bool = True) -> str:
    """What the gate decided and what came of it, or how far the attack is; numbers: with those."""
    if run.engaged is not None:
        came = outcome(run) if run.defended is not None else ""
        return " ".join(filter(None, [attacker(run), decided(run, numbers), came]))
    clean = run.label(run.clean)
    if run.attacked is None:
        return f"The model sees “{clean}”." if not run.attack else "The attack is running …"
    attacked = run.label(run.attacked)
    if run.settings.eps == 0 and not ATTACKS[run.settings.attack].visible:
        return f"{'With eps 0 nothing' if numbers else 'Nothing'} changes: “{clean}” stands."
    made = ", made through the defence," if run.settings.knows_defence else ""
    if attacked == clean:
        return f"The attack{made} did not change CLIP’s answer: “{clean}” stands."
    return f"The attack{made} turned “{clean}” into “{attacked}”."


def attacker(run: Run) -> str:
    """What he knew, where he knew a defence."""
    if run.control or not run.settings.knows_defence:
        return ""
    if run.through is None:
        return "The attacker knew this defence."
    return f"The attacker knew “{DEFENSES[run.through].title}”, not this defence."


def fooled(run: Run) -> bool:
    """Whether the defence meets a picture on which an attack has changed the answer."""
    return run.label(run.before_defence.probabilities) != run.label(run.clean)


def decided(run: Run, numbers: bool = True) -> str:
    """What the gate decided; numbers: with what it measured. Without them that there is no gate is said only
    where nothing else is, for the test has said it."""
    if run.gate is None or run.reading is None:
        said = [still(run, numbers), measured(run, numbers)]
        if numbers or not any(said):
            said = [NO_GATE if numbers else NO_TEST, *said]
        return " ".join(filter(None, said))
    gate = gate_words(run.reading.signal)
    reason = f" ({reading_words(run.reading, run.gate)})" if numbers else ""
    rested = "The attack slipped past the test" if fooled(run) else "Looks clean"
    if 0 < run.reading.weight < 1:  # a soft gate
        first = gate.suspect if run.engaged else rested
        how_much = part(run.reading.weight) if numbers else "a part"
        return f"{first}{reason}: {how_much} of the counterattack is added."
    acts, rests = SHIFTED if run.defense.shifts else (gate.acts, gate.rests)
    if run.engaged:
        return f"{gate.suspect}{reason}: {acts}."
    return f"{rested}{reason}: {rests}."


def still(run: Run, numbers: bool = True) -> str:
    """Of a defence that has ended and taken no step; numbers: with how often it looks."""
    if run.final is None or run.defence:
        return ""
    looks = run.looks or 1
    times = "once" if looks == 1 else f"{looks} times" if numbers else "several times"
    if moved(run):
        return f"It takes no step: it changes the picture as a whole, and looks at it {times}."
    return f"It moves no pixel: it looks at the picture {times}."


def not_as_seen(run: Run) -> str:
    """Of an answer that does not come from the picture's own embedding, which is the one that is shown."""
    if (
        run.final is None
        or run.defended is None
        or torch.allclose(run.final.probabilities, run.defended, atol=5e-4)
    ):
        return ""
    looks = "another look at it" if run.looks in (None, 1) else f"{run.looks} looks at it, taken together"
    return f"These are the picture’s own numbers. The defence’s answer, in the bars, comes from {looks}."


def outcome(run: Run) -> str:
    """What the defence came to, and whether another label was as likely. “Recovered” is said only of a label
    that is known to be right."""
    if run.defended is None or len(run.settings.labels) < 2:
        return came_to(run)
    first, second = run.defended.topk(2).values.tolist()
    return came_to(run) + (" It was a close call." if first - second < CLOSE else "")


def came_to(run: Run) -> str:
    """The same without that."""
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
        return f"CLIP still says “{clean}”."
    if truth is not None and final == truth:
        return f"The defence put the answer right: “{clean}” became “{final}”."
    cost = "A cost of the defence" if truth == clean else "The defence changed the answer"
    return f"{cost}: the clean picture changed from “{clean}” to “{final}”."


def _judged(truth: str, clean: str, final: str, attacked: str, by: str) -> str:
    """Where the right label is known."""
    if final == truth:
        if clean != truth:
            return f"With the defence CLIP says “{truth}”, and that is right."
        return (
            f"Recovered{by}: CLIP says “{truth}” again, not “{attacked}”."
            if attacked != truth
            else f"“{truth}” stands."
        )
    if clean == truth:
        return f"Not recovered: with the defence CLIP says “{final}”, not “{truth}”."
    if final != clean:
        return f"With the defence CLIP says “{final}”, which is not right either."
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
