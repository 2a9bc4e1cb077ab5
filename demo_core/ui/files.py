"""What of a run can be taken away, and under which name; one of the files is the stage itself, which plays
the run without a server."""

from __future__ import annotations

import html
import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demo_core.attacks import ATTACKS
from demo_core.defenses.drift import Study
from demo_core.models import MODELS, study_of
from demo_core.story import Run
from demo_core.story.page_words import INTRODUCTION, TITLE
from demo_core.story.reel import reel
from demo_core.story.takeaway import TAKEAWAYS, Takeaway
from demo_core.story.words import verdict

HERE = Path(__file__).parent
# One after the other in one function: what one names, all know.
SCRIPTS = (
    "tools.js",
    "depth.js",
    "frames.js",
    "pictures.js",
    "plots.js",
    "threshold.js",
    "shelf.js",
    "pair.js",
    "guide.js",
    "stage.js",
)
OWN_PICTURE = "own picture"
# What the page's theme gives the stage, as far as the stage asks for it: light, dark.
COLOURS = {
    "--body-text-color": ("#1f2937", "#f3f4f6"),
    "--body-background-fill": ("#ffffff", "#0b0f19"),
    "--background-fill-primary": ("#ffffff", "#111827"),
    "--background-fill-secondary": ("#f9fafb", "#1a2230"),
    "--border-color-primary": ("#d1d5db", "#374151"),
    "--neutral-400": ("#9ca3af", "#9ca3af"),
}
_ONLY_HERE = ".thumb, .own, .invite, .asks { display: none !important; }"  # what needs the server
_SCRIPT = """
if (matchMedia("(prefers-color-scheme: dark)").matches) document.documentElement.classList.add("dark");
(function (element, props, watch, trigger) {
%s
})(document.querySelector("#stage"), { value: %s }, () => {}, () => {});"""


def stage_parts() -> tuple[str, str]:
    """The stage's HTML and its script."""
    return (HERE / "stage.html").read_text(encoding="utf-8"), "\n".join(
        (HERE / name).read_text(encoding="utf-8") for name in SCRIPTS
    )


def run_page(run: Run, study: Study | None = None) -> bytes:
    """The run as one HTML page that plays it by itself and fetches nothing."""
    markup, script = stage_parts()
    found = reel(run, study, note=MODELS[run.settings.model].title)
    found["page"] = found["page"] | {"asks": False}  # it begins with the run, not with the question
    data = json.dumps(found, ensure_ascii=False).replace("<", "\\u003c")  # no label may end the script
    light, dark = ("".join(f"{name}: {pair[i]}; " for name, pair in COLOURS.items()) for i in (0, 1))
    body = (
        "font: 16px/1.4 system-ui, sans-serif; margin: 1rem; color: var(--body-text-color);"
        " background: var(--body-background-fill);"
    )
    own = f":root {{ {light}}} .dark {{ {dark}}} body {{ {body} }}"
    style = f"{own} {(HERE / 'style.css').read_text(encoding='utf-8')} {_ONLY_HERE}"
    title = html.escape(f"{TITLE}: {verdict(run)}")
    settings = found["summary"]
    rows = "".join(f"<li>{html.escape(f'{what}: {value}')}</li>" for what, value, _ in settings["rows"])
    head = (
        f"<header><h1>{TITLE}</h1><p>{INTRODUCTION}</p><details><summary>{html.escape(settings['short'])}"
        f"</summary><ul>{rows}</ul></details></header>"
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{style}</style></head>"
        f'<body>{head}<main id="stage">{markup}</main>'
        f"<script>{_SCRIPT % (script, data)}</script></body></html>"
    ).encode()


FILES: dict[str, Takeaway] = TAKEAWAYS | {
    "page": Takeaway("Page that plays by itself (HTML)", "run.html", run_page)
}


@contextmanager
def written(run: Run, picture: str | None, row: Takeaway) -> Iterator[str]:
    """The path of a file of the run, there meanwhile: gradio keeps a copy of its own for an hour."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / file_name(run, picture, row)
        path.write_bytes(row.make(run, study_of(run.settings.model)))
        yield str(path)


def file_name(run: Run, picture: str | None, row: Takeaway) -> str:
    """What a file is called: the product, the picture's title (None for a visitor's own), the model, the
    attack or its absence, the defence where the file shows the first of two only, and what it holds."""
    settings = run.settings
    attack = "as it is" if run.control else f"{settings.attack}-{settings.eps * 255:g}"
    if not run.control and ATTACKS[settings.attack].visible:
        attack = f"{settings.attack}-{settings.patch}"
    only = [f"{settings.defense}-alone"] if row.alone and settings.second else []
    parts = ("clip-fights-back", picture or OWN_PICTURE, settings.model, attack, *only, row.file)
    return "_".join(re.sub(r"[^A-Za-z0-9.]+", "-", part).strip("-")[:40] for part in parts)
