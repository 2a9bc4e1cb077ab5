"""Scenes: everything that a run on an example photograph follows from, as one line of a table or of an
address.

SCENES are the presets on offer. Each, and each example photograph, comes with its finished run on the model
in the box (`demo_core.story.finished`), so that the page has something to show before anything is computed. A
Scene is also what a shared link holds.
"""

from __future__ import annotations

import base64
import zlib
from dataclasses import asdict, fields, replace
from dataclasses import dataclass as plain_dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode

from pydantic import ValidationError
from pydantic.dataclasses import dataclass

from demo_core.examples import EXAMPLES, PHOTOGRAPHS, Example
from demo_core.labels import PRESETS
from demo_core.limits import LIMITS
from demo_core.models import MODELS
from demo_core.story.settings import SETTINGS, Chosen, Settings, complaint, read_settings

PACKED, LONG = "packed", 600  # where packed labels stand in an address, and from how many characters on


class SceneError(ValueError):
    """A link does not hold a scene. The message is one sentence that says what to do."""


@dataclass(frozen=True, kw_only=True)
class Scene(Chosen):
    """A run's settings on a picture. picture: the title of an example photograph; control: the defence meets
    the clean picture."""

    picture: str
    control: bool = False

    @property
    def example(self) -> Example:
        return next(e for e in PHOTOGRAPHS if e.title == self.picture)

    @property
    def settings(self) -> Settings:
        """As the run takes them. Raises LabelError or InputError where something cannot be used."""
        return read_settings(self, self.picture)

    def query(self) -> str:
        """The scene as the query of an address: the picture, and what is not its default; a long list of
        labels packed, for proxies take addresses of a few thousand characters."""
        default = asdict(scene_of(self.picture)) | {"template": MODELS[self.model].template}
        values = {name: value for name, value in asdict(self).items() if value != default[name]}
        if len(values.get("labels", "")) > LONG:
            packed = zlib.compress(values.pop("labels").encode(), 9)
            values[PACKED] = base64.urlsafe_b64encode(packed).decode().rstrip("=")
        return urlencode(
            {"picture": self.picture} | {name: _written(value) for name, value in values.items()}
        )

    @staticmethod
    def read(query: str) -> Scene | None:
        """The scene in the query of an address; None where it names no picture. Raises SceneError."""
        given = {name: values[-1] for name, values in parse_qs(query, keep_blank_values=True).items()}
        if "picture" not in given:
            return None
        if given["picture"] not in {e.title for e in EXAMPLES}:
            raise SceneError(
                f"This link names a picture that is not here, “{given['picture'][:40]}”: choose one of the"
                " examples."
            )
        if PACKED in given:
            given["labels"] = _unpacked(given[PACKED])
        named = {f.name: given[f.name] for f in fields(Scene) if f.name in given}
        try:
            return scene_of(**named)
        except ValidationError as error:
            raise SceneError(_unreadable(error)) from None


def _unpacked(text: str) -> str:
    """Raises SceneError; no more is unpacked than labels may be long."""
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        most = 4 * LIMITS.labels * (LIMITS.label_characters + 1)
        return zlib.decompressobj().decompress(packed, most).decode()
    except (ValueError, zlib.error):
        raise SceneError("This link’s labels cannot be read: open the page without it.") from None


def _written(value: object) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _unreadable(error: ValidationError) -> str:
    """What is said of a link from which no Scene can be made."""
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0])
    rows = SETTINGS[name].rows if name in SETTINGS else None
    if rows:
        return f"This link’s {name}, “{first['input'][:40]}”, is not here: choose one of {', '.join(rows())}."
    if first["type"].endswith("_parsing"):
        return f"This link’s {name} cannot be read: open the page without it."
    return complaint(error)


def scene_of(picture: str, preset: str | None = None, **changes: Any) -> Scene:
    """The default run on an example photograph, with the list of labels that it is offered with; changes:
    other settings than the defaults. Raises SceneError where there is no such photograph, and pydantic's
    ValidationError."""
    example = next((e for e in PHOTOGRAPHS if e.title == picture), None)
    if example is None:
        raise SceneError(f"There is no picture “{picture[:40]}” here: choose one of the examples.")
    return Scene(**{"picture": picture, "labels": "\n".join(PRESETS[preset or example.preset])} | changes)


def on_model(scene: Scene, key: str) -> Scene:
    """The same on another model of the table, with its own prompt."""
    return replace(scene, model=key, template=MODELS[key].template)


@plain_dataclass(frozen=True)
class Preset:
    """A scene on offer; help: one sentence on what to look for."""

    title: str
    scene: Scene
    help: str


_PRESETS: dict[str, Preset] = {
    "first": Preset(
        "A first run",
        scene_of("cat"),
        "PGD at 4/255 makes the tabby cat another breed; the counterattack brings it back.",
    ),
    "paper": Preset(
        "The paper’s attack",
        scene_of("running cheetah", eps=1.0),
        "PGD-10 at eps 1/255, step 1/255, as in the paper’s tables; the defence is this model’s own.",
    ),
    "strong": Preset(
        "A strong attack",
        scene_of("cup of coffee", eps=8.0, steps=20),
        "PGD at 8/255: twice the usual budget, and twice the steps.",
    ),
    "targeted": Preset(
        "Make it say “goldfish”",
        scene_of("lion", attack="targeted_pgd", eps=8.0, steps=20, target="goldfish"),
        "The attacker chooses what the model is to say.",
    ),
    "control": Preset(
        "Clean control",
        scene_of("rocket", control=True),
        "Nobody attacked: the defence should leave the picture as it is. The button Clean control does"
        " the same on any picture.",
    ),
    "failure": Preset(
        "A failure", scene_of("astronaut"), "The defence fights back and still ends at the wrong label."
    ),
    "adaptive": Preset(
        "An attacker who knows the defence",
        scene_of("cat", adaptive=True),
        "He attacks through the defence itself, and often wins.",
    ),
}
# Those whose photograph is here.
SCENES: dict[str, Preset] = {key: preset for key, preset in _PRESETS.items() if preset.scene.example.present}
FIRST = next(iter(SCENES))  # what the page opens on
