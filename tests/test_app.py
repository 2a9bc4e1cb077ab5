"""The app through gradio_client, as a program would use it."""
import re
import shutil

import pytest
from gradio_client import Client, handle_file
from PIL import Image

from demo_core.clip import DEFAULT_MODEL, MODELS
from demo_core.defenses import DEFENSES
from demo_core.labels import DEFAULT_TEMPLATE, PRESETS
from demo_core.ui import lab
from demo_core.examples import EXAMPLES

ANIMALS = "\n".join(PRESETS["Animals"])


@pytest.fixture(scope="module")
def server():
    page = lab.build()
    _, url, _ = page.queue().launch(prevent_thread_lock=True, quiet=True, server_port=None, **lab.launch_options())
    yield url
    page.close()


@pytest.fixture
def client(server):
    return Client(server, verbose=False)


@pytest.fixture
def said(monkeypatch) -> list[str]:
    """What the page tells its visitor in a toast; these do not travel to gradio_client."""
    heard = []
    monkeypatch.setattr(lab.gr, "Warning", lambda message, **_: heard.append(message))
    return heard


def arguments(photo=EXAMPLES[1].path, **changes) -> dict:
    named = dict(photo=handle_file(photo), model=DEFAULT_MODEL, labels=ANIMALS, template=DEFAULT_TEMPLATE, attack="pgd",
                 eps=4, step_size=1, steps=6, target=None, seed=0, adaptive=False) | changes
    return list(named.values())


def frames(client, api_name="/attack_and_counterattack", *args) -> list:
    job = client.submit(*(args or arguments()), api_name=api_name)
    job.result(timeout=120)
    return job.outputs()


def words(html) -> str:
    return re.sub(r"<[^>]+>", " ", html) if isinstance(html, str) else ""


def test_frames_arrive_in_order(client):
    found = frames(client)
    verdicts = [words(f[0]) for f in found]
    clean = re.search("The model sees “(.+?)”", verdicts[0]).group(1)
    assert all("attack is running" in v for v in verdicts[1:7])
    assert f"The attack turned “{clean}” into" in verdicts[7]
    assert "counterattack engaged" in verdicts[8] and "ecovered" in verdicts[-1]
    steps = MODELS["pocket"].profile.ttc.steps
    assert len(found) == 1 + 7 + 1 + (steps + 1) + 1
    assert "ms a step" in verdicts[-1] and lab.device_name(lab.model(DEFAULT_MODEL)) in verdicts[-1]


def test_pictures_are_lossless(client):
    last = [f for f in frames(client) if isinstance(f[3], str)][-1]
    with Image.open(last[3]) as picture:
        assert picture.format == "PNG" and picture.size == (448, 448)


def test_attack_then_counterattack_by_two_calls(client):
    attacked = frames(client, "/attack", *arguments())
    assert "The attack turned" in words(attacked[-1][0])
    defended = frames(client, "/counterattack", *arguments())
    assert "counterattack engaged" in words(defended[0][0]) and "ecovered" in words(defended[-1][0])


@pytest.mark.parametrize("adaptive", [False, True])
def test_arena_runs_every_defence(client, adaptive):
    changes = dict(steps=2, adaptive=adaptive)
    frames(client, "/attack", *arguments(**changes))
    found = [words(f[1]) for f in frames(client, "/arena", *arguments(**changes))]
    assert len(found) == 1 + len(DEFENSES)
    assert f"0 of {len(DEFENSES)} defences" in found[0] and f"{len(DEFENSES)} of {len(DEFENSES)} defences" in found[-1]
    assert all(row.title in found[-1] for row in DEFENSES.values()) and "not yet" not in found[-1]
    assert ("made through itself" in found[-1]) is adaptive


def test_arena_without_an_attack_says_what_to_do(client, said):
    frames(client, "/arena", *arguments())
    assert said == ["Press Attack first: there is no attacked picture yet."]


def test_transfer_attack_is_crafted_on_the_other_model(client):
    """Its perturbation is another than PGD's on this model: the two give other pictures."""
    found = [frames(client, "/attack", *arguments(attack=key, steps=2))[-1] for key in ("transfer", "pgd")]
    pictures = [[Image.open(f[i]).tobytes() for i in (2, 3) if isinstance(f[i], str)] for f in found]
    assert pictures[0] and pictures[0] != pictures[1]


