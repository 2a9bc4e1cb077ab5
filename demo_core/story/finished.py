"""The finished runs of the scenes on offer: made once, kept as reels, and shown before anything is computed.

python -m demo_core.story.finished                     makes those in assets/runs anew
python -m demo_core.story.finished --model vit-b-32    makes those of another model, in the cache
"""

from __future__ import annotations

import argparse
import gzip
import json
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from demo_core import story
from demo_core.attacks import ATTACKS
from demo_core.clip import ZeroShotCLIP
from demo_core.examples import EXAMPLES
from demo_core.models import (
    ASSETS,
    DEFAULT_MODEL,
    ModelUnavailable,
    add_model_options,
    cache_of,
    fit_of,
    kept_in_cache,
    load,
    named_model,
    profile_of,
    study_of,
    surrogate_of,
)
from demo_core.pictures import open_picture, photo_side, to_photo
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
        to_photo(open_picture(scene.example.path), clip.image_size),
        scene.settings,
        profile_of(scene.model),
        fit_of(scene.model),
    )
    surrogate = load(surrogate_of(scene.model)) if ATTACKS[scene.attack].transfer else None
    return list(story.whole(clip, run, surrogate, control=scene.control))[-1]


def finished_scenes(key: str = DEFAULT_MODEL) -> dict[Scene, str]:
    """The scenes that have a finished run on a model of the table, and the names of their files: those of the
    model in the box come with the demo."""
    named = {preset.scene: f"preset-{name}" for name, preset in SCENES.items()}
    named |= {
        scene_of(e.title): e.title.replace(" ", "-") for e in EXAMPLES if scene_of(e.title) not in named
    }
    return {on_model(scene, key): name for scene, name in named.items()}


def file_of(scene: Scene) -> Path | None:
    """Where the finished run of a scene lies, once it is made; None for a scene that has none."""
    name = finished_scenes(scene.model).get(scene)
    folder = FOLDER if scene.model == DEFAULT_MODEL else cache_of(scene.model) / FOLDER.name
    return folder / f"{name}.json.gz" if name else None


@lru_cache(maxsize=64)
def stored(scene: Scene) -> dict[str, Any] | None:
    """The finished reel of a scene; None where none was made, or where its photograph is missing."""
    path = file_of(scene)
    if path is None or not path.exists() or not scene.example.present:
        return None
    found = json.loads(gzip.decompress(path.read_bytes()))
    profile, (attack, defence), tops = profile_of(scene.model), found.pop("steps"), found.pop("tops")
    signal = signal_axes(scene.defense, profile, study_of(scene.model), scene.eps, tuple(tops[1]))
    return found | {
        "summary": summary(scene.settings, scene.control),
        "photo": photo_url(to_photo(open_picture(scene.example.path), found["size"])),
        "side": photo_side(found["size"]),
        "drift": asdict(drift_axes(attack, defence, found["control"], tops[0])),
        "signal": [*map(asdict, signal)],
        "page": page(),
    }


def store(scene: Scene, run: Run) -> None:
    """Keep a run's reel for `stored`, without what is there anyway: the photograph, the axes, and the page's
    own words. The scene is one of `finished_scenes`. Raises ModelUnavailable where nothing can be written."""
    left = ("summary", "photo", "side", "drift", "signal", "page")
    kept = {key: value for key, value in reel(run).items() if key not in left}
    kept |= {"steps": [run.attack_steps, run.defence_steps], "tops": [drift_top(run), signal_tops(run)]}
    name = finished_scenes(scene.model)[scene]
    kept["run"], kept["live"] = name, False
    kept["verdict"]["note"] = FINISHED if scene.model == DEFAULT_MODEL else FINISHED_HERE
    file = f"{name}.json.gz"
    path = FOLDER / file
    if scene.model != DEFAULT_MODEL:
        path = kept_in_cache(scene.model, f"{FOLDER.name}/{file}")
    written = json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode()
    path.write_bytes(gzip.compress(written, mtime=0))
    stored.cache_clear()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_model_options(parser)
    try:
        key = named_model(parser.parse_args()) or DEFAULT_MODEL
        clip = load(key)
    except ModelUnavailable as error:
        raise SystemExit(str(error)) from None
    for scene, name in finished_scenes(key).items():
        run = made(scene, clip)
        store(scene, run)
        print(f"{name}: {words.verdict(run)}", flush=True)
    if key != DEFAULT_MODEL:
        print(f"Written: {cache_of(key) / FOLDER.name}")


if __name__ == "__main__":
    main()
