"""What other programs show of a link to the page: its own title, words and picture, not its framework's."""

from __future__ import annotations

import html
import re
from pathlib import Path

from gradio.route_utils import get_root_url
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo_core.story import page_words
from demo_core.ui.address import path_of
from demo_core.ui.soon import with_soon

TITLE = f"{page_words.TITLE}: test-time counterattacks"
TEXT = (
    "A change that is hard to see makes CLIP call a picture something else, and CLIP itself can undo it."
    " Watch it step by step, on a photograph of your own."
)
PATH = "/preview.png"
PICTURE = Path(__file__).resolve().parents[2] / "assets" / "screenshots" / "desktop-light.png"
CARDS = re.compile(rb'\s*<meta[^>]+(?:property|name)="(?:og|twitter):[^>]*>')


def card(address: str) -> bytes:
    """The tags, for a page at an address that ends with a slash."""
    found = {
        "og:type": "website",
        "og:title": TITLE,
        "og:description": TEXT,
        "og:url": address,
        "og:image": address.rstrip("/") + PATH,
        "twitter:card": "summary_large_image",
    }
    return "".join(
        f'<meta property="{name}" content="{html.escape(text)}" />' for name, text in found.items()
    ).encode()


def _address(scope: Scope) -> str:
    """The page's own address as visitors see it, before whatever proxy."""
    return get_root_url(Request(scope), "/", scope.get("root_path")) + "/"


class Preview:
    """Around the server: the page's tags are replaced, their picture is there, and the page has something to
    be seen at once."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = path_of(scope) if scope["type"] == "http" else None
        if path == PATH:
            return await FileResponse(PICTURE)(scope, receive, send)
        if path not in ("", "/"):
            return await self.app(scope, receive, send)
        start: Message = {}
        parts: list[bytes] = []

        async def collect(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            parts.append(message.get("body", b""))
            if message.get("more_body"):
                return
            body, headers = b"".join(parts), MutableHeaders(raw=start["headers"])
            if headers.get("content-type", "").startswith("text/html"):
                body = CARDS.sub(b"", body).replace(b"</head>", card(_address(scope)) + b"</head>", 1)
                body = with_soon(body, scope["query_string"].decode("latin-1"))
                headers["content-length"] = str(len(body))
            await send(start)
            await send(message | {"body": body})

        await self.app(scope, receive, collect)
