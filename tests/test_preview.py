"""What a link to the page looks like elsewhere."""

import re

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from demo_core.ui import preview

PAGE = """<html><head><meta charset="utf-8"><meta property="og:title" content="Another" />
<meta name="twitter:title" content="Another" /><title>The page</title></head><body>Another</body></html>"""


def test_a_shared_link_shows_the_page_s_own_title_and_picture():
    routes = [
        Route("/", lambda request: HTMLResponse(PAGE)),
        Route("/other", lambda request: HTMLResponse(PAGE)),
    ]
    server = TestClient(Starlette(routes=routes, middleware=[Middleware(preview.Preview)]))
    found = server.get("/").text
    assert found.count("Another") == 1 and "<title>The page</title>" in found and 'charset="utf-8"' in found
    assert f'property="og:title" content="{preview.TITLE}"' in found
    picture = re.search(r'og:image" content="http://testserver([^"]+)"', found)[1]
    shown = server.get(picture)
    assert shown.status_code == 200 and shown.headers["content-type"] == "image/png"
    assert server.get("/other").text == PAGE


def test_what_is_no_page_is_left_alone():
    routes = [Route("/", lambda request: PlainTextResponse("</head>"))]
    server = TestClient(Starlette(routes=routes, middleware=[Middleware(preview.Preview)]))
    assert server.get("/").text == "</head>"
