"""The app through gradio_client, as a program would use it."""

import asyncio
import base64
import gzip
import html
import io
import json
import math
import re
import urllib.error
import urllib.request
from dataclasses import replace
from types import SimpleNamespace
from uuid import uuid4

import gradio.mcp
import pytest
from gradio_client import Client, handle_file
from PIL import Image

from demo_core.defenses import DEFENSES
from demo_core.examples import EXAMPLES
from demo_core.labels import PRESETS
from demo_core.models import DEFAULT_MODEL, profile_of
from demo_core.story import time_words
from demo_core.story.scenes import Scene, scene_of
from demo_core.story.settings import SETTINGS
from demo_core.ui import lab, theme, uploads, visits
from demo_core.ui.files import FILES
from tests import hostile
from tests.conftest import only_rows

ANIMALS = "\n".join(PRESETS["Animals"])


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """However busy the machine is that tests, nothing is long enough for a word on how long it takes."""
    monkeypatch.setattr(time_words, "LONG", math.inf)


@pytest.fixture(scope="module")
def server():
    page = lab.build()
    _, url, _ = page.queue().launch(
        prevent_thread_lock=True, quiet=True, server_port=None, **theme.launch_options()
    )
    yield url
    page.close()


@pytest.fixture
def client(server):
    return Client(server, verbose=False)


@pytest.fixture
def said(monkeypatch) -> list[str]:
    """What the page tells its visitor in a toast; these do not travel to gradio_client."""
    heard = []
    monkeypatch.setattr(visits.gr, "Warning", lambda message, **_: heard.append(message))
    return heard


def arguments(photo=EXAMPLES[1].path, **changes) -> list:
    """What the page's buttons hand over: the picture, and a value for each setting."""
    ours = {"labels": ANIMALS, "steps": 6, "target": None} | changes
    return [photo and handle_file(photo), *(ours.get(name, row.default) for name, row in SETTINGS.items())]


def frames(client, *args, name="/lab_both") -> list:
    """All that a press of the button brings, first the stage."""
    job = client.submit(*(args or arguments()), api_name=name)
    job.result(timeout=300)
    return [f if isinstance(f, (list, tuple)) else (f,) for f in job.outputs()]


def reels(client, *args, name="/lab_both") -> list[dict]:
    """The reel as a page has it after each message: a message holds what is new."""
    whole: dict = {}
    found = []
    for message in (
        f[0] for f in frames(client, *args, name=name) if isinstance(f[0], dict) and "frames" in f[0]
    ):
        whole = whole | message | {"frames": whole.get("frames", [])[: message["since"]] + message["frames"]}
        found.append(whole)
    return found


def words(found) -> str:
    return re.sub(r"<[^>]+>", " ", found) if isinstance(found, str) else ""


def test_a_run_grows_and_ends(client):
    found = reels(client)
    last, steps = found[-1], profile_of("photo").own.budget.steps
    assert [r["done"] for r in found] == [False] * (len(found) - 1) + [True]
    assert [f["act"] for f in last["frames"]] == [0] + [1] * 7 + [2] + [3] * (steps + 2)
    for earlier, later in zip(found, found[1:]):
        assert later["frames"][: len(earlier["frames"]) - 1] == earlier["frames"][:-1]
        assert (
            later["drift"] == earlier["drift"] and later["signal"] == earlier["signal"]
        )  # the axes hold still
    clean = last["labels"][last["frames"][0]["top"][0][0]]
    assert (
        f"“{clean}”" in last["verdict"]["text"]
        and "suspicious, so CLIP fights back" in last["verdict"]["text"]
    )
    assert len(last["map"]["points"]) == len(last["frames"])
    assert (
        "ms a step" in last["verdict"]["note"]
        and visits.device_name(visits.model(DEFAULT_MODEL)) in last["verdict"]["note"]
    )


def test_attack_then_counterattack_by_two_calls(client):
    assert "The attack turned" in reels(client, *arguments(), name="/lab_attack")[-1]["verdict"]["text"]
    found = reels(client, *arguments(), name="/lab_counterattack")[-1]["verdict"]["text"]
    assert "suspicious, so CLIP fights back" in found and "ecovered" in found


