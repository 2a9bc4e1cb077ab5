"""A picture that a program names by its address is fetched within bounds, each of which is one sentence."""

import asyncio
import gzip
import time

import httpx
import pytest

from demo_core.limits import Limits
from demo_core.pictures import PictureError
from demo_core.ui import fetching, uploads

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


def answer_of(content, **headers):
    """An answer that is read as it comes, as one of the web is."""

    async def coming():
        yield content

    return httpx.Response(200, headers=headers, content=coming())


def test_the_file_at_an_address_is_fetched_also_where_that_leads_on(web, tmp_path):
    web[HERE] = httpx.Response(302, headers={"location": "/there.png"})
    web["https://pictures.example/there.png"] = answer_of(b"a picture")
    assert fetched(tmp_path).read_bytes() == b"a picture"
    assert web["https://pictures.example/there.png"].request.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("packing", ["gzip", "br", "gzip, br"])
def test_nothing_is_unpacked(web, tmp_path, packing):
    """A thousand bytes can become a thousand times as many before anybody counts them."""
    web[HERE] = answer_of(gzip.compress(bytes(1_000_000)), **{"content-encoding": packing})
    with pytest.raises(PictureError, match="comes compressed, which it was not to be: upload it as a file"):
        fetched(tmp_path)
    assert web[HERE].num_bytes_downloaded == 0


def test_who_reads_a_picture_keeps_it_while_another_fetches_the_same_address(web, tmp_path):
    web[HERE] = answer_of(b"as it was")
    with fetched(tmp_path).open("rb") as read:
        web[HERE] = answer_of(b"now")
        assert fetched(tmp_path).read_bytes() == b"now" and read.read() == b"as it was"
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["picture"]


def test_a_few_are_fetched_at_a_time_and_the_others_come_after(tmp_path, monkeypatch):
    running, most = [], []

    async def coming(request):
        running.append(request)
        most.append(len(running))
        await asyncio.sleep(0.02)
        running.pop()
        return answer_of(b"a picture")

    async def to(address):
        return httpx.MockTransport(coming)

    async def all_of(count):
        return await asyncio.gather(*(fetching.fetched(f"{HERE}?{i}", tmp_path) for i in range(count)))

    monkeypatch.setattr(fetching, "_transport_to", to)
    for _ in range(2):  # servers have their own loops
        assert len(set(asyncio.run(all_of(9)))) == 9
    assert max(most) == fetching.AT_ONCE == 4


def test_nothing_is_fetched_where_there_is_no_room(web, tmp_path, monkeypatch):
    monkeypatch.setenv(uploads.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr(uploads, "LIMITS", Limits(uploads_megabytes=1))
    (tmp_path / "of others").write_bytes(bytes(1_000_001))
    with pytest.raises(PictureError, match="no room for more pictures now: try again in an hour"):
        fetched(tmp_path)  # an address that is not there, which nobody asks
    (tmp_path / "of others").unlink()
    web[HERE] = answer_of(b"a picture")
    assert fetched(tmp_path).exists()


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
    "address",
    ["http://127.0.0.1:1/x", "http://localhost/x", "http://[::1]/x", "http://100.64.0.1/x", "http://"],
)
def test_machines_of_this_house_are_not_asked(address, monkeypatch):
    async def nobody(host):
        return []

    monkeypatch.setattr(fetching.safehttpx, "async_resolve_hostname_google", nobody)
    with pytest.raises(ValueError):
        asyncio.run(fetching._transport_to(address))
