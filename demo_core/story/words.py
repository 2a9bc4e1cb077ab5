"""All English of a run: each sentence is a function of the run."""

from __future__ import annotations

from demo_core.defenses import TAU
from demo_core.story.run import Drifts, Run


def stopped(run: Run) -> str:
    """What is said when a person stops a run; empty where it had already ended."""
    if run.engaged is None and not run.attack_finished:
        return f"Stopped after step {max(len(run.attack) - 1, 0)} of {run.attack_steps} of the attack."
    if run.engaged is not None and run.defended is None:
        return (
            f"Stopped after step {max(len(run.defence) - 1, 0)} of {run.defence_steps} of the counterattack."
        )
    return ""


def caveat(run: Run) -> str:
    """What has to be said before any verdict; empty where nothing has."""
    clean = run.label(run.clean)
    if run.true_label is not None and run.true_label != clean:
        return f"CLIP had this picture wrong before any attack: it is “{run.true_label}”, and CLIP said “{clean}”."
    if run.true_label is None and run.no_label_fits:
        return (
            f"None of these labels seems to fit the picture (a chance of {run.fit:.0%} that one does): whatever CLIP"
            " says of it is a guess. Write a label that names what you see."
        )
    if run.true_label is None and run.unsure:
        return f"CLIP was not sure before any attack: “{clean}” with {run.clean.max().item():.0%}."
    return ""


def verdict(run: Run) -> str:
    """Where the run stands, in a few sentences: first what puts it in doubt, then the gate, then what came of
    it."""
    return " ".join(filter(None, [caveat(run), _standing(run)]))


def _standing(run: Run) -> str:
    clean = run.label(run.clean)
    if run.engaged is None:
        if not run.attack_finished:
            return f"The model sees “{clean}”." if not run.attack else "The attack is running …"
        attacked = run.label(run.attacked)
        if run.settings.eps == 0:
            return f"With eps 0 nothing changes: “{clean}” stands."
        made = ", made through the defence," if run.settings.knows_defence else ""
        if attacked == clean:
            return f"The attack{made} did not change the undefended prediction: “{clean}” stands."
        return f"The attack{made} turned “{clean}” into “{attacked}”."

    signal = run.tested[run.profile.gate]
    sign = "<" if (signal < run.profile.threshold) else ("=" if signal == run.profile.threshold else ">")
    name, unit = (
        ("tau", "Falsely stable") if run.profile.gate == TAU else ("view drift", "Unsteady under small views")
    )
    value, line = told_apart(signal, run.profile.threshold)
    measured = f"{name} {value} {sign} {line}"
    alone = "no counterattack" + (", only the probing noise" if run.profile.gate == TAU else "")
    gate = (
        f"{unit} ({measured}): counterattack engaged."
        if run.engaged
        else f"Looks clean ({measured}): {alone}."
    )
    if run.defended is None:
        return gate
    return f"{gate} {outcome(run)}"


def told_apart(value: float, line: float) -> tuple[str, str]:
    """Two numbers with as many digits as they need to differ."""
    digits = 2 if f"{value:.2f}" != f"{line:.2f}" else 4
    return f"{value:.{digits}f}", f"{line:.{digits}f}"


def outcome(run: Run) -> str:
    """What the defence came to, in one sentence. “Recovered” is said only of a label that is known to be
    right."""
    clean, final, attacked = map(run.label, (run.clean, run.defended, run.before_defence.probabilities))
    truth = run.true_label
    by = " by the probing noise alone" if not run.engaged and run.profile.gate == TAU else ""
    if run.control:
        if final == clean:
            return f"The picture keeps its prediction, “{clean}”."
        if truth is not None and final == truth:
            return f"The defence put the answer right: “{clean}” became “{final}”."
        cost = "A cost of the defence" if truth == clean else "The defence changed the answer"
        return f"{cost}: the clean picture changed from “{clean}” to “{final}”."
    if truth is None:
        if final != clean:
            return f"CLIP now says “{final}”; before the attack it said “{clean}”."
        return (
            f"CLIP says “{clean}” again{by}, as before the attack."
            if attacked != clean
            else f"CLIP says “{clean}” throughout."
        )
    if final == truth:
        return (
            f"Recovered{by}: “{attacked}” is “{truth}” again."
            if attacked != truth and clean == truth
            else (
                f"“{truth}” stands." if clean == truth else f"The defended prediction, “{truth}”, is right."
            )
        )
    if clean == truth:
        return f"Not recovered: the defended prediction is “{final}”, not “{truth}”."
    return (
        f"The defended prediction is “{final}”, not right either."
        if final != clean
        else (f"CLIP is back at its own mistake, “{clean}”.")
    )


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


def arena(run: Run) -> str:
    """What stands above the arena's table."""
    clean, truth = int(run.clean.argmax()), run.settings.truth
    met = (
        "Each defence met an attack made through itself."
        if run.settings.knows_defence
        else "All met the same attack, which knows none of them."
    )
    if truth is None:
        right = "; whether it is right, nobody said."
    elif truth == clean:
        right = ", which is right."
    else:
        right = f", which is wrong: it is “{run.settings.labels[truth]}”."
    return f"{met} The clean prediction was “{run.settings.labels[clean]}”{right}"


def drifts(measured: dict[str, Drifts]) -> str:
    """What the plot of noise and views shows."""
    parts = [
        f"{name}: drift {d.over_noise[0]:.3f} under noise of 1/255 to {d.over_noise[-1]:.2f} under 32/255,"
        f" {d.view_drift:.3f} over our views"
        for name, d in measured.items()
    ]
    return "; ".join(parts) or "an empty plot: nothing has been measured yet"


def note(milliseconds: tuple[float, ...], device: str) -> str:
    """Device and speed, in a few words; milliseconds: of the steps of an act."""
    if not milliseconds:
        return f"computed on {device}"
    return f"{sorted(milliseconds)[len(milliseconds) // 2]:.0f} ms a step (median) on {device}"