@pytest.mark.parametrize("adaptive", [False, True])
def test_arena_runs_every_defence(client, adaptive, monkeypatch):
    rows = DEFENSES
    if adaptive:  # he needs minutes for all of them
        monkeypatch.setattr("demo_core.adaptive.DRAWS", 1)
        rows = only_rows(monkeypatch, "none", "rn", "padding", "hedge", "default")
    changes = dict(steps=1, adaptive=adaptive)
    reels(client, *arguments(**changes), name="/lab_attack")
    found = [words(f[1]) for f in frames(client, *arguments(**changes), name="/lab_arena")]
    found = [lanes for lanes in found if lanes]  # between them nothing changes
    again = found[-1].count("re-rolls.")
    rolling = [row for key, row in rows.items() if not row.exact and key != "default"]  # ours rolls none here
    assert again == len(rolling) > 1
    assert len(found) == 1 + len(rows) + again
    assert f"0 of {len(rows)} defences" in found[0] and f"{len(rows)} of {len(rows)} defences" in found[-1]
    assert all(row.title in found[-1] for row in rows.values()) and "not yet" not in found[-1]
    assert "not to be trusted: an attack made on another model beats the gradient" in found[-1]
    assert ("made through itself" in found[-1]) is adaptive


def test_transfer_attack_is_crafted_on_the_other_model(client):
    """Its perturbation is another than PGD's on this model."""
    found = [
        reels(client, *arguments(attack=key, steps=2), name="/lab_attack")[-1]["frames"][-1]
        for key in ("transfer", "pgd")
    ]
    assert found[0]["drift"] != found[1]["drift"]


def test_clean_control(client):
    found = reels(client, *arguments(), name="/lab_control")[-1]
    assert "CLIP still says" in found["verdict"]["text"] and 1 not in {f["act"] for f in found["frames"]}


def test_drift_over_noise_and_views_is_measured(client):
    reels(client, *arguments(), name="/lab_attack")
    found = frames(client, *arguments(), name="/lab_views")[-1][1]
    assert "clean: drift" in found and "attacked: drift" in found


def test_same_seed_gives_the_same_frames(client):
    def exact(found):
        return [{k: v for k, v in f.items() if k != "ms"} for f in found[-1]["frames"]]

    assert exact(reels(client)) == exact(reels(client))


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": "cat"},
        {"labels": ""},
        {"template": "no place"},
        {"attack": "no such attack"},
        {"eps": -1},
        {"steps": 0},
        {"attack": "targeted_pgd"},
        {"labels": "\n".join(map(str, range(1001)))},
        {"seed": 2**63},
        {"seed": -1},
        {"template": "very " * 60 + "{}"},
    ],
    ids=[
        "one label",
        "no label",
        "template",
        "attack",
        "eps",
        "steps",
        "no target",
        "too many labels",
        "seed",
        "no seed",
        "long template",
    ],
)
def test_bad_settings_get_a_sentence_and_change_nothing(client, said, changes):
    try:
        found = frames(client, *arguments(**changes))
    except (
        Exception
    ) as refused:  # a value that the control itself does not offer is refused by gradio, in words
        assert "choices" in str(refused) or "minimum" in str(refused).lower()
        return
    assert len(found) == 1 and not any(isinstance(part, str) for part in found[0])
    assert len(said) == 1 and said[0].endswith((".", "”"))


@pytest.mark.parametrize("content", [b"", b"this is not a picture"])
def test_bad_files_get_a_sentence_not_a_crash(client, said, tmp_path, content):
    (tmp_path / "broken.png").write_bytes(content)
    assert len(frames(client, *arguments(tmp_path / "broken.png"))) == 1
    assert len(said) == 1 and "upload a PNG, JPEG or WebP" in said[0]


def test_no_picture_no_attack_and_no_run_yet(client, said):
    reels(client, *arguments(None), name="/lab_attack")
    reels(client, *arguments(labels="cat\ndog"), name="/lab_counterattack")
    reels(client, *arguments(labels="cat\ndog"), name="/lab_arena")
    assert (
        "Choose a picture first" in said[0]
        and all("Press Attack first" in words for words in said[1:])
        and len(said) == 3
    )


