"""Pieces of the page as HTML, from the templates beside it. Every word of a person's (labels) is escaped."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import ImageOps

from demo_core.defenses import DEFENSES, TAU, VIEW_DRIFT
from demo_core.examples import EXAMPLES
from demo_core.models import MODELS, profile_of, study_of
from demo_core.pictures import as_url, open_picture
from demo_core.plots import DEFENDED, to_svg
from demo_core.story import Bout, Drifts, Run, page_words
from demo_core.story.views_figure import views_figure

THUMBNAIL = 96
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
# js_on_load of the two that follow
CHOOSE = """element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) trigger("click", { title: button.dataset.title });
});"""
COPY = """element.addEventListener("click", (event) => {
  if (!event.target.matches("button")) return;
  const link = element.querySelector("a.run"), say = (words) => { event.target.textContent = words; };
  const failed = () => say("Copy it from the link itself");
  if (navigator.clipboard) navigator.clipboard.writeText(link.href).then(() => say("Copied"), failed);
  else failed();
});"""


def _filled(name: str, **values: object) -> str:
    return _TEMPLATES.get_template(f"{name}.html").render(values)


def examples_html() -> str:
    """The example photographs as buttons."""
    size = (THUMBNAIL, THUMBNAIL)
    pictures = [(e.title, as_url(ImageOps.fit(open_picture(e.path), size), quality=85)) for e in EXAMPLES]
    return _filled("examples", pictures=pictures)


def share_html(query: str) -> str:
    """The link that makes this run again, where one does."""
    return _filled("share", query=query)


def arena_html(run: Run | None, bouts: tuple[Bout, ...]) -> str:
    """A row for each defence: its answers (right or wrong where the true label is known, else whether it is
    the first answer), the probability of the clean prediction, what it does to the clean picture, what it
    costs."""
    if run is None:
        return _filled("arena")
    return _filled(
        "arena",
        labels=run.settings.labels,
        clean=int(run.clean.argmax()),
        truth=run.settings.truth,
        defenses=DEFENSES,
        bouts={bout.key: bout for bout in bouts},
        said=page_words.arena(run),
        colour=DEFENDED,
    )


@lru_cache
def no_views(key: str) -> str:
    """The plot of drifts before any was measured."""
    return views_html(key, {})


def views_html(key: str, drifts: dict[str, Drifts], eps: float = 4.0) -> str:
    """The drift of a run's pictures over noise and views, before what the model's study found."""
    study = study_of(key)
    figure = to_svg(views_figure(drifts, profile_of(key), study, eps), page_words.drifts(drifts))
    return _filled("views", study=study, figure=Markup(figure))


def gate_html(key: str) -> str:
    """Which signal gates a model of the table, and why, in plain words."""
    row, original = MODELS[key], MODELS[key].original
    return _filled(
        "gate",
        title=row.title,
        profile=profile_of(key),
        original=MODELS[original].title if original else "",
        TAU=TAU,
        VIEW_DRIFT=VIEW_DRIFT,
    )


ABOUT = _filled("about", examples=EXAMPLES)
