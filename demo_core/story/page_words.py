"""What the page says by itself, its guided tour, and what stands beside its tables and plots. `{…}` stands
for what the script puts there; a key that ends with a depth’s name is what that depth says in its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from demo_core.attacks import ATTACKS
from demo_core.defenses import TAU, VIEW_DRIFT
from demo_core.stages import LOADING, Stage
from demo_core.story import words
from demo_core.story.gate_words import gate_words
from demo_core.story.grid import defence_grids
from demo_core.story.run import Drifts, Run
from demo_core.story.time_words import WORKING

SOON = "The page is on its way. On a slow line it takes a while."
NOBODY, KNOWING = "No attack", "knowing the defence"
BESIDE = " beside "  # all three in a run's settings in short

PAGE_WORDS: Mapping[str, str] = MappingProxyType(
    {
        # the page's parts
        "stage": "the run",
        "acts": "the four acts",
        "qr": "a code that leads to this run",
        "tour": "guided tour",
        "start_tour": "Guided tour",
        "back": "Back",
        "next": "Next",
        "done": "Done",
        "end_tour": "End the tour",
        # the question that the page opens on, and what comes after the story
        "guess": "Which one did a machine attack?",
        "guess_text": "One of these two was changed so that CLIP takes it for something else. Press it.",
        "guess_picture": "picture {number} of 2",
        "guess_on": "Watch what happened",
        "guess_skip": "Skip",
        "guess_right": "Right, and hard to see.",
        "guess_wrong": "It is the other one: nobody sees it.",
        "guess_clean": "Untouched. CLIP says “{says}”.",
        "guess_attacked": "Attacked. CLIP says “{says}”.",
        "invite": "That was the story.",
        "invite_own": "Try it on your own photograph",
        # the bar of a phone
        "bar": "run, picture and settings",
        "bar_run": "Attack and defend",
        "bar_picture": "Picture",
        "bar_settings": "Settings",
        # whether the first answer is right, which nobody knows of a visitor's picture
        "asks": "Is CLIP’s first answer, “{says}”, right?",
        "yes": "Yes",
        "no": "No",
        # a sign of work
        "working": WORKING,
        "coming": "The run is on its way …",
        "lost": "This run did not arrive. Check the connection, then choose it again.",
        "replay": "replay",
        "play": "play",
        "pause": "pause",
        "scrub": "moment of the run",
        "stale": "An earlier run: the picture or the settings have changed since.",
        # pictures
        "split": "divider between the two pictures, in percent",
        "left": "left",
        "right": "right",
        "now": "at this moment",
        "sees": "what the model sees",
        "picture": "the {name} picture",
        "no_picture": "the {name} picture is not there yet",
        "perturbation": "perturbation",
        "perturbation_everyone": "what was added",
        "full": "full range",
        "ten": "×10",
        "heat": "heat map",
        "first_delta": "counterattack, at most 4/255",
        "delta": "{by}, at most {most}/255",
        "delta_everyone": "{by}",
        "delta_any": "{by}, in any colour",
        "no_delta": "none yet",
        "left_alone": "none: no counterattack",
        "delta_label": "the perturbation: {words}",
        # predictions
        "predictions": "predictions, {name}",
        "control": "{name}, without any attack",
        "not_yet": "not yet",
        # the moment
        "step": "{act}, step {step} of {of}",
        "end": "{act}, the end",
        # two defences on the same picture
        "pair": "two defences on the very same picture",
        "pair_apart": "Both defences have the very same picture before them; what each does stands with it.",
        "pair_below": "What stands further down is told of “{row}”.",
        "defended_by": "defended ({row})",
        # what CLIP compares
        "strips": "What CLIP compares",
        "strip_picture": "This picture, in numbers",
        "strip_label": "The label",
        "strip_agree": "Where they agree",
        "strip_said": "The picture is {count} numbers to CLIP, and so is every label: blue below nought,"
        " orange above. Where both have the same sign they agree (green), else not (grey). All in all they"
        " agree by {cosine}, the cosine; “{best}” agrees best, by {most}. Press a label in the bars to see"
        " its numbers.",
        "strip_said_everyone": "To CLIP a picture is a list of numbers, and so is every label. Here each"
        " number is a stripe of colour. Green shows where the two lists agree. “{best}” agrees best. Press a"
        " label in the bars to see its list.",
        "strip_name": "the embedding of {name}",
        # what the test looks at
        "nudges": "The test, seen: small changes, and how far CLIP’s view of the picture moves",
        "nudges_note": "The noise moves it by tau; the mean of the other five is its view drift. How far they"
        " move is what counts: the answer may stay or, in bold, be another one.",
        "nudge_picture": "{name} picture",
        "nudge": "{name}: “{says}”, moved by {drift}",
        # plots
        "drift": "How far the embedding moves",
        "drift_everyone": "How far CLIP’s view of the picture moves",
        "drift_attack": "● attack, from clean",
        "drift_attack_everyone": "● attack: how far from the clean picture",
        "drift_defence": "■ counterattack, from clean",
        "drift_defence_everyone": "■ counterattack: how far from the clean picture",
        "drift_push": "▲ from where it began",
        "drift_push_everyone": "▲ counterattack: how far from where it began",
        "axis_drift_everyone": "how far it moved",
        "drift_summary": "Numbers of the drift plot",
        "drift_numbers": "numbers of the drift plot",
        "signal": "Does it hold still?",
        f"axis_{VIEW_DRIFT}_everyone": "moved by one pixel or mirrored: how far CLIP’s view jumps",
        f"axis_{TAU}_everyone": "with a little noise: how far CLIP’s view jumps",
        "axis_engages_everyone": "suspicious: CLIP fights back",
        "signal_clean": "● clean",
        "signal_attacked": "■ attacked",
        "signal_hills": "hills: other photographs, clean and attacked",
        "signal_point": "{name} {value}",
        "signal_point_everyone": "{name}",
        "signal_summary": "Numbers of the signal plot",
        "signal_numbers": "numbers of the signal plot",
        "threshold": "Move its threshold",
        "threshold_back": "As it was",
        "threshold_one": "At this threshold, {at}, the defence {clean}.",
        "threshold_two": "At this threshold, {at}, the defence {clean} and {attacked}.",
        "threshold_acts": "acts on {picture}",
        "threshold_rests": "leaves {picture} alone",
        "threshold_clean": "the clean picture ({value})",
        "threshold_attacked": "the attacked one ({value})",
        "threshold_others": "It would act on about {clean} of other photographs while they are clean, and on"
        " {attacked} of them under PGD-10 (of the nearest eps that was measured, by one who does not know the"
        " test).",
        "threshold_own": "The run was made at {own}.",
        "threshold_none": "No threshold to move: neither of these two decides for this defence.",
        "map": "Which way it goes",
        "map_later": "drawn when the run has ended",
        "map_legend": "A flat map, which shows {kept} of the way; the rest lies in other dimensions."
        " Arrows: where a label’s text lies. The way need not lead back to the blue dot: to leave the wrong"
        " word’s corner is enough.",
        "map_legend_everyone": "Where CLIP’s view of the picture went: orange by the attack, green by the"
        " counterattack. The arrows point to the labels. Green need not end at the blue dot: it is enough to"
        " get away from the wrong label. A flat map cannot show the whole way.",
        "map_summary": "Numbers of the map",
        "map_numbers": "numbers of the map",
        # the last runs, and two of them side by side
        "shelf": "Your last runs",
        "shelf_help": "The last six, kept in this tab alone. Choose two to see them side by side.",
        "shelf_compare": "Compare",
        "shelf_again": "Make it again",
        "shelf_clear": "Clear",
        "shelf_picture": "the {name} picture, “{says}”",
        "shelf_says": "“{says}”, {share}",
        "shelf_verdict": "verdict",
        "shelf_differs": "differs",
        "shelf_none": "none",
        "shelf_table": "two runs side by side",
        # heads of the tables
        "head_act": "act",
        "head_step": "step",
        "head_drift": "drift from clean",
        "head_push": "drift from where it began",
        "head_says": "CLIP says",
        "head_probability": "probability",
        "head_picture": "picture",
        "head_x": "x",
        "head_y": "y",
        "last_step": "end",
    }
)


@dataclass(frozen=True)
class Told:
    """What the tour tells of a run. share: of the clean picture's likeliest label, in words; eps: how far the
    attack may move a pixel, in grey levels; fight: what is said of the defence; gate: the signal that
    decides, if any; patch: where a visible attack is, empty of any other."""

    label: str
    share: str
    control: bool
    eps: float
    fight: str
    gate: str = ""
    patch: str = ""


def pushed_back(reach: float, end: str) -> str:
    """Of a counterattack."""
    return (
        "Nobody trains anything. The same model, unchanged, alters the picture itself, by up to"
        f" {_number(reach)} grey levels a pixel, so that its embedding leaves the place where the attacker"
        f" put it. {end}"
    )


def left_alone(end: str) -> str:
    """Of a gate that stayed shut."""
    return f"The test found nothing suspicious, so this picture was not counterattacked. {end}"


def _number(value: float) -> str:
    """With two digits at most."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def told(run: Run) -> Told:
    """What a run has to tell on the tour."""
    clean = run.clean
    eps = run.settings.eps * 255
    patch = words.patch(run) if ATTACKS[run.settings.attack].visible else ""
    gate = run.gate.signal if run.gate else ""
    return Told(run.label(clean), words.percent(clean), run.control, eps, _fight(run), gate, patch)


