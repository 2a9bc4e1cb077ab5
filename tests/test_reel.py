"""Scenes, reels and files of a run: what the page plays is what the model does."""

import base64
import io
import json
import re
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from demo_core import story
from demo_core.attacks import ATTACKS
from demo_core.defenses import DEFENSES, TAU, VIEW_DRIFT, Gate, OwnConfig, Profile
from demo_core.examples import EXAMPLES
from demo_core.labels import parse_labels
from demo_core.models import profile_of, study_of
from demo_core.pictures import open_picture, to_image, to_photo
from demo_core.story.axes import SIGNAL_NAMES
from demo_core.story.depths import DEPTHS
from demo_core.story.finished import FOLDER, finished_scenes, made, stored
from demo_core.story.grid import Grid, weighted
from demo_core.story.reel import LOSSLESS_PHOTO, Messages, frames, page, path_map, photo_url, reel
from demo_core.story.scenes import SCENES, Scene, SceneError, scene_of
from demo_core.story.takeaway import TAKEAWAYS, NotThere, numbers
from demo_core.ui.files import stage_parts

PHOTO = profile_of("photo")
CAT = replace(scene_of("cat"), steps=4)
WIRE = 1_500_000  # bytes of a finished run on its way to a page


@pytest.fixture(scope="module")
def run(clip):
    return made(CAT, clip)


def unpacked(found: list[dict]) -> list[np.ndarray | None]:
    """The whole numbers [3,S,S] of each frame's perturbation, read as the page reads them."""
    acts: dict[tuple, list] = {}
    values = []
    for frame in found:
        earlier = acts.setdefault((frame["act"], frame.get("scale")), [])
        if not frame["delta"]:
            values.append(None)
            continue
        packed = np.frombuffer(zlib.decompress(base64.b64decode(frame["delta"]), -15), np.uint8)
        size = earlier[0].shape[-1] if earlier else int((len(packed) / 3) ** 0.5)
        told = packed[-3 * size * size :].view(np.int8).reshape(3, size, size)
        before = earlier[-1].astype(int) if earlier else 0
        if frame["weights"]:
            before = weighted(frame["weights"], earlier)
        elif earlier and frame["stride"]:
            up = np.unpackbits(packed[: -told.size])[: told.size].reshape(told.shape).astype(int)
            before = (before + (2 * up - 1) * frame["stride"]).clip(-frame["levels"], frame["levels"])
        earlier.append((before + told).astype(np.int8))
        values.append(earlier[-1])
    return values


def wanted(run, found: list[dict]) -> list[np.ndarray | None]:
    """The same straight from the run."""
    return [
        Grid(f["scale"] / 255, f["levels"]).values(m.delta).astype(np.int8) if f["delta"] else None
        for f, m in zip(found, run.moments, strict=True)
    ]


