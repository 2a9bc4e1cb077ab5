"""What a link to the page looks like elsewhere."""

import re

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from demo_core.ui import preview, soon

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


def test_the_page_has_a_photograph_before_any_script_is_there():
    """That of the run which it opens on, in the page itself; the framework’s sheet keeps nothing back."""
    sheet = '<link rel="stylesheet" crossorigin href="./a.css">'
    page = f'<html><head>{sheet}</head><body style="x"><gradio-app></gradio-app></body></html>'.encode()
    cat, lion = (soon.with_soon(page, query).decode() for query in ("", "picture=lion&eps=2"))
    for found in (cat, lion):
        head, body = found.split("</head>")
        assert 'crossorigin media="print" onload="this.media=' in head and sheet not in found
        assert head.count('url("data:image/webp;base64,') == 1 and len(found) < 40_000
        assert re.match(r'<body style="x"><div id="soon">.*</div><gradio-app></gradio-app>', body)
    assert cat != lion and cat == soon.with_soon(page, "picture=nobody").decode()
    assert soon.with_soon(page, "view=benchmark") == page


def test_what_is_no_page_is_left_alone():
    routes = [Route("/", lambda request: PlainTextResponse("</head>"))]
    server = TestClient(Starlette(routes=routes, middleware=[Middleware(preview.Preview)]))
    assert server.get("/").text == "</head>"
