"""What stands on the page until the framework's scripts are here, which takes half a minute on a slow line:
its name, and the photograph of the run that it opens on, both in the page itself."""

from __future__ import annotations

import html
from functools import lru_cache
from urllib.parse import parse_qs

from PIL import ImageOps

from demo_core.examples import EXAMPLES, Example
from demo_core.pictures import as_url, open_picture
from demo_core.story import page_words
from demo_core.story.scenes import FIRST, SCENES

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
MARKUP = (
    '<div id="soon"><h1>CLIP fights back</h1><p role="status">{words}</p>'
    '<i role="img" aria-label="{label}"></i></div>'
)


@lru_cache
def _photograph(example: Example) -> str:
    picture = ImageOps.fit(open_picture(example.path), (SIDE, SIDE))
    return as_url(picture, quality=70)


def opens_on(query: str) -> Example | None:
    """The photograph on which the page opens; None where it shows no run, or where the file is missing."""
    asked = {name: values[-1] for name, values in parse_qs(query).items()}
    title = asked.get("picture", SCENES[FIRST].scene.picture)
    found = next((e for e in EXAMPLES if e.title == title), SCENES[FIRST].scene.example)
    return None if "view" in asked or not found.present else found


def with_soon(page: bytes, query: str) -> bytes:
    """The page, with what is to be seen before the rest of it."""
    example = opens_on(query)
    if example is None:
        return page
    style = STYLE.format(picture=_photograph(example))
    words, label = page_words.SOON, html.escape(page_words.PAGE_WORDS["picture"].format(name="clean"))
    body, rest = page.partition(b"<body")[::2]
    tag, inside = rest.partition(b">")[::2]
    shown = MARKUP.format(words=words, label=label).encode()
    head = body.replace(SHEET, LATER).replace(b"</head>", style.encode() + b"</head>", 1)
    return head + b"<body" + tag + b">" + shown + inside