def same(one: list, two: list) -> bool:
    return all((a is None and b is None) or np.array_equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize(
    "scene",
    [
        *[p.scene for p in SCENES.values()],
        replace(CAT, labels="a & b\nc=d?\nÄ é", template="{}!", adaptive=True, eps=0.5, target="c=d?"),
    ],
    ids=[*SCENES, "odd signs"],
)
def test_a_link_holds_the_whole_scene(scene):
    assert Scene.read(scene.query()) == scene


def test_a_short_link_means_the_defaults_and_none_means_nothing():
    assert Scene.read("picture=cat&eps=1") == replace(scene_of("cat"), eps=1.0)
    assert Scene.read("view=benchmark") is None


@pytest.mark.parametrize(
    "query, why",
    [
        ("picture=dragon", "not here"),
        ("picture=cat&eps=much", "eps cannot be read"),
        ("picture=cat&model=nope", "model, “nope”, is not here: choose one of photo"),
        ("picture=cat&steps=0", "Set steps to a whole number from 1"),
    ],
)
def test_a_link_that_cannot_be_read_says_so(query, why):
    with pytest.raises(SceneError, match=why):
        Scene.read(query)


def test_every_preset_can_be_run():
    for preset in SCENES.values():
        assert preset.scene.attack in ATTACKS and preset.title and preset.help.endswith(".")
        assert (preset.scene.target in parse_labels(preset.scene.labels)) == ATTACKS[
            preset.scene.attack
        ].targeted


@pytest.mark.slow
@pytest.mark.parametrize("scene, name", finished_scenes().items(), ids=finished_scenes().values())
def test_what_comes_with_the_demo_is_what_the_model_gives(photo_clip, scene, name):
    """Up to last bits, which differ between machines: they turn few signs of the first step and more of
    each step after it, so that of the end only what is said of it must be the same."""
    given, fresh = stored(scene), reel(made(scene, photo_clip), study_of(scene.model))
    assert given["labels"] == fresh["labels"] and [f["act"] for f in given["frames"]] == [
        f["act"] for f in fresh["frames"]
    ]
    assert given["frames"][0]["say"] == fresh["frames"][0]["say"]
    one, two = given["frames"][0]["top"][0], fresh["frames"][0]["top"][0]
    assert one[0] == two[0] and one[1] == pytest.approx(two[1], abs=0.01)
    first = next((i for i, frame in enumerate(given["frames"]) if frame["act"] == 1), -1)
    one, two = unpacked(given["frames"])[first], unpacked(fresh["frames"])[first]
    assert np.mean(np.abs(one.astype(int) - two) > 0.1 * given["frames"][first]["levels"]) < 0.2
    assert given["photo"].startswith("data:image/webp;base64,") and given["drift"] == fresh["drift"]
    assert given["signal"] == fresh["signal"] and given["tour"] == fresh["tour"]
    assert given["verdict"]["tone"] == fresh["verdict"]["tone"]
    assert given["frames"][-1]["drift"] == pytest.approx(fresh["frames"][-1]["drift"], rel=0.4)
    assert given["signals"]["clean"] == (
        fresh["signals"]["clean"] and pytest.approx(fresh["signals"]["clean"], abs=0.01)
    )
    assert given["signals"]["attacked"] == (
        fresh["signals"]["attacked"] and pytest.approx(fresh["signals"]["attacked"], abs=0.25)
    )


def test_what_comes_with_the_demo_is_soon_there():
    sizes = [len(json.dumps(stored(scene))) for scene in finished_scenes()]
    assert max(sizes) <= WIRE and sum(path.stat().st_size for path in FOLDER.iterdir()) <= 15e6
    assert {path.name for path in FOLDER.iterdir()} == {
        f"{name}.json.gz" for name in finished_scenes().values()
    }


def test_the_presets_show_what_they_promise():
    ends = {key: stored(preset.scene)["verdict"] for key, preset in SCENES.items()}
    assert all("Recovered" in ends[key]["text"] for key in ("first", "paper", "strong", "targeted"))
    assert "goldfish" in ends["targeted"]["text"] and "CLIP still says" in ends["control"]["text"]
    assert all("Not recovered" in ends[key]["text"] for key in ("failure", "adaptive"))


def test_examples_are_named_rightly_and_by_someone():
    """What is said to be right is in the list that the picture is offered with, and the model agrees or is
    said not to."""
    for example in EXAMPLES:
        found = stored(scene_of(example.title))
        assert example.expected in found["labels"] and example.author and example.licence
        assert (found["labels"][found["frames"][0]["top"][0][0]] == example.expected) == example.recognised


def test_a_run_whose_photograph_is_missing_is_not_there(monkeypatch):
    scene = next(iter(finished_scenes()))
    monkeypatch.setattr(type(scene.example), "present", property(lambda example: False))
    assert stored(scene) is None


@pytest.mark.parametrize("key", DEFENSES)
def test_messages_of_every_defence_join_to_the_whole(clip, key):
    photo = to_photo(open_picture(CAT.example.path))
    start = story.begin(clip, photo, replace(CAT, defense=key).settings, PHOTO)
    messages, joined = Messages("a"), {}
    for run in (runs := [start, *story.whole(clip, start)]):
        message = messages.next(run, done=run is runs[-1])
        joined = joined | message | {"frames": [*joined.get("frames", []), *message["frames"]]}
    assert joined | {"since": 0} == reel(runs[-1], None, done=True, name="a")
    assert len({frame["of"] for frame in joined["frames"] if frame["act"] == 3}) == 1


UI = Path(story.__file__).parent.parent / "ui"
SPACED = {
    "row top",
    "defended from",
    "clean mark",
    "attacked mark",
    "nudge turned",
    "system-ui, sans-serif",
}  # of classes, and of fonts
KEYS = {"Escape"}  # of a keyboard


def literals(script: str) -> list[str]:
    """The string literals of a script, without its comments."""
    code = re.sub(r"(?m)(^|\s)//.*$", "", script)
    return [found[1:-1] for found in re.findall(r'"(?:[^"\\\n]|\\.)*"|`[^`]*`', code)]


def test_the_page_s_script_holds_no_english():
    """All that the page says comes with the reel."""
    script = stage_parts()[1]
    spaced = {found for found in literals(script) if re.search(r"[A-Za-z]\W* \W*[A-Za-z]", found)}
    queries = set(
        re.findall(r'(?:\$|closest|matches|matchMedia|querySelector(?:All)?|closest\?\.)\("([^"]+)"', script)
    )
    assert spaced - queries == SPACED
    assert not [found for found in literals(script) if re.match(r"[A-Z][a-z]+$", found) and found not in KEYS]
    given = page()["words"]
    sentences = {words for words in given.values() if " " in words}
    assert not [words for words in sentences if any(words in found for found in literals(script))]
    used = set(re.findall(r'say\("(\w+)"[,)]', script))
    for pair in re.findall(r'say\([^"()]*\? "(\w+)" : "(\w+)"', script):
        used |= set(pair)
    assert used <= set(given)


def test_the_page_s_html_holds_no_english():
    html = (UI / "stage.html").read_text()
    assert not re.search(r">[^<]*[A-Za-z][^<]*<", html.replace("&nbsp;", "")) and "aria-label=" not in html
    named = set(re.findall(r'data-(?:words|label)="(\w+)"', html))
    script, given = stage_parts()[1], page()["words"]
    heads = re.findall(r"heads\(([^)]*)\)", script)
    heads = {f"head_{name}" for found in heads for name in re.findall(r'"(\w+)"', found)}
    inside = set(re.findall(r'"(\w+)"', script))
    assert named <= set(given) and heads <= set(given)
    shown = named | heads | (inside & set(given))
    shown |= {f"{name}_{depth}" for name in shown for depth in DEPTHS if f"{name}_{depth}" in given}
    axes = {  # in place of the reel’s own
        f"axis_{name}_everyone" for name in ("drift", "engages", *SIGNAL_NAMES)
    }
    assert set(given) == shown | axes  # nothing is sent that nobody shows


def test_a_page_is_plain_and_follows_from_no_run():
    assert json.loads(json.dumps(page()))["acts"] == [
        "The picture",
        "The attack",
        "The test",
        "The counterattack",
    ]
    assert page() == page() and page()["side"] == 448 and page()["rows"] == 6


def test_a_frame_for_each_moment_with_its_perturbation(run):
    found = frames(run)
    assert [f["act"] for f in found] == [0, *[1] * 5, 2, *[3] * (len(run.defence) + 1)]
    for frame, moment, values in zip(found, run.moments, unpacked(found), strict=True):
        if values is not None:
            shown, want = values * (frame["scale"] / frame["levels"]), moment.delta[0].numpy() * 255
            assert np.abs(shown - want).max() <= frame["scale"] / frame["levels"] / 2 + 1e-4
        assert frame["drift"] == pytest.approx(run.drift(moment), abs=1e-4)
    assert found[-1]["top"][0][1] == pytest.approx(
        run.defended.max().item(), abs=1e-4
    )  # the answer over all looks


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"eps": 1.0},
        {"eps": 0.0},
        {"eps": 3.5, "step_size": 0.75},
        {"eps": 16.0, "step_size": 8.0},
        {"attack": "fgsm"},
        {"attack": "noise"},
        {"attack": "apgd_ce", "eps": 8.0},
        {"attack": "targeted_pgd", "target": "goldfish"},
        {"control": True},
        *({"defense": key} for key in DEFENSES if key != "default"),
    ],
    ids=str,
)
def test_perturbations_come_out_as_they_went_in(clip, change):
    """To the last unit, whatever the attack, and for a grid of any coarseness."""
    labels = "\n".join(dict.fromkeys([*CAT.labels.splitlines(), "goldfish"]))
    run = made(replace(CAT, labels=labels, **change), clip)
    found = frames(run)
    assert same(unpacked(found), wanted(run, found))
    for frame, moment in zip(found, run.moments, strict=True):
        if frame["delta"]:  # the scale holds all that is added
            assert moment.delta.abs().max().item() * 255 <= frame["scale"] * 1.002


