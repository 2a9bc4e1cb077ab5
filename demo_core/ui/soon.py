"""What stands on the page until the framework's scripts are here, which takes half a minute on a slow line:
its name, and the photograph of the run that it opens on, both in the page itself. The run is fetched
meanwhile."""

from __future__ import annotations

import html
from functools import lru_cache
from urllib.parse import parse_qs

from PIL import ImageOps

from demo_core.examples import Example
from demo_core.pictures import as_url, open_picture
from demo_core.story import page_words
from demo_core.story.scenes import Scene, SceneError
from demo_core.ui.reels import address_of, first_scene

SIDE = 256  # pixels a side
# The framework's own sheet, which would keep back all that is to be seen, and the same when it does not.
SHEET = b'<link rel="stylesheet" crossorigin'
LATER = SHEET + b' media="print" onload="this.media=\'all\'"'
# In the place of a picture that is not painted yet the photograph stays, also once the page itself is there.
STYLE = """<style>:root {{ --soon: url("{picture}"); }}
#soon {{ position: fixed; inset: 0; z-index: 1; padding: 1rem; font-family: system-ui, sans-serif; }}
#soon h1 {{ font-size: 1.5rem; margin: 0 0 .3rem; }}
#soon i {{ display: block; width: min(340px, 90vw, 60vh); aspect-ratio: 1; border-radius: 8px; }}
#soon i, .guess-pick:disabled canvas, .stage.waiting .canvases {{
  background: var(--soon) center / cover !important; }}
body:has(.stage) #soon {{ display: none; }}</style>"""
# Asked for as the stage does, and after what the page itself needs.
EARLY = '<link id="early" rel="preload" as="fetch" crossorigin fetchpriority="low" href="{address}">'
MARKUP = (
    '<div id="soon"><h1>{title}</h1><p role="status">{words}</p><i role="img" aria-label="{label}"></i></div>'
)


@lru_cache
def _photograph(example: Example) -> str:
    picture = ImageOps.fit(open_picture(example.path), (SIDE, SIDE))
    return as_url(picture, quality=70)


def opens_on(query: str) -> Scene | None:
    """The run on which the page opens; None where it shows none, or where its photograph is missing."""
    try:
        scene = Scene.read(query) or first_scene()
    except SceneError:
        scene = first_scene()
    return None if "view" in parse_qs(query) or not scene.example.present else scene


def with_soon(page: bytes, query: str) -> bytes:
    """The page, with what is to be seen before the rest of it."""
    scene = opens_on(query)
    if scene is None:
        return page
    style, where = STYLE.format(picture=_photograph(scene.example)), address_of(scene)
    early = EARLY.format(address=html.escape(where)) if where else ""
    words, label = page_words.SOON, html.escape(page_words.PAGE_WORDS["picture"].format(name="clean"))
    body, rest = page.partition(b"<body")[::2]
    tag, inside = rest.partition(b">")[::2]
    shown = MARKUP.format(title=page_words.TITLE, words=words, label=label).encode()
    head = body.replace(SHEET, LATER).replace(b"</head>", (style + early).encode() + b"</head>", 1)
    return head + b"<body" + tag + b">" + shown + inside
