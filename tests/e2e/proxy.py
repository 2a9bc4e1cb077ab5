"""A reverse proxy that puts the app below a path, and a page of another origin that embeds it."""

import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, StreamingResponse
from starlette.routing import Route

from tests.e2e import free_port

OF_ONE_HOP = {"connection", "keep-alive", "transfer-encoding", "host"}  # headers that go no further


def proxy(target: str, prefix: str) -> Starlette:
    """Hands `prefix`/path on as target/path, as it comes and goes, and says whom the visitor asked."""
    client = httpx.AsyncClient(base_url=target, timeout=None)

    async def hand_on(request: Request) -> StreamingResponse:
        kept = [(name, value) for name, value in request.headers.items() if name not in OF_ONE_HOP]
        kept += [("x-forwarded-host", request.url.netloc), ("x-forwarded-proto", request.url.scheme)]
        path = request.url.path.removeprefix(prefix) or "/"
        asked = client.build_request(
            request.method,
            httpx.URL(path=path, query=request.url.query.encode()),
            headers=kept,
            content=request.stream(),
        )
        answer = await client.send(asked, stream=True)

        async def parts() -> AsyncIterator[bytes]:
            try:
                async for part in answer.aiter_raw():
                    yield part
            finally:
                await answer.aclose()

        headers = {name: value for name, value in answer.headers.items() if name not in OF_ONE_HOP}
        return StreamingResponse(parts(), answer.status_code, headers)

    async def embedding(request: Request) -> HTMLResponse:
        return HTMLResponse(
            '<!doctype html><title>A page</title><link rel="icon" href="data:,">'
            f'<iframe src="{request.query_params["of"]}"'
            ' allow="clipboard-read; clipboard-write" style="width:1400px;height:1800px"></iframe>'
        )

    return Starlette(
        routes=[
            Route("/embedding", embedding),
            Route(prefix, hand_on, methods=["GET", "POST"]),
            Route(prefix + "/{path:path}", hand_on, methods=["GET", "POST"]),
        ],
    )


@contextmanager
def behind_a_proxy(target: str, prefix: str) -> Iterator[str]:
    """The origin of such a proxy while it runs."""
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(
            proxy(target, prefix), port=port, log_level="warning", lifespan="off", timeout_graceful_shutdown=2
        )
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the proxy stopped"
        time.sleep(0.05)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
