"""Scenes: everything that a run on an example photograph follows from, as one line of a table or of an
address.

SCENES are the presets on offer. Each, and each example photograph, comes with its finished run
(`demo_core.reel`), so that the page has something to show before anything is computed. A Scene is also what a
shared link holds.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from urllib.parse import parse_qs, urlencode

from demo_core.attacks import ATTACKS
from demo_core.examples import EXAMPLES, Example
from demo_core.labels import DEFAULT_TEMPLATE, PRESETS, check_template, parse_labels
from demo_core.models import DEFAULT_MODEL, MODELS
from demo_core.story import Settings


class SceneError(ValueError):
    """A link does not hold a scene. The message is one sentence that says what to do."""


class InputError(ValueError):
    """A setting cannot be used. The message is one sentence that says what to do."""


def read_settings(
    labels: str,
    template: str,
    attack: str,
    eps: float,
    step_size: float,
    steps: float,
    target: str | None,
    seed: float,
    adaptive: bool = False,
    picture: str | None = None,
) -> Settings:
    """What the controls say, checked; sizes arrive in 1/255 and leave in pixel units. picture: the title of
    an example photograph, whose true label is known."""
    names = parse_labels(labels)
    if attack not in ATTACKS:
        raise InputError(f"There is no attack “{attack}”: choose one of {', '.join(ATTACKS)}.")
    for name, value, low, high in (
        ("eps", eps, 0, 255),
        ("step size", step_size, 0, 255),
        ("steps", steps, 1, 1000),
        ("seed", seed, 0, 2**32 - 1),
    ):
        if value is None or not low <= value <= high:
            raise InputError(f"Set {name} to a number from {low} to {high}.")
    chosen = None
    if ATTACKS[attack].targeted:
        if target not in names:
            raise InputError("Choose the label that the targeted attack should reach.")
        chosen = names.index(target)
    return Settings(
        names,
        check_template(template),
        attack,
        eps / 255,
        step_size / 255,
        int(steps),
        chosen,
        int(seed),
        bool(adaptive),
        truth_of(picture, names),
    )


def truth_of(picture: str | None, names: tuple[str, ...]) -> int | None:
    """The place among the labels of what an example photograph shows; None where it is none, or is not among
    them."""
    example = next((e for e in EXAMPLES if e.title == picture), None)
    return names.index(example.expected) if example and example.expected in names else None


@dataclass(frozen=True)
class Scene:
    """picture: the title of an example photograph; labels: one a line; eps and step_size in 1/255; target: a
    label; control: the defence meets the clean picture."""

    picture: str
    labels: str
    template: str = DEFAULT_TEMPLATE
    attack: str = "pgd"
    eps: float = 4.0
    step_size: float = 1.0
    steps: int = 10
    target: str = ""
    seed: int = 0
    adaptive: bool = False
    model: str = DEFAULT_MODEL
    control: bool = False

    @property
    def example(self) -> Example:
        return next(e for e in EXAMPLES if e.title == self.picture)

    @property
    def settings(self) -> Settings:
        """As the run takes them. Raises LabelError or InputError where something cannot be used."""
        return read_settings(
            self.labels,
            self.template,
            self.attack,
            self.eps,
            self.step_size,
            self.steps,
            self.target,
            self.seed,
            self.adaptive,
            self.picture,
        )

    def query(self) -> str:
        """The scene as the query of an address."""
        return urlencode({name: _written(value) for name, value in asdict(self).items()})

    @staticmethod
    def read(query: str) -> Scene | None:
        """The scene in the query of an address; None where it names no picture. Raises SceneError."""
        given = {name: values[-1] for name, values in parse_qs(query, keep_blank_values=True).items()}
        if "picture" not in given:
            return None
        if given["picture"] not in {e.title for e in EXAMPLES}:
            raise SceneError(
                f"This link names a picture that is not here, “{given['picture'][:40]}”: choose one of the examples."
            )
        scene = scene_of(given["picture"])
        for field in fields(Scene):
            if field.name in given:
                kind = type(getattr(scene, field.name))
                try:
                    scene = replace(
                        scene,
                        **{
                            field.name: kind(int(given[field.name]))
                            if kind is bool
                            else kind(given[field.name])
                        },
                    )
                except ValueError:
                    raise SceneError(
                        f"This link’s {field.name} cannot be read: open the page without it."
                    ) from None
        if scene.model not in MODELS:
            raise SceneError(
                f"This link names a model that is not here, “{scene.model[:40]}”: choose one of {', '.join(MODELS)}."
            )
        return scene


def _written(value) -> str:
    return (
        str(int(value))
        if isinstance(value, bool)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


def scene_of(picture: str, preset: str | None = None, **changes) -> Scene:
    """The default run on an example photograph, with the list of labels that it is offered with."""
    example = next(e for e in EXAMPLES if e.title == picture)
    return Scene(picture, "\n".join(PRESETS[preset or example.preset]), **changes)


@dataclass(frozen=True)
class Preset:
    """A scene on offer; help: one sentence on what to look for."""

    title: str
    scene: Scene
    help: str


SCENES: dict[str, Preset] = {
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
        "A failure", scene_of("motorcycle"), "The defence fights back and still ends at the wrong label."
    ),
    "adaptive": Preset(
        "An attacker who knows the defence",
        scene_of("cat", adaptive=True),
        "He attacks through the defence itself, and often wins.",
    ),
}
FIRST = "first"
