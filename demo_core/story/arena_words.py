"""What the page says of the arena: of the race, of each lane, and what it costs. Where a sentence names the
attacker who knows a defence, he is `adaptive.Attacker`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from demo_core.adaptive import EOT, GATE, PLAIN, SURROGATE, THROUGH, Attacker
from demo_core.attacks import ATTACKS
from demo_core.defenses import CONTROL, DEFENSES
from demo_core.story.flips import Flip
from demo_core.story.gate_words import enumerated
from demo_core.story.pair_words import HELD
from demo_core.story.play import Bout
from demo_core.story.race import (
    Races,
    always,
    keeps,
    stands,
    trusted,
    under_all,
)
from demo_core.story.run import Run
from demo_core.story.settings import ADAPTIVE_HELP, Chosen


def arena(run: Run, races: Races) -> str:
    """What stands above the arena's lanes."""
    clean, truth = int(run.clean.argmax()), run.settings.truth
    met = {
        (True, False): "All met the same attack, which knows none of them.",
        (False, True): "Each defence met an attack made through itself.",
        (True, True): "All met the same attack, which knows none of them, and each one made through itself.",
    }.get((bool(races.static), bool(races.adaptive)), "They answer one after another.")
    if truth is None:
        right = "; whether it is right, nobody said."
    elif truth == clean:
        right = ", which is right."
    else:
        right = f", which is wrong: it is “{run.settings.labels[truth]}”."
    return f"{met} The clean prediction was “{run.settings.labels[clean]}”{right}"


ATTACKERS = {"static": "attack that knows no defence", "adaptive": "attack that knows this one"}

STATES = {held: f"{word}:" for held, word in HELD.items()}
CLEAN = {True: "Clean picture:", False: "⚠ Changes the clean picture:"}  # whether its answer is kept
NOT_YET = {  # before a race; whether the run on the page has an attacked picture
    True: "Every defence answers here on the attacked picture of the run above and, as a control, on the"
    " clean one: press “{button}”.",
    False: "Attack a picture first; then every defence answers here on the attacked picture and, as a"
    " control, on the clean one.",
}
BUTTON = "Run every defence on the attacked picture"


def rerolls(bout: Bout) -> str:
    """Of a defence that rolls dice."""
    if not bout.random:
        return ""
    if bout.rerolls is None:
        return "It rolls dice; they are rolled again at the end."
    return f"Right in {bout.rerolls[0]} of {bout.rerolls[1]} re-rolls."


def _titles(keys: list[str]) -> str:
    return enumerated([DEFENSES[key].title for key in keys])


def trust(run: Run, races: Races, marked: Collection[str] = ()) -> str:
    """Which of the defences one would trust, after a race. marked: keys of those whose lanes wear a sign of
    masked gradients."""
    if not races.answered:
        return ""
    both = bool(races.static and races.adaptive)
    whom = "both attackers" if both else "this attacker"
    if under_all(run, races, CONTROL):
        return (
            "Which would I trust? This attack did not fool even the bare model, so it tells no defence from"
            f" another. {_ONE}"
        )
    trusty = trusted(run, races)
    if trusty:
        one = len(trusty) == 1
        verb, keep = ("stands", "keeps") if one else ("stand", "keep")
        first = f"{_titles(trusty)} {verb} against {whom} and {keep} the answer on the clean picture."
        first += _marks(trusty, marked)
    else:
        first = f"None of them: none stands against {whom} in every draw and keeps the clean answer."
    return " ".join(["Which would I trust?", first, *_but(run, races), _ONE])


def _marks(trusty: list[str], marked: Collection[str]) -> str:
    """Which of those that one would trust wear a sign of masked gradients; nothing where none does."""
    doubtful, free = ([key for key in trusty if (key in marked) is wears] for wears in (True, False))
    if not doubtful:
        return ""
    who = f"{_titles(doubtful)} wear{'s' * (len(doubtful) == 1)} a ⚠"
    whose = "it" if len(doubtful) == 1 else "them"
    if not free:
        who = "It wears a ⚠" if len(trusty) == 1 else "All of these wear a ⚠"
    elif len(free) < len(doubtful):
        who, whose = f"Of these only {_titles(free)} wear{'s' * (len(free) == 1)} no ⚠", "the others"
    return f" {who}: what many pictures say for {whose} is not to be trusted."