def test_odd_values_come_out_as_they_went_in():
    """Jumps over the whole range wrap around in a byte; steps in no direction; a budget that a step leaves at
    once."""
    dice = np.random.default_rng(0)
    for grid in (Grid(1.0), Grid(1.0, 120, 15), Grid(1.0, 127, 254), Grid.of(4 / 255, 1 / 255)):
        steps = [dice.integers(-grid.levels, grid.levels + 1, (3, 5, 5)).astype(np.int16) for _ in range(4)]
        steps.append(steps[-1])
        told = {"act": 1, "levels": grid.levels, "stride": grid.stride, "weights": None}
        found = [told | {"delta": grid.packed(s, b)} for s, b in zip(steps, [None, *steps])]
        assert same(unpacked(found), steps)


@pytest.mark.parametrize(
    "eps, step_size, levels, stride",
    [
        (4, 1, 16, 4),
        (4, 2, 16, 8),
        (1, 1, 16, 16),
        (8, 1, 32, 4),
        (64, 2, 96, 3),
        (1, 4, 16, 32),
        (4, 0, 16, 0),
        (128, 0, 127, 0),
        (0, 1, 16, 0),
    ],
)
def test_a_step_is_a_whole_number(eps, step_size, levels, stride):
    assert Grid.of(eps / 255, step_size / 255) == Grid(eps / 255, levels, stride)


