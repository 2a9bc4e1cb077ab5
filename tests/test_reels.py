"""Finished runs at addresses of their own."""

import gzip
import json

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from demo_core.story.finished import finished_scenes, stored
from demo_core.story.scenes import FIRST, SCENES, scene_of
from demo_core.ui import choices, soon
from demo_core.ui.reels import address_of
from demo_core.ui.theme import launch_options

FIRST_SCENE = SCENES[FIRST].scene


@pytest.fixture(scope="module")
def server() -> TestClient:
    """All that stands around gradio, below a proxy's path, around nothing."""
    there = Route("/{path:path}", lambda request: PlainTextResponse("gradio"))
    around = launch_options()["app_kwargs"]["middleware"]
    return TestClient(Starlette(routes=[there], middleware=around), root_path="/below")


def test_every_finished_run_lies_at_an_address_that_a_browser_keeps(server):
    for scene in finished_scenes():
        answer = server.get(f"/below/{address_of(scene)}")
        assert answer.json() == json.loads(json.dumps(stored(scene)))
        assert "immutable" in answer.headers["cache-control"]
    assert len({address_of(scene) for scene in finished_scenes()}) == len(finished_scenes())


def test_it_comes_packed_and_with_the_headers_of_all_that_comes(server):
    with server.stream("GET", address_of(FIRST_SCENE), headers={"Accept-Encoding": "gzip"}) as answer:
        packed = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert len(packed) < 0.75 * len(gzip.decompress(packed))


@pytest.mark.parametrize("asked", ["picture=unicorn", "picture=cat&eps=2", "", "picture=cat&labels="])
def test_where_there_is_no_such_run_it_says_so(server, asked):
    answer = server.get(f"reel/0?{asked}")
    assert answer.status_code == 404 and answer.text == "There is no such run here."


def test_an_address_of_an_earlier_version_gives_what_there_is_now_and_is_not_kept(server):
    answer = server.get("reel/0123?picture=cat")
    assert answer.json()["run"] == f"preset-{FIRST}" and answer.headers["cache-control"] == "no-cache"


def test_the_page_asks_for_the_very_run_that_its_stage_is_told_of():
    page = b"<html><head></head><body></body></html>"
    for query in ("", "picture=lion", "talk=1", "picture=nobody"):
        address = choices.open_link(query)["stage"]["at"]
        assert (
            f'as="fetch" crossorigin fetchpriority="low" href="{address}"'
            in soon.with_soon(page, query).decode()
        )
    made = scene_of("lion", eps=2.0).query()  # which nobody has finished
    assert b'id="early"' not in soon.with_soon(page, made) and "stage" not in choices.open_link(made)