def test_clean_control(client):
    assert "clean picture" in words(frames(client, "/clean_control", *arguments())[-1][0])


def test_same_seed_gives_the_same_frames(client):
    strip = lambda found: [re.sub(r"\d+ ms a step", "", words(f[0])) for f in found]  # noqa: E731
    assert strip(frames(client)) == strip(frames(client))


@pytest.mark.parametrize("changes", [
    {"labels": "cat"}, {"labels": ""}, {"template": "no place"}, {"attack": "no such attack"}, {"eps": -1}, {"steps": 0},
    {"attack": "targeted_pgd"}, {"labels": "\n".join(map(str, range(1001)))}, {"seed": 2**63}, {"seed": -1},
    {"template": "very " * 30 + "{}"},
], ids=["one label", "no label", "template", "attack", "eps", "steps", "no target", "too many labels", "seed", "no seed",
        "long template"])
def test_bad_settings_get_a_sentence_and_change_nothing(client, said, changes):
    try:
        found = frames(client, "/attack_and_counterattack", *arguments(**changes))
    except Exception as refused:  # a value that the control itself does not offer is refused by gradio, in words
        assert "choices" in str(refused) or "minimum" in str(refused).lower()
        return
    assert len(found) == 1 and not any(isinstance(part, str) for part in found[0])
    assert len(said) == 1 and said[0].endswith((".", "”"))


@pytest.mark.parametrize("content", [b"", b"this is not a picture"])
def test_bad_files_get_a_sentence_not_a_crash(client, said, tmp_path, content):
    (tmp_path / "broken.png").write_bytes(content)
    found = frames(client, "/attack_and_counterattack", *arguments(tmp_path / "broken.png"))
    assert len(found) == 1 and not any(isinstance(part, str) for part in found[0])
    assert len(said) == 1 and "upload a PNG, JPEG or WebP" in said[0]


def test_no_picture_and_no_attack_yet(client, said):
    assert len(frames(client, "/attack", *[None, *arguments()[1:]])) == 1
    assert len(frames(client, "/counterattack", *arguments())) == 1
    assert "Choose a picture first" in said[0] and "Press Attack first" in said[1]


def test_clean_control_keeps_the_attack(client):
    frames(client, "/attack", *arguments())
    frames(client, "/clean_control", *arguments())
    assert "counterattack engaged" in words(frames(client, "/counterattack", *arguments())[-1][0])


@pytest.mark.parametrize("changes", [{"eps": 0}, {"labels": "\n".join(f"thing {i}" for i in range(1000))},
                                     {"labels": "cat\nCat\ncat\ndog"}, {"attack": "fgsm"}, {"attack": "cw"},
                                     {"attack": "targeted_pgd", "target": "goldfish"}],
                         ids=["eps 0", "1000 labels", "repeats", "fgsm", "cw", "targeted"])
def test_what_may_be_asked_runs_to_the_end(client, changes):
    assert words(frames(client, "/attack_and_counterattack", *arguments(**changes))[-1][0]).strip()


def test_changed_labels_ask_for_a_new_attack(client):
    frames(client, "/attack", *arguments())
    assert len(frames(client, "/counterattack", *arguments(labels="cat\ndog"))) == 1


def test_an_attacked_picture_downloaded_and_uploaded_still_fools(client, tmp_path):
    attacked = frames(client, "/attack", *arguments())
    said = re.search(r"into “(.+?)”", words(attacked[-1][0])).group(1)
    shutil.copy(attacked[-1][3], tmp_path / "attacked.png")
    again = frames(client, "/attack", *arguments(tmp_path / "attacked.png"))
    assert f"The model sees “{said}”" in words(again[0][0])


def test_the_callers_words_come_back_as_text(client):
    found = frames(client, "/attack", *arguments(labels="<img src=x onerror=alert(1)>\n<b>cat"))
    assert not any("<img src=x" in part for f in found for part in f if isinstance(part, str))
