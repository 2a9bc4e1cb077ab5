"""A host's own model: its finished runs in the cache, and a page that opens on it once it is here."""

import sys
import threading
from dataclasses import replace

import pytest

from demo_core.models import (
    CACHE_VARIABLE,
    DEFAULT_MODEL,
    MODELS,
    ModelUnavailable,
    cache_of,
    keep_in_cache,
    keep_study,
    study_of,
)
from demo_core.pictures import open_picture
from demo_core.resizes import photo_for
from demo_core.shelf import Shelf
from demo_core.story import finished
from demo_core.story.page_words import CHOSEN_ON_ANOTHER, FINISHED_HERE
from demo_core.story.reel import photo_url
from demo_core.story.scenes import FIRST, SCENES, on_model, scene_of
from demo_core.ui import choices, handlers, host, pressing, reels, visits
from demo_core.ui.host import Host, chosen_by_host
from demo_core.ui.reels import address_of
from tests.test_handlers import after, visit

KEY = "vit-b-32"
SCENE = on_model(SCENES[FIRST].scene, KEY)


@pytest.fixture(autouse=True)
def here(monkeypatch, tmp_path) -> Host:
    """A host of the test's own, with an empty cache."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    own = Host()
    for module in (handlers, choices, reels):
        monkeypatch.setattr(module, "HOST", own)
    monkeypatch.setattr(visits.gr, "Warning", lambda message, **_: None)
    return own


def test_the_command_makes_the_runs_of_another_model_in_its_cache(monkeypatch, clip, capsys, here):
    monkeypatch.setattr(finished, "load", lambda key: clip)
    monkeypatch.setattr(finished, "SCENES", {key: SCENES[key] for key in (FIRST, "control")})
    monkeypatch.setattr(finished, "EXAMPLES", ())
    before = {path.name: path.stat().st_mtime_ns for path in finished.FOLDER.iterdir()}
    monkeypatch.setattr(sys, "argv", ["finished", "--model", KEY])
    finished.main()
    assert f"preset-{FIRST}: " in capsys.readouterr().out
    assert {path.name for path in (cache_of(KEY) / "runs").iterdir()} == {
        f"preset-{FIRST}.json.gz",
        "preset-control.json.gz",
    }
    assert before == {path.name: path.stat().st_mtime_ns for path in finished.FOLDER.iterdir()}
    found = finished.stored(SCENE)
    assert found["verdict"]["note"] == FINISHED_HERE and found["done"] and not found["live"]
    here.key = KEY
    assert choices.open_link("")["stage"]["at"] == address_of(SCENE)


def test_the_page_opens_on_the_model_in_the_box_until_the_host_s_is_here_with_a_run(clip, here):
    gate = threading.Event()

    def slow(key: str):
        gate.wait(30)
        return clip

    coming = here.bring(KEY, Shelf(slow, lambda key: 0.1, lambda: 9.0))
    meanwhile = choices.open_link("")
    assert "model" not in meanwhile and meanwhile["session"].scene.model == DEFAULT_MODEL
    gate.set()
    coming.join(60)
    opened = choices.open_link("")
    assert (
        opened["model"]["value"] == KEY
        and opened["stage"]["at"] == address_of(SCENE)
        and "pending" not in opened
    )
    assert opened["session"].scene == SCENE and opened["template"] == MODELS[KEY].template
    assert opened["preset"]["value"] == FIRST and CHOSEN_ON_ANOTHER in opened["preset"]["info"]
    assert choices.choose_preset("control")["model"]["value"] == KEY
    values = {"model": KEY, "labels": SCENE.labels, "template": SCENE.template}
    assert handlers.opening(visit(**values)).scene == SCENE  # what follows from it needs no desk
    assert choices.open_link("picture=lion")["model"]["value"] == DEFAULT_MODEL  # a link says which


def test_a_run_that_nobody_has_made_is_made_for_the_visitor(here):
    here.key = KEY
    assert choices.open_link("")["pending"] == SCENE.query()


def test_where_a_gpu_is_lent_the_first_visitor_s_run_is_what_the_page_opens_on_for_the_next(
    monkeypatch, clip, here
):
    """There the host's model comes without a run of its own."""
    monkeypatch.setattr(host, "IS_LENT", True)
    monkeypatch.setattr(visits, "model", lambda key: clip)
    here.bring(KEY, Shelf(lambda key: clip, lambda key: 0.1, lambda: 9.0)).join(60)
    assert choices.open_link("")["pending"] == SCENE.query()
    stopped = visits.told(pressing.link_at_gpu, SCENE)
    next(stopped)
    stopped.close()
    assert finished.stored(SCENE) is None
    last = after(visits.told(pressing.link_at_gpu, SCENE))
    opened = choices.open_link("")
    assert "pending" not in opened and opened["stage"]["at"] == address_of(SCENE)
    assert finished.stored(SCENE)["verdict"]["text"] == last["stage"]["verdict"]["text"]
    lion = on_model(scene_of("lion", steps=2), KEY)  # of which no finished run is kept
    after(visits.told(pressing.link_at_gpu, lion))
    assert {path.name for path in (cache_of(KEY) / "runs").iterdir()} == {f"preset-{FIRST}.json.gz"}


