"""All English of the question whether a picture is attacked: each sentence is a function of the finding."""

from __future__ import annotations

from dataclasses import dataclass

from demo_core.defenses import CONTROL, LOW_PASS, PADDING, TAU, UNISON, VIEW_DRIFT
from demo_core.story import words
from demo_core.story.gate_words import enumerated, gate_words, in_percent, so_many_of, told_apart
from demo_core.story.summary import listed
from demo_core.story.suspicion import CALM, NEAR, QUALITY, SUSPICIOUS, UNCLEAR, Sign, Suspicion

FIRST = "Put a picture in and press the button. Nothing is attacked here: the picture is only looked at."
BEHIND = "An earlier answer: the settings have changed since. Press the button again."
NO_PICTURE = "Put a picture in first: one that may have been attacked, or a plain photograph."


@dataclass(frozen=True)
class SignWords:
    """A test in plain words. title; how: what is done, and what the number is; suspect, calm: what a picture
    on that side of the line does, in a clause."""

    title: str
    how: str
    suspect: str = ""
    calm: str = ""


_SIGNS = {
    VIEW_DRIFT: SignWords(
        "Small views",
        "The picture is moved by one pixel or mirrored. The number: how far that moves what CLIP sees, 0"
        " being not at all.",
        "moved by one pixel or mirrored, it looks like another picture to CLIP",
        "moved by one pixel or mirrored, it looks much the same to CLIP",
    ),
    TAU: SignWords(
        "A little noise (tau)",
        "Noise too faint to see is added. The number: how far that moves what CLIP sees, 0 being not at all.",
        "a little noise hardly moves what CLIP sees in it",
        "a little noise moves what CLIP sees in it, as it should",
    ),
    LOW_PASS: SignWords(
        "Blur (low-pass cosine)",
        "The picture is blurred. The number: how alike both look to CLIP, 1 being the same.",
    ),
    PADDING: SignWords(
        "Black border (padding cosine)",
        "The picture is made smaller, with black around. The number: how alike both look to CLIP, 1 being"
        " the same.",
    ),
    UNISON: SignWords(
        "Four views (agreement of views)",
        "The picture is stored as JPEG, mirrored and moved, brought closer, and moved away. The number: how"
        " alike these four turn what CLIP sees, 1 being the same way.",
    ),
}
_BEGINNINGS = {SUSPICIOUS: "Suspicious", CALM: "Nothing suspicious", UNCLEAR: "Hard to say"}


def sign_words(signal: str) -> SignWords:
    """The words of a signal; its own name for one that has none."""
    return _SIGNS.get(signal) or SignWords(gate_words(signal).name, "")


# ---------------------------------------------------------------- the verdict


def headline(found: Suspicion) -> str:
    """What the deciding test says, and of how many pictures of the study it says the same."""
    sign, beginning = found.deciding, _BEGINNINGS[found.state]
    known = sign_words(sign.signal)
    clause = known.suspect if sign.suspicious else known.calm
    if found.state == UNCLEAR:
        by_line = "suspects it" if sign.suspicious else "does not suspect it"
        clause = "it lies where clean and attacked photographs meet, or where hardly any of them was seen"
        clause = f"{clause}. The test by itself {by_line} ({_against_line(sign)})"
    return f"{beginning}: {clause}. {_same_of(sign) or _by_line_alone(sign)}"


def _same_of(sign: Sign) -> str:
    """How many pictures of the study are on the same side of the line; empty where nobody knows."""
    if sign.known is None or sign.on_its_side is None:
        return ""
    clean, attacked = (so_many_of(share, sign.known.pictures) for share in sign.on_its_side)
    return (
        f"Of the study’s photographs, {clean} clean ones and {attacked} attacked ones lie on this side of the"
        " test’s line."
    )


def _by_line_alone(sign: Sign) -> str:
    return f"This is by the published line alone ({_against_line(sign)})."


def likelihood(found: Suspicion) -> str:
    """How likely an attack is, and what that comes from."""
    chance, known = found.chance, found.deciding.known
    if chance is None or known is None:
        return (
            "How likely an attack is, nobody knows here: what clean and attacked photographs do was not"
            " measured on this model."
        )
    n, whose = known.pictures, "this picture’s"
    least, most = (round(100 * bound / (n + 2)) for bound in (1, n + 1))
    if chance.middle:
        whose = f"that of the middle {chance.middle} photograph (this picture’s lies beyond it, as few do)"
    return (
        "If half of all such pictures were attacked, the chance that this one is would be about"
        f" {round(100 * chance.share)} %. That comes from the photographs whose"
        f" {gate_words(found.deciding.signal).name} is within {NEAR * 100:.0f} % of {whose}: about"
        f" {round(chance.clean)} of the {n} clean ones and about {round(chance.attacked)} of the {n} attacked"
        f" ones. So few photographs cannot show a chance below {least} % or over {most} %."
    )


