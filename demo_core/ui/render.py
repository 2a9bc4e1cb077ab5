"""Pieces of the page as HTML, from the templates beside it. Every word of a person's (labels) is escaped."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image, ImageOps

from demo_core.benchmark.report import marks
from demo_core.defenses import CONTROL, DEFENSES, TAU, VIEW_DRIFT, Gate
from demo_core.defenses.drift import Study
from demo_core.examples import EXAMPLES
from demo_core.models import MODELS, profile_of, study_of
from demo_core.pictures import as_url, open_picture, to_image
from demo_core.plots import to_svg
from demo_core.story import (
    Bout,
    Drifts,
    Run,
    arena_words,
    gate_words,
    glossary,
    page_words,
    pair_words,
    seed_words,
    suspicion_words,
    trust_words,
    words,
)
from demo_core.story.axes import gauge
from demo_core.story.depths import DEPTHS, USUAL
from demo_core.story.flips import GRID, Flip
from demo_core.story.lesson import CHALLENGES, MINUTES, STEPS
from demo_core.story.race import Races, keeps, ranking, stands
from demo_core.story.scenes import SCENES
from demo_core.story.seeds import Draw
from demo_core.story.settings import SETTINGS, Settings
from demo_core.story.trust import verdicts
from demo_core.story.views_figure import views_figure
from demo_core.ui.bench import open_to_all
from demo_core.ui.scale import scaled

THUMBNAIL = 96
LANE_PICTURE = 72  # pixels a side
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
# js_on_load of those that have buttons
MEASURE = """element.addEventListener("click", (event) => {
  const button = event.target.closest("button.measure");
  if (button) trigger("click", { photographs: Number(button.dataset.photographs) });
});"""
WATCH = """element.addEventListener("click", (event) => {
  const button = event.target.closest("button.watch");
  if (!button) return;
  trigger("click", { key: button.dataset.key, beside: button.matches(".beside") });
  document.querySelector(".stage")?.scrollIntoView();
});"""
CHOOSE = """element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) trigger("click", { title: button.dataset.title });
});"""
LEAD = """element.addEventListener("click", (event) => {
  const door = event.target.closest("[data-door]")?.dataset.door;
  const tabs = door ? [...document.querySelectorAll(".more [role=tab]")] : [];
  const tab = tabs.find((tab) => tab.textContent.trim() === door);
  tab?.click();
  tab?.focus({ preventScroll: true });
  tab?.scrollIntoView();
});"""
COPY = """element.addEventListener("click", (event) => {
  if (!event.target.matches("button")) return;
  const link = element.querySelector("a.run"), say = (words) => { event.target.textContent = words; };
  const failed = () => say("Copy it from the link itself");
  if (navigator.clipboard) navigator.clipboard.writeText(link.href).then(() => say("Copied"), failed);
  else failed();
});"""


# Only the sheet is printed (see theme.py), with the answers that are open.
PRINT = """element.addEventListener("click", (event) => {
  if (!event.target.matches("button.print")) return;
  const page = document.documentElement.classList;
  for (const link of element.querySelectorAll("a")) link.dataset.address = link.href;  // written out on paper
  page.add("sheet-alone");
  addEventListener("afterprint", () => page.remove("sheet-alone"), { once: true });
  print();
});"""


def _filled(name: str, **values: object) -> str:
    """The template's HTML; no line of it ends between a number and its %."""
    found = _TEMPLATES.get_template(f"{name}.html").render(values)
    return re.sub(r"(?<=\d) (?=%)", "\N{NO-BREAK SPACE}", found)


def explained(found: str) -> str:
    """The same HTML, with a note at the first of each term in it that stands in plain text: in no heading,
    button, link or quotation."""
    known: set[str] = set()
    pieces, within = [], 0
    for part in re.split(r"(<[^>]+>)", found):
        if tag := re.match(r"<(/?)(?:h\d|button|a|summary|svg|math|i|option|label)\b", part):
            within += -1 if tag[1] else 1
        if part.startswith("<") or within:
            pieces.append(part)
            continue
        for piece, key in glossary.found_in(part, known):
            pieces.append(
                f'<button type="button" class="term" data-term="{key}">{piece}</button>' if key else piece
            )
    return "".join(pieces)


