"""Visitors' files on the server: where they lie, for how long, how many, and what is kept of a picture."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from pathlib import Path
from uuid import uuid4

import numpy as np
from PIL import Image
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo_core.limits import LIMITS
from demo_core.pictures import PictureError, open_picture

FOLDER_VARIABLE = "GRADIO_TEMP_DIR"
SHARP = 896  # pixels of the shorter side: twice what is shown
KEPT, SWEPT_EVERY, GRACE = 3600, 600, 60  # seconds
NO_ROOM = "There is no room for more pictures now: try again in an hour."
_leaving: deque[tuple[float, Path]] = deque()  # uploads that are not kept, and when they go
_one_at_a_time = threading.Lock()
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Permissions-Policy": "geolocation=(), microphone=()",  # the camera is a way to take a picture
}


def home() -> Path:
    """Of this program's processes alone, so that what an ended one left can be deleted."""
    user = os.getuid() if hasattr(os, "getuid") else "user"
    return Path(tempfile.gettempdir()) / f"clip-fights-back-{user}"


def folder() -> Path:
    """Where this process keeps files, and gradio with it: in a folder of its own, where a host names none."""
    return Path(os.environ.setdefault(FOLDER_VARIABLE, str(home() / str(os.getpid()))))


def sweep(older_than: float = KEPT) -> None:
    """Delete files of so many seconds that other processes of this program have left, as those do that are
    killed; of its own gradio takes care."""
    for place in home().glob("*"):
        if place == folder():
            continue
        for inside, folders, files in os.walk(place, topdown=False):
            for name in (*files, *folders):
                _delete(Path(inside) / name, older_than)
        _delete(place, older_than)


def _delete(path: Path, older_than: float) -> None:
    """Delete a file that has been there for so many seconds, or an empty folder; or nothing, where another
    process was faster. A copy has the time of what it was copied from, and came later."""
    try:
        if path.is_dir():
            path.rmdir()
        elif time.time() - path.stat().st_ctime >= older_than:
            path.unlink()
    except OSError:
        pass


def clear() -> None:
    """Delete all files of this process, at its end."""
    if home() in folder().parents:
        shutil.rmtree(folder(), ignore_errors=True)


def clean_copy(path: str, uploaded: Collection[str] = ()) -> Image.Image:
    """What is kept of an uploaded picture: its pixels, at a size that is sharp enough for any model, without
    its name and whatever else the file said (place, camera, time); the file goes in a minute, for a button
    may have been pressed already. uploaded: the files that visitors have put here; no other goes. An attacked
    picture of the page's own stays what it is, bit by bit. Raises PictureError."""
    picture = _pixels_of(path)
    if path in uploaded:
        _leave(Path(path))
    return picture


def _pixels_of(path: str | Path) -> Image.Image:
    picture = open_picture(path)
    if (shorter := min(picture.size)) > SHARP:
        size = tuple(round(side * SHARP / shorter) for side in picture.size)
        picture = picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
    return Image.fromarray(np.asarray(picture))  # nothing but pixels


def strip(path: str | Path) -> None:
    """Put a clean copy, as PNG, in the place of a visitor's file that is no such one, under its name. What
    cannot be read as a picture stays for a minute, so that whoever sent it hears so."""
    path = Path(path)
    if folder().resolve() not in path.resolve().parents or _is_clean(path):
        return
    try:
        clean = _pixels_of(path)
        put(path, lambda fresh: clean.save(fresh, "png", compress_level=1))
    except PictureError:
        _leave(path)
    except OSError:  # the disk is full
        pass


def put(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file whole or not at all: who reads it meanwhile has what was there before. Raises OSError."""
    fresh = path.with_name(f".{uuid4().hex}")
    try:
        write(fresh)
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


def _is_clean(path: Path) -> bool:
    """Whether a file has the form of a clean copy: a small PNG that says nothing but its pixels."""
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            return picture.mode == "RGB" and not picture.info and min(picture.size) <= SHARP
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False


def _leave(path: Path) -> None:
    """Delete a file in a minute, whether or not anybody asks for something then."""
    with _one_at_a_time:
        _leaving.append((time.monotonic() + GRACE, path))
        if len(_leaving) == 1:
            _go_on(GRACE)


def _go_on(seconds: float) -> None:
    timer = threading.Timer(seconds, let_go)
    timer.daemon = True  # the program need not wait for it to end
    timer.start()


def let_go() -> None:
    """Delete the uploads whose minute is over, but for those that somebody has uploaded again meanwhile; and
    come back for the next."""
    with _one_at_a_time:
        while _leaving and _leaving[0][0] <= time.monotonic():
            _delete(_leaving.popleft()[1], GRACE)
        if _leaving:
            _go_on(_leaving[0][0] - time.monotonic())


def taken() -> int:
    """Bytes of all files that are kept."""
    total = 0
    for inside, _, files in os.walk(folder()):
        for name in files:
            try:
                total += (Path(inside) / name).stat().st_size
            except OSError:  # it has just gone
                continue
    return total


def is_full() -> bool:
    return taken() > LIMITS.uploads_megabytes * 1_000_000


def need_room() -> None:
    """Raises PictureError where the files that are kept take all their room."""
    if is_full():
        raise PictureError(NO_ROOM)


class Guard:
    """Around the whole server: headers that a page in another's frame can bear (whoever embeds it is welcome:
    nobody is logged in here), and no upload where the files that are kept take all their room."""

    def __init__(self, app: ASGIApp):
        self.app, self.swept = app, time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        uploads = scope["type"] == "http" and scope["path"].rstrip("/").endswith("/upload")
        if uploads and time.monotonic() - self.swept > SWEPT_EVERY:
            self.swept = time.monotonic()
            await run_in_threadpool(sweep)  # walks through folders, which others need not wait for
        if uploads and await run_in_threadpool(is_full):
            full = PlainTextResponse(NO_ROOM, 507)
            return await full(scope, receive, with_headers)
        await self.app(scope, receive, _stripped_first(with_headers) if uploads else with_headers)


def _stripped_first(send: Send) -> Send:
    """Whoever has uploaded files is told their paths once each of them is stripped."""
    answer = bytearray()

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.body":
            answer.extend(message.get("body", b""))
            if not message.get("more_body"):
                await run_in_threadpool(_strip_all, bytes(answer))
        await send(message)

    return sent


def _strip_all(answer: bytes) -> None:
    """answer: a list of paths as JSON; of anything else, a refusal, there is nothing to do."""
    try:
        paths = json.loads(answer)
    except ValueError:
        return
    for path in paths if isinstance(paths, list) else ():
        strip(path)