def test_messages_of_a_run_hold_only_what_is_new(clip):
    """Joined, they are the whole; and what any of them starts from is how much was sent before it."""
    photo = to_photo(open_picture(CAT.example.path))
    start = story.begin(clip, photo, CAT.settings, PHOTO)
    messages, joined, sent = Messages("a"), {}, []
    for run in (runs := [start, *story.whole(clip, start)]):
        message = messages.next(run, "a note", done=run is runs[-1])
        assert message["run"] == "a" and message["since"] == len(joined.get("frames", []))
        joined = joined | message | {"frames": [*joined.get("frames", []), *message["frames"]]}
        sent.append(message)
        assert len(message["frames"]) <= 3  # the last step of the attack and the test come together
    whole = reel(runs[-1], None, "a note", True, "a")
    assert joined | {"since": 0} == whole
    assert [bool("photo" in m) for m in sent] == [True] + [False] * (len(sent) - 1)
    assert sum("labels" in m for m in sent) == sum("page" in m for m in sent) == 1
    assert sum(m["map"] is not None for m in sent) == 1
    assert sum(len(json.dumps(m)) for m in sent) < 1.2 * len(json.dumps(whole))


@pytest.mark.parametrize("steps", [10, 50])
def test_a_run_is_short_on_the_wire(photo_clip, steps):
    """Of a step of the attack there is hardly more to tell than a bit for each value."""
    scene = replace(CAT, steps=steps)
    run = story.begin(photo_clip, to_photo(open_picture(CAT.example.path)), scene.settings, PHOTO)
    *_, run = story.attack(photo_clip, run)
    found = frames(run)
    values, sizes = photo_clip.image_size**2 * 3, [len(f["delta"]) for f in found if f["act"] == 1]
    assert sizes[0] < 1.05 * values * 4 / 3 and max(sizes[1:]) < 1.1 * values / 8 * 4 / 3
    assert same(unpacked(found), wanted(run, found))


def test_a_photo_is_shown_without_loss_where_that_is_not_too_long():
    photo = to_photo(open_picture(CAT.example.path))
    with Image.open(io.BytesIO(base64.b64decode(photo_url(photo).split(",")[1]))) as shown:
        assert np.array_equal(np.asarray(shown), np.asarray(to_image(photo)))
    noise = torch.rand(3, 448, 448, generator=torch.Generator().manual_seed(0))
    assert len(photo_url(photo)) <= LOSSLESS_PHOTO and len(photo_url(noise)) < 2 * LOSSLESS_PHOTO