def limits(found: Suspicion) -> str:
    """What the verdict does not know."""
    known = found.deciding.known
    seen = ""
    if known:
        kinds = attacks(known.attacks)
        seen = (
            f"It knows photographs only, and attacks like those of its study ({kinds}) on this very model. "
        )
    return (
        f"{seen}An attacker who knows this test can make a picture that passes it: “nothing suspicious” does"
        " not mean clean."
    )


def attacks(piles: tuple[str, ...]) -> str:
    """The study's attacks, those of one method together."""
    methods: dict[str, list[str]] = {}
    for pile in piles:
        method, _, size = pile.partition(", ")
        methods.setdefault(method, []).append(size)
    return "; ".join(
        ", ".join(filter(None, [name, enumerated(sizes, "or")])) for name, sizes in methods.items()
    )


# ---------------------------------------------------------------- the tests


def _against_line(sign: Sign) -> str:
    """The number beside its line."""
    if sign.gate is None:
        return f"{sign.value:.2f}; nobody has drawn a line for it on this model"
    value, line = told_apart(sign.value, sign.gate.threshold)
    side = "below" if sign.gate.below else "over"
    return f"{value}, {'' if sign.suspicious else 'not '}{side} the line of {line}"


def reading(sign: Sign) -> str:
    """What one test says of the picture, by its own line."""
    said = {True: "suspicious by this test", False: "not suspicious by this test", None: ""}[sign.suspicious]
    return ": ".join(filter(None, [_against_line(sign), said])) + "."


def worth(sign: Sign) -> str:
    """What the study says of a test: of how many pictures it says the same, and how well it tells both kinds
    apart."""
    if sign.known is None:
        return "Only its published line is known, not what photographs do on this model."
    if sign.gate is None:
        return ""
    right = round(100 * (sign.known.auc if sign.gate.below else 1 - sign.known.auc))
    return (
        f"{_same_of(sign)} Shown one clean and one attacked picture of the study, it picks the attacked one"
        f" {right} times in 100; a coin, 50 times."
    )


# ---------------------------------------------------------------- what it is called


def answers(found: Suspicion) -> str:
    """What CLIP calls the picture without a defence and with the chosen one."""
    run = found.run
    bare, title = f"“{run.label(run.clean)}” ({words.percent(run.clean)})", run.defense.title
    if run.settings.defense == CONTROL:
        return f"CLIP says {bare}; no defence is chosen."
    if run.defended is None:
        return f"Without a defence CLIP says {bare}; the answer of “{title}” is not there yet."
    defended = f"“{run.label(run.defended)}” ({words.percent(run.defended)})"
    if run.label(run.clean) == run.label(run.defended):
        return f"CLIP says {bare} without a defence, and {defended} with the defence “{title}”."
    return (
        f"Without a defence CLIP says {bare}; with the defence “{title}” it says {defended}. Which of them is"
        " right, nobody knows here: look for yourself."
    )


def choice(found: Suspicion) -> str:
    """Which labels it is named with, and how likely it is that one of them fits."""
    run = found.run
    fits = ""
    if run.fit is not None and not run.no_label_fits:  # else the caveat has it
        fits = f" That one of them fits has a chance of {in_percent(run.fit)}."
    return (
        "The names to choose from are those of the panel “Labels”"
        f" ({listed(run.settings.labels)}): write others there.{fits}"
    )


def caveat(found: Suspicion) -> str:
    """What puts both answers in doubt; empty where nothing does."""
    run = found.run
    if run.no_label_fits:
        return words.caveat(run)
    answer = run.clean if run.defended is None else run.defended
    return "CLIP is not sure: its likeliest label has less than one half." if answer.max() < 0.5 else ""


def stored(found: Suspicion) -> str:
    """What the test says of the picture after JPEG."""
    begin = f"After JPEG-{QUALITY}"
    if found.stored is None:
        return f"{begin}: not there yet."
    run, sign = found.run, found.stored.sign
    before, after = bool(found.deciding.suspicious), bool(sign.suspicious)
    said = ("still " if before and after else "") + ("suspicious" if after else "not suspicious")
    gone = " Whoever gets the picture stored like this is not warned." if before and not after else ""
    answer = found.stored.probabilities
    return (
        f"{begin} of the same picture: {_against_line(sign)}, {said}. CLIP says “{run.label(answer)}”"
        f" ({words.percent(answer)}).{gone}"
    )


def takeaway(found: Suspicion) -> str:
    """Whether there is a defended picture to take away."""
    if found.run.final is None:
        return ""
    if words.moved(found.run):
        return "The defence changed the picture. Take it away: “Take the defended picture” saves it exactly."
    return "The defence moved no pixel, so there is no other picture to take away."