def examples_html() -> str:
    """The example photographs as buttons."""
    size = (THUMBNAIL, THUMBNAIL)
    pictures = [(e.title, as_url(ImageOps.fit(open_picture(e.path), size), quality=85)) for e in EXAMPLES]
    return _filled("examples", pictures=pictures)


def head_html() -> str:
    """What the page is, and how deep its words go."""
    return _filled(
        "head",
        title=page_words.TITLE,
        introduction=page_words.INTRODUCTION,
        doors=[page_words.TABS[key] for key in page_words.DOORS],
        depths={key: depth.title for key, depth in DEPTHS.items()},
        usual=USUAL,
    )


def share_html(query: str, settings: Settings | None = None) -> str:
    """The link that makes this run again, where one does; and what the files hold of the two defences of
    settings, where there are two."""
    two = pair_words.taken(settings.defense) if settings and settings.second else ""
    return _filled("share", query=query, two=two)


def to_benchmark(said: str) -> Markup:
    """What is said, with a link to the benchmark where it is named and open; in a tab of its own, for the Lab
    holds a race that took its time."""
    name = arena_words.BENCHMARK
    link = Markup('<a href="./?view=benchmark" target="_blank">{}</a>').format(name)
    return escape(said).replace(name, link) if open_to_all() else escape(said)


def no_arena(attacked: bool) -> str:
    """The arena before any race; attacked: whether the run on the page is of an attacked picture."""
    return _filled("arena", not_yet=arena_words.NOT_YET[attacked].format(button=arena_words.BUTTON))


def arena_html(run: Run, races: Races) -> str:
    """A lane for each defence, in the order of the table: style.css puts those first that stand. A page that
    gets it again changes what has changed, so that whoever is at a button stays there."""
    ranks = {key: place for place, key in enumerate((k for k in ranking(run, races) if k != CONTROL), 1)}
    marked = [key for key, finding in checked_on(run.settings.model).items() if finding.signs]
    lanes = _filled(
        "arena",
        labels=run.settings.labels,
        clean=int(run.clean.argmax()),
        truth=run.settings.truth,
        lanes=[_lane(run, races, key, ranks.get(key)) for key in DEFENSES],
        both=bool(races.static and races.adaptive),
        done=len(races.strongest),
        said=arena_words.arena(run, races),
        trust=to_benchmark(arena_words.trust(run, races, marked)),
    )
    return explained(lanes)


def _lane(run: Run, races: Races, key: str, rank: int | None) -> dict[str, object]:
    """What a lane shows. rank: its place, which is told of what stands; None for the control, which stays
    first, and before it answered."""
    row, bouts = DEFENSES[key], races.met(key)
    flip = next((flip for flip in races.flips if flip.key == key), None)
    order = 0 if key == CONTROL else rank if rank is not None else len(DEFENSES)
    shown = {"key": key, "title": row.title, "help": row.help, "rank": None, "order": order, "met": []}
    shown["smallest"] = arena_words.smallest(flip)
    if not bouts:
        return shown | {"state": "waiting", "picture": ""}
    gate, last = row.gate(run.profile), list(bouts.values())[-1]
    finding = checked_on(run.settings.model).get(key)
    return shown | {
        "mark": finding.mark if finding else "",
        "signs": [sign.why for sign in finding.signs] if finding else [],
        "state": _state(run, last),
        "rank": rank if stands(run, last) else None,
        "picture": "" if last.pixels is None else _small(last.pixels),
        "met": [_met(run, gate, side, bout) for side, bout in bouts.items()],
        "clean": int(last.clean.argmax()),
        "clean_words": arena_words.CLEAN[keeps(run, last)],
        "forward": last.forward,
        "backward": last.backward,
        "milliseconds": last.milliseconds,
    }


def _state(run: Run, bout: Bout) -> str:
    """How a lane is coloured: one that stands, and is paid for with the clean picture, is neither."""
    if not stands(run, bout):
        return "fallen"
    return "standing" if keeps(run, bout) else "costly"


checked_on = lru_cache(marks)  # the records that come with a model do not change


def _met(run: Run, gate: Gate | None, side: str, bout: Bout) -> dict[str, object]:
    """How a row answered one attacker."""
    return {
        "attacker": arena_words.ATTACKERS[side],
        "state": arena_words.STATES[stands(run, bout)],
        "says": int(bout.attacked.argmax()),
        "share": words.percent(bout.attacked),
        "gate": gate_words.acted(bout.reading, gate, bare=bout.key == CONTROL),
        "gauge": gauge(gate, bout.reading.value) if gate and bout.reading else None,
        "rerolls": arena_words.rerolls(bout),
        "left_out": arena_words.left_out(bout),
    }


