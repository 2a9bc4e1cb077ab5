"""The model that a host chose for all who come: it is on its way while the one in the box answers."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress

from demo_core.clip import ZeroShotCLIP
from demo_core.models import DEFAULT_MODEL, MODELS, ModelUnavailable, study_of
from demo_core.story import Run
from demo_core.story.finished import file_of, is_finished, made, store
from demo_core.story.scenes import FIRST, SCENES, Scene, on_model
from demo_core.ui.lent import IS_LENT

MODEL_VARIABLE = "CLIP_MODEL"


class Host:
    """key: of the model on which the page opens now; studied: what was known of the one in the box when the
    page was built."""

    def __init__(self) -> None:
        self.key = DEFAULT_MODEL
        self.studied = study_of(DEFAULT_MODEL)

    def bring(self, key: str, model: Callable[[str], ZeroShotCLIP]) -> threading.Thread:
        """Have a model of the table loaded, and from then on the page opens on it, with a finished run: where
        the cache has none, it is made first."""
        coming = threading.Thread(target=self._come, args=(key, model), name="the host's model", daemon=True)
        coming.start()
        return coming

    def _come(self, key: str, model: Callable[[str], ZeroShotCLIP]) -> None:
        try:
            clip, scene = model(key), on_model(SCENES[FIRST].scene, key)
        except ModelUnavailable as refused:
            print(f"The page opens on {MODELS[DEFAULT_MODEL].title}. {refused}", flush=True)
            return
        if not is_finished(scene) and not IS_LENT:  # there the first visitor's GPU makes it: see keep
            store(scene, made(scene, clip))
        self.key = key
        print(f"The page opens on {MODELS[key].title}.", flush=True)

    def scene(self, scene: Scene) -> Scene:
        """The same on the model of the moment."""
        return on_model(scene, self.key)

    def keep(self, scene: Scene, run: Run) -> None:
        """Keep a run that was made for a visitor for all who come after him, where it is one of those that a
        page on the host's model has finished, and none of these is there."""
        if (
            self.key != DEFAULT_MODEL
            and self.key == scene.model
            and file_of(scene)
            and not is_finished(scene)
        ):
            with suppress(ModelUnavailable):  # no place to keep it in: the next one waits as he did
                store(scene, run)


HOST = Host()


def chosen_by_host() -> str:
    """The key that $CLIP_MODEL names, of the model in the box where it names none. Raises
    ModelUnavailable."""
    key = os.environ.get(MODEL_VARIABLE) or DEFAULT_MODEL
    if key not in MODELS:
        raise ModelUnavailable(f"{MODEL_VARIABLE} names “{key}”: choose one of {', '.join(MODELS)}.")
    return key