def _fight(run: Run) -> str:
    end = words.came_to(run) if run.defended is not None else ""
    if run.engaged is None:
        return "The defence has not been run on this picture yet."
    if run.engaged is False and run.gate is not None and not run.defence:
        return left_alone(end).strip()
    grids = defence_grids(run)
    reach = (grids[-1].scale if grids else run.profile.own.budget.eps) * 255
    if run.gate is not None and run.defence:
        return pushed_back(reach, end).strip()
    moves = words.still(run)
    if run.defence:
        moves = f"It may move each pixel by up to {_number(reach)} grey levels."
    return " ".join(filter(None, [f"{run.defense.title}:", run.defense.help, moves, end]))


def tour(found: Told) -> list[dict[str, object]]:
    """The stops of the guided tour. act: that is played, -1 for none; lit: the parts of the page that are."""
    texts = (
        (
            "compare predictions",
            "CLIP turns the picture into a list of numbers, its embedding, and does the same with every"
            " label. It picks the label that points the same way. Here that is"
            f" “{found.label}”, with {found.share}.",
        ),
        ("compare change predictions", _attack(found)),
        ("signal", _test(found.gate)),
        ("drift map predictions", found.fight),
    )
    whole = len(texts) + 1
    stops: list[dict[str, object]] = [
        {"act": act, "lit": lit, "title": f"{act + 1} of {whole}: {words.ACTS[act]}", "text": text}
        for act, (lit, text) in enumerate(texts)
    ]
    return [*stops, {"act": -1, "lit": "", "title": f"{whole} of {whole}: Your turn", "text": _YOURS}]