def seeds_html(run: Run | None = None, found: Sequence[Draw] = ()) -> str:
    """What came of several seeds; nothing before any was tried."""
    if run is None:
        return _filled("seeds", why=seed_words.WHY)
    return _filled(
        "seeds",
        why=seed_words.WHY,
        draws=found,
        labels=run.settings.labels,
        said=seed_words.drawn(run, found),
        outcome=seed_words.outcome,
    )


def flips_html(run: Run | None = None, found: Sequence[Flip] = ()) -> str:
    """Beside the eps slider, on its own scale: where the picture stands and where it falls. run: None before
    any was found."""
    if run is None or not found:
        return ""
    _, most, _ = SETTINGS["eps"].slider or (0, max(GRID), 0)

    def share(eps: float) -> float:
        return 100 * min(eps / most, 1)

    rows = [
        {
            "words": arena_words.flip_of(flip),
            "stands": 0 if flip.stands is None else share(flip.stands),
            "falls": 100 if flip.falls is None or flip.again else share(flip.falls),
            "dots": [
                (share(eps), 100 * answer.share, "" if answer.right else "lost")
                for eps, answer in flip.tried.items()
                if eps <= most
            ],
        }
        for flip in found
    ]
    return _filled(
        "flips", said=arena_words.flipping(run), rows=rows, most=f"{most:g}", legend=arena_words.FLIP_LEGEND
    )


def _small(pixels: torch.Tensor) -> str:
    """Pixels [1,3,S,S] as a small picture."""
    side = (LANE_PICTURE, LANE_PICTURE)
    return as_url(to_image(pixels[0]).resize(side, Image.Resampling.BOX), "png", optimize=True)


def nothing_found(key: str, attacked: bool) -> dict[str, str]:
    """What is measured of a run on request, by its part of the page, before it is asked for. key: of the
    model; attacked: see no_arena."""
    return {
        "arena": no_arena(attacked),
        "views": no_views(key),
        "seeds": seeds_html(),
        "flips": flips_html(),
    }


def takes_html(sentences: Sequence[str]) -> str:
    """How long work takes, beside its button; nothing where nothing is to be said."""
    return _filled("takes", sentences=sentences)


def no_views(key: str) -> str:
    """The plot of drifts before any was measured."""
    return _no_views(key, study_of(key))


@lru_cache
def _no_views(key: str, study: Study | None) -> str:
    return views_html(key, {})


def views_html(key: str, drifts: dict[str, Drifts], eps: float = 4.0) -> str:
    """The drift of a run's pictures over noise and views, before what the model's study found."""
    study = study_of(key)
    figure = to_svg(views_figure(drifts, profile_of(key), study, eps), page_words.drifts(drifts))
    return _filled("views", study=study, figure=Markup(figure))


def suspicion_html(**shown: object) -> str:
    """Whether a picture is attacked; shown: see suspicion.py, nothing before one was looked at."""
    words = {"first": suspicion_words.FIRST, "behind": suspicion_words.BEHIND}
    return explained(_filled("suspicion", **words, **shown))


def gate_html(key: str) -> str:
    """Which signal gates a model of the table, and why, in plain words; and which gates its study trusts."""
    row, original = MODELS[key], MODELS[key].original
    profile, study = profile_of(key), study_of(key)
    gate = _filled(
        "gate",
        title=row.title,
        profile=profile,
        original=MODELS[original].title if original else "",
        TAU=TAU,
        VIEW_DRIFT=VIEW_DRIFT,
    )
    found = verdicts(study, profile) if study else ()
    return explained(gate + _filled("trust", study=study, verdicts=found, words=trust_words, scaled=scaled))


def lesson_html() -> str:
    """The sheet for a class, with links to its runs."""

    def linked(rows):
        return [vars(row) | {"query": SCENES[row.scene].scene.query()} for row in rows if row.scene in SCENES]

    return explained(_filled("lesson", minutes=MINUTES, steps=linked(STEPS), challenges=linked(CHALLENGES)))


ABOUT = explained(_filled("about", examples=EXAMPLES, benchmark=to_benchmark(arena_words.BENCHMARK)))