BENCHMARK = "the benchmark"  # a link, where that is open
_ONE = f"One picture proves nothing; {BENCHMARK} counts many."


def _but(run: Run, races: Races) -> Iterator[str]:
    """What takes trust away."""
    if not races.finished:
        yield "The dice are being rolled again, which may change this."
    found = [b for b in races.strongest if b.key != CONTROL]
    static = {b.key for b in races.static if stands(run, b)}
    fell = [b.key for b in found if b.key in static and not stands(run, b)] if races.adaptive else []
    if fell:
        yield f"{_titles(fell)} stood only while the attacker did not know them."
    standing = [b for b in found if under_all(run, races, b.key)]
    if lucky := [b.key for b in standing if not all(map(always, races.met(b.key).values()))]:
        yield f"In other draws of the dice, not so: {_titles(lucky)}."
    if changed := [b.key for b in found if not all(keeps(run, met) for met in races.met(b.key).values())]:
        yield f"The clean picture’s answer is changed by {_titles(changed)}."
    if run.settings.truth is None:
        yield "To stand means here to say what CLIP said before, as nobody said what is right."
    if not races.adaptive and run.settings.attack_can_know:
        yield "This attacker knew none of them: try the one who knows each."


EVERY_DEFENCE, SMALLEST_OF_EACH = "Every defence:", "The smallest eps of each:"  # before what each takes


def cost(chosen: Chosen, passes: int) -> str:
    """Beside the switch of the attacker who knows each defence; passes: of that race."""
    attack = ATTACKS[chosen.attack]
    if not attack.adaptable:
        return f"{attack.title} cannot be made through a defence: the race is the one that knows none."
    return (
        f"Each defence is attacked through itself, at most {passes:,} passes through the image tower in all."
    )


WAYS = {
    PLAIN: "on the bare model",
    THROUGH: "through it",
    EOT: "averaged over draws",
    GATE: "past its gate",
    SURROGATE: "through a stand-in of it",
}


def ways(keys: Iterable[str]) -> str:
    """Ways of an attacker who knows a defence, in words."""
    return ", ".join(dict.fromkeys(WAYS[key.split()[0]] for key in keys))


def cost_of_knowing(him: Attacker) -> str:
    """Beside the tick of an attacker who knows the defence: what he may try and spend."""
    if not him.attack.adaptable:
        return f"{ADAPTIVE_HELP} {him.attack.title} cannot be made through one."
    return (
        f"{ADAPTIVE_HELP} Against “{him.row.title}” he makes it {ways(him.ways)}: at most {him.cost:,} passes"
        " through the image tower."
    )


def smallest(flip: Flip | None) -> str:
    """Where a row's answer turns; empty where it is not known."""
    if flip is None:
        return ""
    if flip.falls == 0:
        return "Wrong without any attack."
    if flip.falls is None:
        return f"Stands at every eps tried, up to {flip.stands:g}/255."
    falls = f"falls at {flip.falls:.2g}/255"
    said = f"stands at {flip.stands:.2g}/255, {falls}" if flip.stands else f"{falls}, the smallest tried"
    if flip.again:
        said += f"; stands again at {enumerated([f'{eps:.2g}' for eps in flip.again])}/255"
    return f"{said[0].upper()}{said[1:]}."


FLIP_BUTTON = "Where does it flip?"
FLIP_LEGEND = {  # of its marks, by their class
    "stands": "up to here it stood, wherever it was tried",
    "falls": "from here on it fell",
    "dot": "an eps that was tried: the higher, the likelier that label",
    "dot lost": "one where another label won",
}


def flipping(run: Run) -> str:
    """Over the marks at the eps slider."""
    knows = ", by an attacker who does not know the defence" if run.settings.adaptive else ""
    return (
        f"How likely “{run.settings.labels[run.right]}” is on this picture under"
        f" {ATTACKS[run.settings.attack].title} of each eps that was tried{knows}:"
    )


def flip_of(flip: Flip) -> str:
    """A row's marks in words."""
    title = "Without a defence" if flip.key == CONTROL else DEFENSES[flip.key].title
    return f"{title}: {smallest(flip)[0].lower()}{smallest(flip)[1:]}"


def left_out(bout: Bout) -> str:
    """What the attacker who knows a defence could not pay for."""
    return f"Too dear for him here: an attack {ways(bout.left_out)}." if bout.left_out else ""
