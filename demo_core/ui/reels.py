"""Finished runs as files of the page: each at an address that ends with what it holds, so that a browser may
keep it. What a visitor computes himself is streamed to him instead."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from demo_core.story.finished import as_file
from demo_core.story.scenes import FIRST, SCENES, Scene, SceneError
from demo_core.ui.address import path_of
from demo_core.ui.host import HOST

PATH = "reel/"  # relative to the page, wherever a proxy puts that
KEPT = "public, max-age=31536000, immutable"  # for a year, which is as long as such files are kept


def first_scene() -> Scene:
    """What the page opens on where its address asks for nothing."""
    return HOST.scene(SCENES[FIRST].scene)


def address_of(scene: Scene) -> str | None:
    """Where the page finds the finished run of a scene; None where there is none."""
    found = as_file(scene)
    return f"{PATH}{found.sum}?{scene.query()}" if found else None


def _answer(its_sum: str, query: str) -> Response:
    """The finished run of the scene that an address names. Where another was made since, that comes."""
    try:
        scene = Scene.read(query)
    except SceneError:
        scene = None
    found = scene and as_file(scene)
    if not found:
        return PlainTextResponse("There is no such run here.", 404)
    kept = KEPT if its_sum == found.sum else "no-cache"
    return Response(found.content, media_type="application/json", headers={"Cache-Control": kept})


class Reels:
    """Around the server: the finished runs are there."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = path_of(scope) if scope["type"] == "http" and scope["method"] in ("GET", "HEAD") else ""
        if not path.startswith("/" + PATH):
            return await self.app(scope, receive, send)
        its_sum, query = path.removeprefix("/" + PATH), Request(scope).url.query
        await (await run_in_threadpool(_answer, its_sum, query))(scope, receive, send)
