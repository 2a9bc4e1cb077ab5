"""A picture that a program names by its address: fetched within bounds, from public addresses alone, or
unpacked within the same, where the address holds it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ipaddress
from pathlib import Path
from urllib.parse import urljoin
from weakref import WeakKeyDictionary

import httpx
import safehttpx
from gradio.processing_utils import PUBLIC_HOSTNAME_WHITELIST
from starlette.concurrency import run_in_threadpool

from demo_core.limits import LIMITS
from demo_core.pictures import PictureError
from demo_core.ui.uploads import NO_ROOM, need_room, put

SECONDS, REDIRECTS, AT_ONCE = 20.0, 5, 4
MOST = LIMITS.upload_megabytes * 1_000_000  # bytes
REDIRECTED = (301, 302, 303, 307, 308)
PACKED = "data:"  # how the addresses begin that hold what they name
TOO_LARGE = f"The picture at this address has over {LIMITS.upload_megabytes} megabytes: give a smaller one."
AS_IT_IS = "identity"  # not compressed: a few bytes can unpack to more than fits in memory
_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


async def fetched(address: str, folder: str | Path) -> Path:
    """The file at an address, in a folder of its own in this one; all who name the address have the same one.
    Raises PictureError where it is too large, comes compressed, takes too long (with the wait for a turn, of
    which there are AT_ONCE), leads on too often, or is not there, and where there is no room."""
    target = _place(address, folder)
    try:
        await asyncio.wait_for(_in_turn(address, target), SECONDS)
    except (TimeoutError, asyncio.TimeoutError, httpx.TimeoutException):
        raise PictureError(
            f"The picture at this address did not come within {SECONDS:.0f} seconds: upload it as a file."
        ) from None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
        if isinstance(error, PictureError):
            raise
        raise PictureError(
            "This address cannot be reached from here: upload the picture as a file."
        ) from None
    return target


def unpacked(address: str, folder: str | Path) -> Path:
    """The same of a data address, which holds the file in base64. Raises PictureError where it is too large,
    and where there is no room; binascii.Error where it holds nothing."""
    packed = address.rpartition(",")[2]
    if len(packed) * 3 // 4 > MOST:
        raise PictureError(TOO_LARGE)
    need_room()
    _keep(base64.b64decode(packed), target := _place(address, folder))
    return target


def _place(address: str, folder: str | Path) -> Path:
    return Path(folder) / hashlib.sha256(address.encode()).hexdigest() / "picture"


async def _in_turn(address: str, target: Path) -> None:
    async with _turns.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(AT_ONCE)):
        await run_in_threadpool(need_room)
        await run_in_threadpool(_keep, await _read(address), target)


def _keep(found: bytes, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        put(target, lambda fresh: fresh.write_bytes(found))
    except OSError:  # the disk is full
        raise PictureError(NO_ROOM) from None


async def _read(address: str) -> bytes:
    for _ in range(REDIRECTS + 1):
        async with (
            httpx.AsyncClient(transport=await _transport_to(address)) as client,
            client.stream("GET", address, headers={"Accept-Encoding": AS_IT_IS}) as answer,
        ):
            if answer.status_code in REDIRECTED and "location" in answer.headers:
                address = urljoin(address, answer.headers["location"])
                continue
            if answer.status_code != 200:
                raise PictureError(
                    f"There is no picture at this address (it answers {answer.status_code}): give another."
                )
            return await _bounded(answer)
    raise PictureError(
        f"This address leads on to others more than {REDIRECTS} times: give the picture’s own address."
    )


async def _transport_to(address: str) -> httpx.AsyncBaseTransport | None:
    """What keeps to a public machine, whatever its name is said to mean a moment later. Raises ValueError
    where there is none behind it."""
    host = httpx.URL(address).host
    if not address.startswith(("http://", "https://")) or not host:
        raise ValueError("no address of a page")
    if safehttpx.matches_domain_whitelist(host, PUBLIC_HOSTNAME_WHITELIST):
        return None
    found = await safehttpx.async_validate_url(host)
    if not ipaddress.ip_address(found).is_global:  # a provider's own network, 100.64.0.0/10, is let through
        raise ValueError("no public machine")
    return safehttpx.AsyncSecureTransport(found)


async def _bounded(answer: httpx.Response) -> bytes:
    """What an answer holds; no more of it is read than may be there."""
    found = bytearray()
    if answer.headers.get("content-encoding", AS_IT_IS).lower() != AS_IT_IS:
        raise PictureError(
            "The picture at this address comes compressed, which it was not to be: upload it as a file."
        )
    if int(answer.headers.get("content-length") or 0) > MOST:
        raise PictureError(TOO_LARGE)
    async for part in answer.aiter_raw():
        found += part
        if len(found) > MOST:
            raise PictureError(TOO_LARGE)
    return bytes(found)
