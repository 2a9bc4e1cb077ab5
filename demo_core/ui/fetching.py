"""A picture that a program names by its address: fetched within bounds, from public addresses alone."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from urllib.parse import urljoin

import httpx
import safehttpx
from gradio.processing_utils import PUBLIC_HOSTNAME_WHITELIST

from demo_core.limits import LIMITS
from demo_core.pictures import PictureError

SECONDS, REDIRECTS = 20.0, 5
MOST = LIMITS.upload_megabytes * 1_000_000  # bytes
REDIRECTED = (301, 302, 303, 307, 308)


async def fetched(address: str, folder: str | Path) -> Path:
    """The file at an address, in a folder of its own in this one. Raises PictureError where it is too large,
    takes too long, leads on too often, or is not there."""
    target = Path(folder) / hashlib.sha256(address.encode()).hexdigest() / "picture"
    try:
        found = await asyncio.wait_for(_read(address), SECONDS)
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
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(found)
    return target


async def _read(address: str) -> bytes:
    for _ in range(REDIRECTS + 1):
        async with (
            httpx.AsyncClient(transport=await _transport_to(address)) as client,
            client.stream("GET", address, follow_redirects=False) as answer,
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
    return safehttpx.AsyncSecureTransport(await safehttpx.async_validate_url(host))


async def _bounded(answer: httpx.Response) -> bytes:
    """What an answer holds; no more of it is read than may be there."""
    found = bytearray()
    too_large = PictureError(
        f"The picture at this address has over {LIMITS.upload_megabytes} megabytes: give a smaller one."
    )
    if int(answer.headers.get("content-length") or 0) > MOST:
        raise too_large
    async for part in answer.aiter_bytes():
        found += part
        if len(found) > MOST:
            raise too_large
    return bytes(found)
