"""A picture that a program names by its address is fetched within bounds, each of which is one sentence."""

import asyncio
import time

import httpx
import pytest

from demo_core.pictures import PictureError
from demo_core.ui import fetching

HERE = "https://pictures.example/cat.png"


@pytest.fixture
def web(monkeypatch):
    """Answers to addresses, in place of the web's."""
    pages: dict[str, httpx.Response] = {}

    async def to(address):
        return httpx.MockTransport(lambda request: pages[str(request.url)])

    monkeypatch.setattr(fetching, "_transport_to", to)
    return pages


def fetched(folder):
    return asyncio.run(fetching.fetched(HERE, folder))


def test_the_file_at_an_address_is_fetched_also_where_that_leads_on(web, tmp_path):
    web[HERE] = httpx.Response(302, headers={"location": "/there.png"})
    web["https://pictures.example/there.png"] = httpx.Response(200, content=b"a picture")
    assert fetched(tmp_path).read_bytes() == b"a picture"


def test_no_more_is_read_than_may_be_there(web, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "MOST", 1000)
    read = []

    async def endless():
        while True:
            read.append(1)
            yield bytes(100)

    for answer in (
        httpx.Response(200, content=endless()),
        httpx.Response(200, headers={"content-length": "1001"}, content=endless()),
    ):
        web[HERE] = answer
        with pytest.raises(PictureError, match="has over 50 megabytes: give a smaller one"):
            fetched(tmp_path)
    assert len(read) <= 11 + 1 and not list(tmp_path.rglob("picture"))


def test_nobody_is_waited_for_without_end(web, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "SECONDS", 0.1)

    async def slow():
        while True:
            await asyncio.sleep(0.02)
            yield b"x"

    web[HERE], then = httpx.Response(200, content=slow()), time.monotonic()
    with pytest.raises(PictureError, match="did not come within 0 seconds: upload it as a file"):
        fetched(tmp_path)
    assert time.monotonic() - then < 2


@pytest.mark.parametrize(
    "answer, said",
    [
        (httpx.Response(302, headers={"location": HERE}), "leads on to others more than 5 times"),
        (httpx.Response(404), r"no picture at this address \(it answers 404\)"),
        (httpx.Response(302, headers={"location": "file:///etc/passwd"}), "cannot be reached from here"),
    ],
)
def test_what_is_no_picture_is_said(web, tmp_path, answer, said, monkeypatch):
    web[HERE] = answer
    if "passwd" in answer.headers.get("location", ""):
        monkeypatch.undo()
        real = fetching._transport_to

        async def to(address):
            return httpx.MockTransport(lambda request: answer) if address == HERE else await real(address)

        monkeypatch.setattr(fetching, "_transport_to", to)
    with pytest.raises(PictureError, match=said):
        fetched(tmp_path)


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:1/x", "http://localhost/x", "http://[::1]/x", "http://"]
)
def test_machines_of_this_house_are_not_asked(address, monkeypatch):
    async def nobody(host):
        return []

    monkeypatch.setattr(fetching.safehttpx, "async_resolve_hostname_google", nobody)
    with pytest.raises(ValueError):
        asyncio.run(fetching._transport_to(address))