def test_clean_control_keeps_the_attack(client):
    reels(client, *arguments(), name="/lab_attack")
    reels(client, *arguments(), name="/lab_control")
    assert (
        "suspicious, so CLIP fights back"
        in reels(client, *arguments(), name="/lab_counterattack")[-1]["verdict"]["text"]
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"eps": 0},
        {"labels": "\n".join(f"thing {i}" for i in range(1000))},
        {"labels": "cat\nCat\ncat\ndog"},
        {"attack": "fgsm"},
        {"attack": "cw"},
        {"attack": "targeted_pgd", "target": "goldfish"},
    ],
    ids=["eps 0", "1000 labels", "repeats", "fgsm", "cw", "targeted"],
)
def test_what_may_be_asked_runs_to_the_end(client, changes):
    assert reels(client, *arguments(**changes))[-1]["done"]


def test_changed_labels_ask_for_a_new_attack(client, said):
    reels(client, *arguments(), name="/lab_attack")
    reels(client, *arguments(labels="cat\ndog"), name="/lab_counterattack")
    assert "press Attack again" in said[0]


def test_a_link_makes_a_run_on_an_example_again(client):
    """It stands beside the run: the settings that were used, not those of the moment."""
    scene = scene_of("cat", steps=6)

    def linked(name, **changes):
        found = frames(client, *arguments(labels=scene.labels, **changes), name=name)[-1][2]
        return Scene.read(html.unescape(re.search(r'href="./\?(picture[^"]+)"', found).group(1)))

    assert linked("/lab_both") == scene
    assert linked("/lab_control", seed=5) == replace(scene, control=True)  # of the attack that is kept
    assert linked("/lab_counterattack", seed=5) == scene


def test_the_finished_run_on_the_stage_can_be_gone_on_with(client):
    """Nothing was run by this visitor, and yet Counterattack and files follow from what he sees."""
    example = arguments(labels=scene_of("cat").labels, steps=10)
    assert "ecovered" in reels(client, *example, name="/lab_counterattack")[-1]["verdict"]["text"]
    assert frames(Client(client.src, verbose=False), *example, name="/lab_take_json")[-1][1].endswith(
        "run.json"
    )


@pytest.mark.parametrize("key", FILES)
def test_every_file_can_be_taken_away(client, key):
    reels(client, *arguments())
    path = frames(client, *arguments(), name=f"/lab_take_{key}")[-1][1]
    assert path.endswith(FILES[key].file)


def test_what_is_not_there_cannot_be_taken(client, said):
    reels(client, *arguments(), name="/lab_attack")
    frames(client, *arguments(), name="/lab_take_defended")
    assert "press Counterattack first" in said[0]


# The endpoints for programs.


def test_attack_and_counterattack_as_endpoints(client):
    report, attacked = client.predict(
        picture=handle_file(EXAMPLES[1].path), labels=ANIMALS, api_name="/attack"
    )
    assert "The attack turned" in report["verdict"] and len(report["drift"]) == 11
    assert abs(sum(report["attacked"].values()) - 1) < 1e-3
    with Image.open(attacked) as picture:
        assert picture.format == "PNG" and picture.size == (448, 448)
    found, defended = client.predict(picture=handle_file(attacked), labels=ANIMALS, api_name="/counterattack")
    assert next(iter(found["before"])) == next(
        iter(report["attacked"])
    )  # the saved picture still fools the model
    assert found["engaged"] and next(iter(found["after"])) == next(iter(report["clean"]))
    assert Image.open(defended).size == (448, 448)


def test_arena_as_an_endpoint(client):
    found = client.predict(picture=handle_file(EXAMPLES[1].path), labels=ANIMALS, steps=2, api_name="/arena")
    assert [row["defence"] for row in found] == [row.title for row in DEFENSES.values()]
    rows = {row["defence"]: row for row in found}
    assert rows["CSR"]["signal"] == "low-pass cosine" and rows["CSR"]["threshold"] == 0.85
    assert rows["CSR"]["engaged"] == (rows["CSR"]["value"] < 0.85)
    assert rows["None"]["rerolls"] is None
    for row in (rows[title] for title in ("None", "T-VSS", "Randomised smoothing")):  # they decide nothing
        assert row["signal"] is row["engaged"] is row["value"] is row["threshold"] is None
    assert rows["Hedge"]["rerolls"][1] == 4