def test_a_running_page_finds_what_a_command_has_made_anew(clip, here):
    here.key = KEY
    finished.store(SCENE, finished.made(replace(SCENE, eps=0.0), clip))
    before = choices.open_link("")["stage"]
    finished.store(SCENE, finished.made(SCENE, clip))  # as another process would, the page is told nothing
    assert choices.open_link("")["stage"] != before


def test_a_running_page_finds_what_a_command_has_measured(here):
    assert {"gate", "views"}.isdisjoint(choices.open_link(""))
    anew = replace(study_of(DEFAULT_MODEL), pictures=12345)
    keep_study(DEFAULT_MODEL, anew)
    assert "On 12345 photographs" in choices.open_link("")["gate"]


def test_runs_of_pictures_resized_otherwise_are_kept_with_their_picture(monkeypatch, clip):
    monkeypatch.setattr(finished, "load", lambda key: clip)
    monkeypatch.setattr(finished, "SCENES", {FIRST: SCENES[FIRST]})
    monkeypatch.setattr(finished, "EXAMPLES", ())
    monkeypatch.setattr(sys, "argv", ["finished", "--resize", "paper"])
    scene = replace(SCENES[FIRST].scene, resize="paper")
    assert finished.stored(scene) is None
    finished.main()
    found, usual = finished.stored(scene), finished.stored(SCENES[FIRST].scene)
    assert found["photo"] == photo_url(photo_for(clip, open_picture(scene.example.path), "paper"))
    assert found["photo"] != usual["photo"] and found["verdict"]["note"] == FINISHED_HERE
    assert choices.open_link(scene.query())["stage"]["at"] == address_of(scene)


def test_a_model_that_cannot_be_had_leaves_the_box_s_and_is_told(here, capsys):
    def missing(key: str):
        raise ModelUnavailable("It is not here: go online.")

    here.bring(KEY, missing).join(10)
    assert here.key == DEFAULT_MODEL and "in the box). It is not here: go online." in capsys.readouterr().out


def test_what_a_host_chooses_is_a_model_of_the_table(monkeypatch):
    assert chosen_by_host() == DEFAULT_MODEL
    monkeypatch.setenv(host.MODEL_VARIABLE, KEY)
    assert chosen_by_host() == KEY
    monkeypatch.setenv(host.MODEL_VARIABLE, "nope")
    with pytest.raises(ModelUnavailable, match="CLIP_MODEL names “nope”: choose one of photo, "):
        chosen_by_host()


def test_a_cache_that_cannot_be_written_is_said(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(ModelUnavailable, match="can be written in CLIP_CACHE_DIR.$"):
        keep_in_cache(KEY, "study.json", b"{}")
