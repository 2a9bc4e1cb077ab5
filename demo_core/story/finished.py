"""The finished runs of the scenes on offer: made once, kept as reels, and shown before anything is computed.

python -m demo_core.story.finished                     makes those in assets/runs anew
python -m demo_core.story.finished --model vit-b-32    makes those of another model, in the cache
python -m demo_core.story.finished --resize paper      the same of pictures resized as the paper's code does
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from demo_core import story
from demo_core.attacks import ATTACKS
from demo_core.clip import ZeroShotCLIP
from demo_core.defenses.drift import Study
from demo_core.examples import EXAMPLES
from demo_core.models import (
    ASSETS,
    DEFAULT_MODEL,
    REFUSALS,
    add_model_options,
    cache_of,
    fit_of,
    keep_in_cache,
    load,
    named_model,
    profile_of,
    study_of,
    surrogate_of,
    written,
)
from demo_core.pictures import open_picture, photo_side, to_photo
from demo_core.resizes import LAB, RESIZES, photo_for
from demo_core.story import Run, words
from demo_core.story.axes import drift_axes, drift_top, signal_axes, signal_tops
from demo_core.story.page_words import FINISHED, FINISHED_HERE
from demo_core.story.reel import page, photo_url, reel
from demo_core.story.scenes import SCENES, Scene, on_model, scene_of
from demo_core.story.summary import summary

FOLDER = ASSETS / "runs"


def made(scene: Scene, clip: ZeroShotCLIP | None = None) -> Run:
    """The scene's run, from beginning to end. Raises LabelError or ModelUnavailable."""
    clip = clip or load(scene.model)
    run = story.begin(
        clip,
        photo_for(clip, open_picture(scene.example.path), scene.resize),
        scene.settings,
        profile_of(scene.model),
        fit_of(scene.model),
    )
    surrogate = load(surrogate_of(scene.model)) if ATTACKS[scene.attack].transfer else None
    return list(story.whole(clip, run, surrogate, control=scene.control))[-1]


def finished_scenes(key: str = DEFAULT_MODEL, resize: str = LAB) -> dict[Scene, str]:
    """The scenes that have a finished run on a model of the table, of pictures resized so, and the names of
    their files: those of the model in the box, resized as the page does, come with the demo."""
    named = {preset.scene: f"preset-{name}" for name, preset in SCENES.items()}
    named |= {
        scene_of(e.title): e.title.replace(" ", "-") for e in EXAMPLES if scene_of(e.title) not in named
    }
    ending = "" if resize == LAB else f"-{resize}"
    return {replace(on_model(scene, key), resize=resize): name + ending for scene, name in named.items()}


def _comes_with_the_demo(scene: Scene) -> bool:
    return (scene.model, scene.resize) == (DEFAULT_MODEL, LAB)


def file_of(scene: Scene) -> Path | None:
    """Where the finished run of a scene lies, once it is made; None for a scene that has none."""
    name = finished_scenes(scene.model, scene.resize).get(scene)
    folder = FOLDER if _comes_with_the_demo(scene) else cache_of(scene.model) / FOLDER.name
    return folder / f"{name}.json.gz" if name else None


def stored(scene: Scene) -> dict[str, Any] | None:
    """The finished reel of a scene; None where none was made, or where its photograph is missing. One that a
    command has made or replaced meanwhile is found too."""
    found = _lies(scene)
    return _stored(*found) if found else None


def is_finished(scene: Scene) -> bool:
    """Whether there is one; nothing of it is read."""
    return _lies(scene) is not None


@dataclass(frozen=True)
class ReelFile:
    """A reel as JSON, and the first characters of its sum, which tell it from any other."""

    content: bytes
    sum: str


def as_file(scene: Scene) -> ReelFile | None:
    """The same as a file."""
    found = _lies(scene)
    return _as_file(*found) if found else None


def _lies(scene: Scene) -> tuple[Scene, Path, tuple[int, int], Study | None] | None:
    """All that the finished reel of a scene is read from."""
    path = file_of(scene)
    if path is None or not path.exists() or not scene.example.present:
        return None
    return scene, path, written(path), study_of(scene.model)


@lru_cache(maxsize=64)
def _as_file(*read_from: Any) -> ReelFile:
    content = _json(_stored(*read_from))
    return ReelFile(content, hashlib.sha256(content).hexdigest()[:16])


def _json(found: dict[str, Any]) -> bytes:
    return json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode()


def _stored(scene: Scene, path: Path, as_written: tuple[int, int], study: Study | None) -> dict[str, Any]:
    found = json.loads(gzip.decompress(path.read_bytes()))
    profile, (attack, defence), tops = profile_of(scene.model), found.pop("steps"), found.pop("tops")
    signal = signal_axes(scene.defense, profile, study, scene.eps, tuple(tops[1]))
    if "photo" not in found:
        found["photo"] = photo_url(to_photo(open_picture(scene.example.path), found["size"]))
    return found | {
        "summary": summary(scene.settings, scene.control),
        "side": photo_side(found["size"]),
        "drift": asdict(drift_axes(attack, defence, found["control"], tops[0])),
        "signal": [*map(asdict, signal)],
        "page": page(),
    }


def store(scene: Scene, run: Run) -> None:
    """Keep a run's reel for `stored`, without what is there anyway: the photograph, where the page resizes it
    in its own way, the axes, and the page's own words. The scene is one of `finished_scenes`. Raises
    ModelUnavailable where nothing can be written."""
    left = ("summary", "side", "drift", "signal", "page", *(["photo"] if scene.resize == LAB else []))
    kept = {key: value for key, value in reel(run).items() if key not in left}
    kept |= {"steps": [run.attack_steps, run.defence_steps], "tops": [drift_top(run), signal_tops(run)]}
    name, shipped = finished_scenes(scene.model, scene.resize)[scene], _comes_with_the_demo(scene)
    kept["run"], kept["live"] = name, False
    kept["verdict"]["note"] = FINISHED if shipped else FINISHED_HERE
    file = f"{name}.json.gz"
    content = gzip.compress(_json(kept), mtime=0)
    if shipped:
        (FOLDER / file).write_bytes(content)
    else:
        keep_in_cache(scene.model, f"{FOLDER.name}/{file}", content)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_model_options(parser)
    parser.add_argument(
        "--resize", choices=list(RESIZES), default=LAB, help="how pictures are resized (default: the page’s)"
    )
    given = parser.parse_args()
    try:
        key = named_model(given) or DEFAULT_MODEL
        clip = load(key)
        for scene, name in finished_scenes(key, given.resize).items():
            run = made(scene, clip)
            store(scene, run)
            print(f"{name}: {words.verdict(run)}", flush=True)
    except REFUSALS as error:
        raise SystemExit(str(error)) from None
    if not _comes_with_the_demo(scene):
        print(f"Written: {cache_of(key) / FOLDER.name}")


if __name__ == "__main__":
    main()