def test_a_friends_picture_is_suspected_by_the_endpoint(client):
    """As it comes from the other endpoint; and a plain photograph is not."""
    _, attacked = client.predict(picture=handle_file(EXAMPLES[1].path), labels=ANIMALS, api_name="/attack")
    found, defended = client.predict(picture=handle_file(attacked), labels=ANIMALS, api_name="/suspect")
    assert found["state"] == "suspicious" and found["tests"][0]["suspicious"] and found["chance"] > 0.9
    assert next(iter(found["before"])) != next(iter(found["after"])) == "tabby cat"
    assert Image.open(defended).size == (448, 448)
    found, defended = client.predict(
        picture=handle_file(EXAMPLES[1].path), labels=ANIMALS, api_name="/suspect"
    )
    assert found["state"] == "calm" and found["chance"] < 0.1 and defended is None
    assert not found["after_jpeg"]["suspicious"] and next(iter(found["after_jpeg"]["answer"])) == "tabby cat"


@pytest.mark.parametrize(
    "changes, why",
    [
        ({"labels": "cat"}, "two different labels"),
        ({"template": "no place"}, "needs {} once"),
        ({"eps": -1}, "Set eps"),
        ({"attack": "targeted_pgd"}, "targeted attack should reach"),
    ],
)
def test_endpoints_say_what_is_wrong(client, changes, why):
    with pytest.raises(Exception, match=re.escape(why)):
        client.predict(
            **{"picture": handle_file(EXAMPLES[1].path), "labels": ANIMALS, "api_name": "/attack"} | changes
        )


GOOD = object()  # a picture that is one
LOST, LABELS = "The picture did not arrive", "two different labels"


@pytest.mark.parametrize(
    "picture, changes, why",
    [
        (b"\0\0\0\x18ftypheic", {}, "cannot be read as a picture"),
        (b"", {}, "file is empty"),
        (b"no picture", {}, "cannot be read as a picture"),
        *((picture, {}, "picture") for picture in hostile.PICTURES),
        *((GOOD, {"eps": value}, "Set eps to a number from 0 to 255.") for value in ("much", [1], {}, 1e999)),
        *((GOOD, {"steps": value}, "Set steps to a whole number") for value in (2.5, 10**30, None, "x")),
        *((GOOD, {"attack": value}, "There is no attack “") for value in ("foo", ["pgd"], None, {})),
        (GOOD, {"model": "nope"}, "There is no model “nope”: choose one of photo, "),
        (GOOD, {"model": ["photo"]}, "There is no model “['photo']”: choose one of photo, "),
        (GOOD, {"labels": ["cat"]}, LABELS),
        (GOOD, {"labels": "cat\nca\u200bt"}, LABELS),
        (GOOD, {"labels": 5}, "Set labels to a text."),
        (GOOD, {"labels": "猫\n狗"}, "nothing of “猫”: write it in English words."),
        (GOOD, {"labels": "cat\n" + "x" * 100_000}, "has 100,000 characters"),
        (GOOD, {"template": [1]}, "Set template to a text."),
        (GOOD, {"adaptive": "perhaps"}, "Set adaptive to true or false."),
    ],
)
def test_whatever_is_sent_gets_a_sentence(server, tmp_path, capfd, picture, changes, why):
    address = server.rstrip("/")
    if isinstance(picture, bytes):
        (tmp_path / "picture").write_bytes(picture)
        picture = hostile.upload(address, tmp_path / "picture")
    picture = hostile.upload(address, EXAMPLES[1].path) if picture is GOOD else picture
    answered, said = hostile.call(address, "attack", hostile.given("attack", picture, **changes))
    assert not answered and why in said and hostile.is_sentence(said)
    assert "Traceback" not in capfd.readouterr().err


def test_too_few_values_and_no_such_function_are_said(server):
    answered, said = hostile.call(server.rstrip("/"), "attack", [None])
    assert not answered and "1 values came and 15 are needed" in said
    body = json.dumps({"data": [], "fn_index": 9999, "session_hash": "somebody"}).encode()
    request = urllib.request.Request(
        f"{server}gradio_api/queue/join", body, {"Content-Type": "application/json"}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)
    assert refused.value.code == 404 and "no such function" in refused.value.read().decode()


@pytest.mark.parametrize("missing", [KeyError("photo"), KeyError(3), KeyError()])
def test_another_key_that_is_missing_is_a_fault_and_no_wrong_address(missing):
    """3: a function that the page has."""
    asked = SimpleNamespace(app=SimpleNamespace(get_blocks=lambda: SimpleNamespace(fns={3: None})))
    with pytest.raises(KeyError):
        theme._not_there(asked, missing)
    assert theme._not_there(asked, KeyError(4)).status_code == 404


