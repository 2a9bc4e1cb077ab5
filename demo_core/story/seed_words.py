"""What is said of several seeds."""

from __future__ import annotations

from collections.abc import Sequence

from demo_core.story.run import Run
from demo_core.story.seeds import DRAWS, Draw

BUTTON = f"Try {DRAWS} seeds"
WHY = (
    f"One run may be luck. This makes the same attack and defence {DRAWS} times, each from other random noise"
    " (another seed)."
)


def drawn(run: Run, found: Sequence[Draw]) -> str:
    """How often the attack turns the answer and the defence brings it back, in the draws so far."""
    if not found:
        return f"0 of {DRAWS} draws."
    many, right = len(found), run.settings.labels[run.right]
    turned = [draw for draw in found if draw.turned]
    back = sum(draw.held for draw in turned)
    so_far = f" so far, of {DRAWS}" if many < DRAWS else ""
    first = f"In {len(turned)} of {many} draws{so_far} the attack turns “{right}” into something else."
    if not turned:
        return " ".join(filter(None, [first, _harmed(found), _unknown(run)]))
    after = f"After the defence CLIP says “{right}” again in {back} of {'these ' if many > 1 else ''}"
    return " ".join(filter(None, [first, f"{after}{len(turned)}.", _harmed(found), _unknown(run)]))


def _harmed(found: Sequence[Draw]) -> str:
    """Of answers that the defence alone took away."""
    lost = sum(not draw.turned and not draw.held for draw in found)
    return f"In {lost} the defence itself takes it away." if lost else ""


def _unknown(run: Run) -> str:
    if run.settings.truth is not None:
        return ""
    return "Whether that label is right, nobody said: it is CLIP’s first answer."


def outcome(draw: Draw) -> str:
    """A draw in a few words."""
    if draw.turned:
        return "brought back" if draw.held else "not brought back"
    return "never turned" if draw.held else "lost by the defence"
