"""The page's look, and what launch() has to know of it."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from demo_core.examples import EXAMPLES
from demo_core.limits import LIMITS
from demo_core.ui.preview import Preview
from demo_core.ui.reels import Reels
from demo_core.ui.uploads import Guard

CSS = "\n".join(
    (Path(__file__).parent / name).read_text(encoding="utf-8") for name in ("style.css", "doors.css")
)
# What a link's ?talk=1 asks for: on a phone, where nothing can be so large, the page as it always is. The
# theme is the page's own business.
HEAD = (
    '<script>if (new URLSearchParams(location.search).get("talk") === "1"'
    ' && matchMedia("(min-width: 901px)").matches) document.documentElement.classList.add("talk");</script>'
    # Gradio's container would be what things stick to; its own rules reach no further up than its inside.
    "<style>@media (max-width: 900px) { .gradio-container { overflow: clip !important; } }"
    # A class of the whole document, which gradio's form of our own rules under @media would never match.
    " @media print { .sheet-alone body :not(:has(.lesson), .lesson, .lesson *), .sheet-alone .unprinted"
    " { display: none !important; }"
    # What is laid out as flex, or cut at its own edges, loses lines where a page of paper ends.
    " .sheet-alone, .sheet-alone :has(.lesson) { display: block !important; overflow: visible !important;"
    " height: auto !important; min-height: 0 !important; }"
    " .term { text-decoration: none !important; } @page { margin: 12mm; } }</style>"
)
BLUE, LIGHT = "#005b8f", "#8fd0f5"  # on white and on black with a contrast of 4.5 and more, as all words need


def theme() -> gr.themes.Base:
    fonts = {
        "font": ["system-ui", "sans-serif"],
        "font_mono": ["ui-monospace", "monospace"],
    }  # none is fetched
    return gr.themes.Soft(**fonts).set(
        button_primary_background_fill=BLUE,
        button_primary_background_fill_hover="#00456d",
        button_primary_background_fill_dark=BLUE,
        button_primary_background_fill_hover_dark="#0072B2",
        button_secondary_background_fill_hover_dark="*neutral_500",
        block_title_text_color=BLUE,
        block_title_text_color_dark=LIGHT,
        block_title_background_fill="transparent",
        block_title_background_fill_dark="transparent",
        block_label_text_color=BLUE,
        block_label_text_color_dark=LIGHT,
        block_label_background_fill="*neutral_50",
        block_label_background_fill_dark="*neutral_800",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        color_accent=BLUE,
        checkbox_border_color="*neutral_500",
        slider_color=BLUE,
        slider_color_dark=LIGHT,
        link_text_color=BLUE,
        link_text_color_dark=LIGHT,
        link_text_color_visited=BLUE,
        link_text_color_visited_dark=LIGHT,
        link_text_color_hover=BLUE,
        link_text_color_hover_dark=LIGHT,
        link_text_color_active=BLUE,
        link_text_color_active_dark=LIGHT,
    )


def _not_there(request: Request, error: Exception) -> Response:
    """Of a call to a function by a number that the page does not have. Any other key that is missing is a
    fault of the program, and told as such."""
    number = error.args[0] if error.args else None
    if type(number) is not int or number in request.app.get_blocks().fns:
        raise error
    return JSONResponse({"detail": "There is no such function here: the page lists its endpoints."}, 404)


def launch_options() -> dict:
    """What the page needs of launch(): its look, which rendering on the server would lose, the example files,
    an MCP server beside the API, no history of runs in visitors' browsers, and compression of all that is no
    stream and no picture."""
    return {
        "theme": theme(),
        "css": CSS,
        "head": HEAD,
        "allowed_paths": [e.path for e in EXAMPLES],
        "ssr_mode": False,  # what node renders has the framework's rules after ours, and its own title
        "run_history": False,
        "enable_monitoring": False,
        "state_session_capacity": LIMITS.visitors,
        "max_file_size": f"{LIMITS.upload_megabytes}mb",
        "mcp_server": True,
        "app_kwargs": {
            "middleware": [
                Middleware(GZipMiddleware, minimum_size=1000, compresslevel=6),
                Middleware(Guard),
                Middleware(Reels),
                Middleware(Preview),
            ],
            "exception_handlers": {KeyError: _not_there},
        },
    }