def test_labels_may_come_as_a_list(server):
    address = server.rstrip("/")
    sent = hostile.given("suspect", hostile.upload(address, EXAMPLES[1].path), labels=["tabby cat", "dog"])
    answered, found = hostile.call(address, "suspect", sent)
    assert answered and set(found[0]["before"]) == {"tabby cat", "dog"}


def test_a_sampled_campaign_finds_no_call_without_an_answer(server, capfd):
    for sent, answered, said in hostile.campaign(server.rstrip("/"), 25, 1, []):
        assert answered or hostile.is_sentence(said), str(sent)[:300]
    assert "Traceback" not in capfd.readouterr().err


def test_endpoints_are_documented(client):
    named = client.view_api(return_format="dict")["named_endpoints"]
    assert set(named) == {"/attack", "/counterattack", "/arena", "/suspect"}
    assert [p["parameter_name"] for p in named["/counterattack"]["parameters"]] == [
        "picture",
        "labels",
        "seed",
        "model",
        "template",
        "defense",
        "resize",
    ]


def told_by_mcp(server, ending: str, given: dict):
    """The tools of the MCP server by their names, and what the one with this ending answers."""
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async def ask():
        async with (
            streamablehttp_client(f"{server}gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = {tool.name: tool for tool in (await session.list_tools()).tools}
            return tools, await session.call_tool(next(n for n in tools if n.endswith(ending)), given)

    return asyncio.run(ask())


def test_the_mcp_server_offers_the_same_tools_and_keeps_as_little_of_a_picture(server, tmp_path, monkeypatch):
    monkeypatch.setattr(gradio.mcp, "DEFAULT_TEMP_DIR", str(tmp_path))  # its own idea of where files go
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0110] = camera = f"a camera, {uuid4()}"
    Image.open(EXAMPLES[1].path).save(file, "jpeg", exif=exif)
    coded = "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
    tools, answer = told_by_mcp(server, "counterattack", {"picture": coded, "labels": ANIMALS})
    assert sorted(name.rsplit("_", 1)[-1] for name in tools) == [
        "arena",
        "attack",
        "counterattack",
        "suspect",
    ]
    assert all("Candidate labels" in json.dumps(tool.inputSchema) for tool in tools.values())
    assert not answer.isError and "engaged" in answer.content[0].text
    kept = [path for path in uploads.folder().rglob("*") if path.is_file()]
    assert kept and not any(camera.encode() in path.read_bytes() for path in kept)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("picture", ["iVBORw0KGgo=", "http://127.0.0.1:1/x.png", "cat.png"])
def test_an_mcp_client_hears_what_is_wrong_with_its_picture(server, picture):
    _, answer = told_by_mcp(server, "suspect", {"picture": picture, "labels": ANIMALS})
    said = answer.content[0].text
    assert answer.isError and any(why in said for why in (LOST, "cannot be reached", "provide a url"))


def test_the_callers_words_come_back_as_text(client, monkeypatch):
    only_rows(monkeypatch, "none", "hedge", "csr", "default")  # one of each kind of lane
    names = "<img src=x onerror=alert(1)>\n<b>cat"
    reels(client, *arguments(labels=names, steps=1), name="/lab_attack")
    lanes = (f[1] for f in frames(client, *arguments(labels=names, steps=1), name="/lab_arena"))
    *_, found = (lane for lane in lanes if isinstance(lane, str))
    assert "<img src=x" not in found and "<b>cat" not in found and "&lt;" in found


def fetched(url: str, **headers: str):
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30)


def test_the_page_is_light_on_the_wire(server):
    with fetched(server, **{"Accept-Encoding": "gzip"}) as page:
        packed = page.read()
        assert page.headers["Content-Encoding"] == "gzip"
    assert len(packed) < 150_000
    with fetched(server) as page:  # who cannot unpack gets it plain
        assert page.headers["Content-Encoding"] is None and page.read() == gzip.decompress(packed)


def test_streams_are_not_held_back(server):
    """What is sent step by step, as a run's frames are, is not compressed, and so not collected first."""
    events = f"{server}gradio_api/heartbeat/none"
    with fetched(events, **{"Accept-Encoding": "gzip"}) as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        assert stream.headers["Content-Encoding"] is None
        assert stream.read(4)  # though it has no end
