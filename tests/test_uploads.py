"""What is kept of visitors' files, and for how long."""

import io
import os
import time

import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from demo_core.limits import Limits
from demo_core.pictures import PictureError, to_photo
from demo_core.ui import uploads

CAMERA = 0x0110  # of EXIF


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(uploads.FOLDER_VARIABLE, str(tmp_path / "kept"))
    (tmp_path / "kept").mkdir()
    return tmp_path / "kept"


def photograph(path, size=(1280, 960)):
    exif = Image.Exif()
    exif[CAMERA], exif[0x8825] = "a camera", {1: "N", 2: (52.0, 31.0, 12.0)}
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(noise).save(path, exif=exif)
    return path


def test_a_clean_copy_has_the_pixels_and_nothing_else_and_the_upload_goes(folder, tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(uploads.time, "monotonic", lambda: now[0])
    path = photograph(folder / "at home.jpg")
    seen = to_photo(Image.open(path))
    copy = uploads.clean_copy(str(path), {str(path)})
    assert copy.size == (1195, 896) and (to_photo(copy) - seen).abs().mean() < 2 / 255
    file = io.BytesIO()
    copy.save(file, "png")
    assert not dict(Image.open(file).getexif())
    uploads.let_go()
    assert path.exists()  # whoever was faster than the copy has it
    now[0] = uploads.GRACE
    uploads.let_go()
    assert path.exists()  # somebody has just uploaded the same again
    monkeypatch.setattr(uploads.time, "time", lambda: path.stat().st_ctime + uploads.GRACE)
    uploads.clean_copy(str(path), {str(path)})
    now[0] = 3 * uploads.GRACE
    uploads.let_go()
    assert not path.exists()
    elsewhere = photograph(tmp_path / "an example.jpg")
    uploads.clean_copy(str(elsewhere), {str(path)})
    now[0] = 1e6
    uploads.let_go()
    assert elsewhere.exists()


@pytest.mark.parametrize("side", [224, 448, 672])
def test_an_attacked_picture_keeps_every_bit(folder, side):
    path = photograph(folder / "attacked.png", (side, side))
    given = np.asarray(Image.open(path))
    assert (np.asarray(uploads.clean_copy(str(path))) == given).all()


def test_what_is_no_longer_there_is_said(folder):
    with pytest.raises(PictureError, match="no longer kept here: choose it again"):
        uploads.clean_copy(str(folder / "gone.png"))


def test_what_a_killed_process_left_goes_at_the_next_start(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "home", lambda: tmp_path)
    for name in ("kept/own/picture.png", "killed/a/picture.png", "runs/new/picture.png"):
        if name.startswith("runs"):
            time.sleep(0.5)
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (0, 0))  # as of a copy of an old file
    uploads.sweep(0.4)
    files = [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*.png"))]
    assert files == ["kept/own/picture.png", "runs/new/picture.png"]  # of its own, gradio takes care
    assert not (tmp_path / "killed").exists()
    uploads.clear()
    assert not folder.exists()


def test_what_is_no_picture_goes_also_where_nobody_asks_for_anything(folder, monkeypatch):
    monkeypatch.setattr(uploads, "GRACE", 0.1)
    uploads._leaving.clear()
    for name in ("notes.png", "more.png"):
        (folder / name).write_text("no picture")
        uploads.strip(folder / name)
        time.sleep(0.05)
    assert (folder / "more.png").exists()  # whoever sent it is told
    until = time.monotonic() + 5
    while any(folder.iterdir()) and time.monotonic() < until:
        time.sleep(0.02)
    assert not any(folder.iterdir()) and not uploads._leaving


def test_a_folder_that_the_host_has_named_is_left_to_him(folder):
    (folder / "of another program").write_text("")
    uploads.clear()
    assert (folder / "of another program").exists()


@pytest.fixture
def server():
    def answer(request):
        return PlainTextResponse("done", headers={"Referrer-Policy": "no-referrer"})

    routes = [Route("/gradio_api/upload", answer, methods=["POST"]), Route("/", answer)]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(uploads.Guard)]))


def test_every_answer_has_the_headers_and_its_own_are_left(server):
    found = server.get("/").headers
    assert found["x-content-type-options"] == "nosniff" and found["referrer-policy"] == "no-referrer"
    assert "x-frame-options" not in found  # a course may embed it


def test_uploads_stop_where_their_room_is_full(server, folder, monkeypatch):
    monkeypatch.setattr(uploads, "LIMITS", Limits(uploads_megabytes=1))
    assert server.post("/gradio_api/upload").text == "done"
    (folder / "large.png").write_bytes(bytes(1_000_001))
    refused = server.post("/gradio_api/upload")
    assert refused.status_code == 507 and "try again in an hour" in refused.text
    assert server.get("/").status_code == 200


def test_an_uploaded_file_is_stripped_before_its_path_is_told(folder, tmp_path):
    """GPS and all, whoever uploaded it; what is no picture goes in a minute."""
    photo, text = folder / "at home.jpg", folder / "notes.png"
    elsewhere = photograph(tmp_path / "of another.jpg", (100, 80))
    before = elsewhere.read_bytes()

    async def upload(request):
        photograph(photo)
        text.write_text("no picture")
        return JSONResponse([str(photo), str(text), str(elsewhere)])

    routes = [Route("/gradio_api/upload", upload, methods=["POST"])]
    uploads._leaving.clear()
    told = TestClient(Starlette(routes=routes, middleware=[Middleware(uploads.Guard)])).post(
        "/gradio_api/upload"
    )
    assert told.json()[0] == str(photo)
    found = Image.open(photo)
    assert found.format == "PNG" and found.size == (1195, 896) and not found.info and not found.getexif()
    assert b"a camera" not in photo.read_bytes() and [path for _, path in uploads._leaving] == [text]
    assert elsewhere.read_bytes() == before  # it is no visitor's
    kept = photo.stat().st_mtime_ns
    uploads.strip(photo)
    assert photo.stat().st_mtime_ns == kept  # once is enough
    uploads._leaving.clear()