@pytest.mark.parametrize(
    "own",
    [OwnConfig(Gate(VIEW_DRIFT, 0.2), looks=(0, 1)), OwnConfig(), OwnConfig(Gate(TAU, 1e9, below=True))],
    ids=["views", "tau, never", "tau, always"],
)
def test_every_stage_of_a_run_is_plain_json(clip, own):
    photo = to_photo(open_picture(CAT.example.path))
    runs = [story.begin(clip, photo, CAT.settings, Profile(own))]
    runs += story.attack(clip, runs[-1])
    runs += [*story.defend(clip, runs[-1]), *story.defend(clip, runs[0], control=True)]
    for run in runs:
        text = json.dumps(reel(run, done=run is runs[-1]))
        assert json.loads(text)["done"] is (run is runs[-1])
        assert same(unpacked(frames(run)), wanted(run, frames(run)))
    test = next(f["say"] for f in frames(runs[-1]) if f["act"] == 2)
    assert ("Nudged" if own.gate.signal == VIEW_DRIFT else "A little noise") in test and test.endswith(".")


def test_the_map_keeps_distances_in_its_plane(run):
    found = path_map(run)
    points, unit = np.array(found["points"]), torch.cat([run.start.features, run.attack[-1].features])
    unit = torch.nn.functional.normalize(unit, dim=-1)
    assert np.allclose(points[0], 0) and 0 < found["kept"] <= 1
    assert (
        points[len(run.attack)][0] > 0 and points[-1][1] >= 0
    )  # the attack to the right, the counterattack up
    assert np.linalg.norm(points[len(run.attack)]) <= (unit[1] - unit[0]).norm().item() + 1e-4
    assert max(np.hypot(x, y) for _, x, y in found["labels"]) == pytest.approx(1, abs=1e-3)


def test_a_map_of_two_labels_and_of_nothing_that_moves(clip):
    still = made(replace(CAT, labels="cat\ndog", eps=0.0), clip)
    found = path_map(still)
    assert np.isfinite(np.array(found["points"])).all() and len(found["labels"]) == 2


def test_files_hold_the_run(run):
    exact = np.load(io.BytesIO(TAKEAWAYS["npz"].make(run, None)))
    assert np.array_equal(exact["attack_delta"][-1], run.attack_delta[0].numpy())
    assert np.array_equal(
        exact["counterattack_features"], torch.cat([m.features for m in run.defence]).numpy()
    )
    assert np.array_equal(exact["answer"], run.defended.numpy())
    told = json.loads(TAKEAWAYS["json"].make(run, None))
    assert told == json.loads(json.dumps(numbers(run))) and len(told["attack"]) == 5
    with Image.open(io.BytesIO(TAKEAWAYS["gif"].make(run, None))) as film:
        assert film.n_frames == len(frames(run))
    assert b"<svg" in TAKEAWAYS["svg"].make(run, None)[:2000] and TAKEAWAYS["pdf"].make(run, None).startswith(
        b"%PDF"
    )
    for key in ("clean", "attacked", "defended"):
        with Image.open(io.BytesIO(TAKEAWAYS[key].make(run, None))) as picture:
            assert picture.size == (448, 448) and picture.format == "PNG"


def test_labels_are_words_and_never_formulas(clip):
    odd = made(replace(CAT, labels="price $\\foo$\n$5$"), clip)
    assert TAKEAWAYS["svg"].make(odd, None) and TAKEAWAYS["gif"].make(odd, None)


def test_a_run_without_attack_or_end_has_no_such_files(clip):
    start = story.begin(clip, to_photo(open_picture(EXAMPLES[0].path)), CAT.settings, PHOTO)
    for key in ("attacked", "defended"):
        with pytest.raises(NotThere):
            TAKEAWAYS[key].make(start, None)
    assert TAKEAWAYS["gif"].make(start, None) and TAKEAWAYS["pdf"].make(start, None)