def _attack(found: Told) -> str:
    if found.control:
        return "In this run nobody attacks: it is the control."
    if found.patch:
        return (
            f"The attacker may paint over {found.patch}, in any colours, and asks the model itself which"
            " make it err. Anyone can see it, and no defence here claims to stop it."
        )
    return (
        "The attacker asks the model itself which way to push each pixel so that it errs, and takes small"
        f" steps that way. No pixel moves by more than {_number(found.eps)} of 255 grey levels. Pull the"
        " divider over the picture: can you see it? Beside it stands all that he added, made visible."
    )


# What is done to the picture and what an attack does to that, by the signal that decides.
_TESTS: Mapping[str, str] = {
    VIEW_DRIFT: "it is moved by one pixel and mirrored, and we look how far its embedding moves. An attacked"
    " picture is fragile, for the attack fits these very pixels and no others: move it by one pixel, and"
    " CLIP’s description of it jumps.",
    TAU: "it is given a little noise, and we look how far its embedding moves. In the paper’s models an"
    " attacked picture is falsely stable: noise moves it less than a clean one. Whether it is so in this"
    " model, the hills show.",
}


def _test(gate: str) -> str:
    """What the tour tells of the test whose signal decides."""
    if not gate:
        return words.NO_TEST
    known = gate_words(gate)
    by = (
        f"by its {known.name}. It calls for the defence where this is so: {known.suspect}. Neither of the"
        " plot’s signals decides here."
    )
    return (
        f"Before anything is done, the picture is tested: {_TESTS.get(gate, by)} The points are this picture;"
        " the hills are other photographs, clean (blue) and attacked (orange)."
    )


_YOURS = (
    "Choose a preset, another attack, or your own picture. Try the failure and the attacker who knows the"
    " defence as well: a defence is worth what it withstands."
)


def drifts(measured: dict[str, Drifts]) -> str:
    """What the plot of noise and views shows."""
    parts = [
        f"{name}: drift {d.over_noise[0]:.3f} under noise of 1/255 to {d.over_noise[-1]:.2f} under 32/255,"
        f" {d.view_drift:.3f} over our views"
        for name, d in measured.items()
    ]
    return "; ".join(parts) or "an empty plot: nothing has been measured yet"


TITLE = "CLIP fights back"
INTRODUCTION = (
    "CLIP names what a picture shows. A change that is hard to see makes it wrong, and CLIP itself, with no"
    " training, can undo it: it changes the picture until its description of it has left where the attacker"
    " put it."
)
TABS = {  # below the stage
    "suspicion": "Is it attacked?",
    "gate": "Why this gate",
    "arena": "Arena",
    "views": "Noise and views",
    "share": "Share and take away",
    "lesson": "Lesson",
    "about": "About",
}
DOORS = ("suspicion", "arena", "share", "lesson")  # those that the page's head leads to
COULD_BE = "What could it be?"
TAKEN_FOR = (  # after it
    "CLIP takes this for “{first}”. Its ten likeliest words are the labels now: go on with one of the"
    " buttons, or write others where none fits."
)
FINISHED, FINISHED_HERE = "a finished run that came with the demo", "a finished run, made here beforehand"
CHOSEN_ON_ANOTHER = "So it is on the model in the box; this one may answer otherwise."


def note(milliseconds: tuple[float, ...], device: str) -> str:
    """Device and speed, in a few words; milliseconds: of the steps of an act."""
    if not milliseconds:
        return f"computed on {device}"
    return f"{sorted(milliseconds)[len(milliseconds) // 2]:.0f} ms a step (median) on {device}"


def loading(title: str, stage: Stage | None) -> str:
    """Of a model on its way; title: its own."""
    if stage is None or stage.kind == LOADING and not stage.done:
        return f"Loading {title} …"
    if stage.kind != LOADING:
        return f"Building {title} …"
    megabytes = f"{stage.done / 1e6:.0f} MB"
    if stage.total:
        megabytes = f"{stage.done / 1e6:.0f} of {stage.total / 1e6:.0f} MB"
    return f"Loading {title}: {megabytes}, {stage.speed / 1e6:.0f} MB/s"
