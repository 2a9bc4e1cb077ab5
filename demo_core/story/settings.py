"""What a person can set of a run, described once.

A line of `Chosen` is a setting: its kind, default, title, help, unit and range. The controls of the page, the
link, the arguments of the endpoints, the file of numbers and the checks are all made from it (`SETTINGS`, the
same lines as a table). `Settings` is what a run takes: the same, checked, with sizes in pixel units.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, field, make_dataclass
from dataclasses import dataclass as plain_dataclass
from typing import TYPE_CHECKING, Any, cast

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic.dataclasses import dataclass
from pydantic.fields import FieldInfo

from demo_core.attacks import ATTACKS, PATCH
from demo_core.defenses import DEFENSES
from demo_core.examples import PHOTOGRAPHS
from demo_core.labels import DEFAULT_PRESET, PRESETS, check_template, parse_labels
from demo_core.limits import LIMITS
from demo_core.models import DEFAULT_MODEL, MODELS
from demo_core.open_clips import PAPER_TEMPLATE
from demo_core.resizes import LAB, RESIZES

PERCENT = "%"
GREY_LEVEL = "1/255"  # the unit of sizes: what a person gives is divided by 255
ADAPTIVE_HELP = (
    "The attacker has the model and the defence’s code, but not its dice. He tries several ways (BPDA, EOT"
    " with more draws, keeping its gate shut) and keeps what does most on draws of his own. A stronger"
    " attacker may do better still."
)


OFF = "off"  # no second defence


@plain_dataclass(frozen=True)
class _Nothing:
    """The row that stands for no second defence."""

    title: str = "Nothing"


def _second_rows() -> Mapping[str, Any]:
    return {OFF: _Nothing(), **DEFENSES}


class InputError(ValueError):
    """A setting cannot be used. The message is one sentence that says what to do."""


def setting(
    default: str | float,
    title: str,
    help: str,
    unit: str = "",
    limits: tuple[float, float] | None = None,
    slider: tuple[float, float, float] | None = None,
    rows: Callable[[], Mapping[str, Any]] | None = None,
    group: str = "attack",
) -> Any:  # the line, for which pydantic puts in a value
    """A line of Chosen.

    title, help: in words; unit: that a number is given in, empty where it is a count. limits: the least and
    the most that is accepted; slider: least, most and step of the control, which may be narrower. rows: the
    table whose keys are the choices, asked anew each time. group: the part of the page.
    """
    shown: Any = {"unit": unit, "slider": slider, "rows": rows, "group": group}
    low, high = limits or (None, None)
    return Field(
        default,
        title=title,
        description=help,
        ge=low,
        le=high,
        allow_inf_nan=False if limits else None,
        validate_default=True,
        json_schema_extra=shown,
    )


class _Rows:
    """The defences among settings, however these are given."""

    if TYPE_CHECKING:
        defense: str
        beside: str

    @property
    def second(self) -> str | None:
        """The row of DEFENSES beside the first; None where there is none, or the first once more."""
        return None if self.beside in (OFF, self.defense) else self.beside


@dataclass(frozen=True, kw_only=True)
class Chosen(_Rows):
    """A run's settings as a person gives them: labels as text, one a line; eps and step_size in 1/255;
    target: a label, empty where none is aimed at. Raises pydantic's ValidationError (see `complaint`)."""

    labels: str = setting(
        "\n".join(PRESETS[DEFAULT_PRESET]),
        "Candidate labels, one a line",
        "CLIP picks the likeliest of these.",
        group="labels",
    )
    attack: str = setting("pgd", "Attack", "The method of the attack.", rows=lambda: ATTACKS)
    eps: float = setting(
        4.0, "eps", "How much any pixel may change.", GREY_LEVEL, limits=(0, 255), slider=(0, 16, 0.5)
    )
    step_size: float = setting(
        1.0, "Step size", "How far one step moves it.", GREY_LEVEL, limits=(0, 255), slider=(0.25, 8, 0.25)
    )
    steps: int = setting(
        10,
        "Steps",
        "How many gradient steps the attacker takes.",
        limits=(1, LIMITS.steps),
        slider=(1, min(50, LIMITS.steps), 1),
    )
    patch: int = setting(
        round(100 * PATCH),
        "Patch size",
        "How much of the picture’s side a visible patch takes.",
        PERCENT,
        limits=(5, 30),
        slider=(5, 30, 1),
    )
    target: str = setting("", "Target label", "What a targeted attack should make CLIP say.")
    seed: int = setting(0, "Seed", "The same seed gives the same run.", limits=(0, 2**32 - 1))
    model: str = setting(DEFAULT_MODEL, "Model", "The CLIP that is attacked.", rows=lambda: MODELS, group="")
    template: str = setting(
        "",
        "Prompt template",
        "The sentence that CLIP reads; {} stands for the label. Left empty, it is the model’s own: for CLIPs"
        f" of the internet the paper’s, “{PAPER_TEMPLATE}”",
        group="labels",
    )
    adaptive: bool = setting(False, "The attacker knows the defence", ADAPTIVE_HELP)
    eot: int = setting(
        1,
        "Draws a step",
        "How many draws of a random defence an attacker who knows it averages each gradient over (EOT).",
        limits=(1, LIMITS.eot),
        slider=(1, min(16, LIMITS.eot), 1),
    )
    defense: str = setting(
        "default",
        "Defence",
        "The defence that answers, and that an attacker who knows it attacks.",
        rows=lambda: DEFENSES,
        group="",
    )
    beside: str = setting(
        OFF,
        "Beside it",
        "A second defence, which meets the very same picture: both are on the stage, with one slider.",
        rows=_second_rows,
        group="",
    )
    resize: str = setting(
        LAB,
        "Resize",
        "How a picture is brought to the model’s size. Another way than the page’s is only needed to compare"
        " with the paper or the benchmark (--resize). An attacked picture that was saved here is taken as it"
        " is.",
        rows=lambda: RESIZES,
        group="",
    )

    @field_validator("*")
    @classmethod
    def _one_of_its_table(cls, value: Any, info: ValidationInfo) -> Any:
        rows = SETTINGS[info.field_name].rows if info.field_name and info.field_name in SETTINGS else None
        if rows and value not in rows():
            raise ValueError("is not in the table")
        return value

    @field_validator("template")
    @classmethod
    def _the_model_s_own(cls, value: str, info: ValidationInfo) -> str:
        return value if value.strip() or "model" not in info.data else MODELS[info.data["model"]].template


@plain_dataclass(frozen=True)
class Setting:
    """A line of Chosen, for whoever makes a control, an argument or a sentence of it."""

    name: str
    kind: Callable[..., Any]
    default: object
    title: str
    help: str
    unit: str
    limits: tuple[float, float] | None
    slider: tuple[float, float, float] | None
    rows: Callable[[], Mapping[str, Any]] | None
    group: str

    @property
    def label(self) -> str:
        """What stands above its control."""
        return f"{self.title}, in {self.unit}" if self.unit else self.title

    @property
    def manual(self) -> str:
        """What a program has to know of it."""
        allowed = f", one of {', '.join(self.rows())}" if self.rows else ""
        if self.limits:
            allowed = f", from {self.limits[0]} to {self.limits[1]}"
        return f"{self.label}{allowed}. {self.help}"

    def complaint(self, value: object) -> str:
        """What is said to a value that cannot be used."""
        name = self.name.replace("_", " ")
        if self.rows:
            return f"There is no {name} “{str(value)[:40]}”: choose one of {', '.join(self.rows())}."
        if self.limits:
            number = "a whole number" if self.kind is int else "a number"
            return f"Set {name} to {number} from {self.limits[0]} to {self.limits[1]}."
        return f"Set {name} to {'true or false' if self.kind is bool else 'a text'}."


def _described(name: str, line: FieldInfo) -> Setting:
    extra: Any = line.json_schema_extra
    bounds = {type(m).__name__: m for m in line.metadata}
    limits = (bounds["Ge"].ge, bounds["Le"].le) if "Ge" in bounds else None
    kind: Any = line.annotation
    title, help = str(line.title), str(line.description)
    return Setting(name, kind, line.default, title, help, limits=limits, **extra)


SETTINGS: dict[str, Setting] = {
    name: _described(name, line) for name, line in cast("Any", Chosen).__pydantic_fields__.items()
}


def complaint(error: ValidationError) -> str:
    """What is said to someone whose Chosen could not be made."""
    first = error.errors(include_url=False)[0]
    return SETTINGS[str(first["loc"][0])].complaint(first["input"])


def choose(**given: Any) -> Chosen:
    """Chosen, checked; None stands for a text or a tick that was left out, and labels may come as a list.
    Raises InputError."""
    if isinstance(given.get("labels"), (list, tuple)):
        given = given | {"labels": "\n".join(map(str, given["labels"]))}
    empty: dict[str, Any] = {
        n: row.kind() for n, row in SETTINGS.items() if row.kind in (str, bool) and not row.rows
    }
    try:
        values: dict[str, Any] = {n: empty.get(n) if value is None else value for n, value in given.items()}
        return Chosen(**values)
    except ValidationError as error:
        raise InputError(complaint(error)) from None


# ---------------------------------------------------------------- as a run takes them

_IN_RUN = {"labels": tuple[str, ...], "target": int | None}  # what is of another kind than a person gives


class _RunSettings(_Rows):
    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    @property
    def knows_defence(self) -> bool:
        """Whether the attack is made through the defence."""
        return self.adaptive and self.attack_can_know

    @property
    def attack_can_know(self) -> bool:
        """Whether the attack can be made through a defence."""
        return ATTACKS[self.attack].adaptable

    def chosen(self) -> Chosen:
        """The same as a person gives them."""
        given: dict[str, Any] = {name: _to_person(row, getattr(self, name)) for name, row in SETTINGS.items()}
        target = "" if self.target is None else self.labels[self.target]
        return Chosen(**given | {"labels": "\n".join(self.labels), "target": target})


def _to_person(row: Setting, value: Any) -> Any:
    return round(value * 255, 6) if row.unit == GREY_LEVEL else value


def _to_run(row: Setting, value: Any) -> Any:
    return value / 255 if row.unit == GREY_LEVEL else value


def _run_fields() -> list[Any]:
    optional = [
        (n, _IN_RUN.get(n, row.kind), field(default=None if n in _IN_RUN else _to_run(row, row.default)))
        for n, row in SETTINGS.items()
        if n not in ("labels", "template")
    ]
    return [
        ("labels", _IN_RUN["labels"]),
        ("template", str),
        *optional,
        ("truth", int | None, field(default=None)),
    ]


if TYPE_CHECKING:

    @plain_dataclass(frozen=True, init=False)
    class Settings(_RunSettings):
        """For whoever checks types: the fields are those of the table, which are made below."""

        def __init__(self, *given: Any, **named: Any) -> None: ...

else:
    Settings = make_dataclass("Settings", _run_fields(), bases=(_RunSettings,), frozen=True)
    Settings.__module__ = __name__  # so that it can be pickled
    Settings.__doc__ = """What a run takes: the settings of Chosen, and truth.

    labels: a tuple; eps and step_size in pixel units (1/255 is one grey level); target: a label's index;
    truth: the index of the label that is known to be right, None where nobody said.
    """


def read_settings(chosen: Chosen, picture: str | None = None) -> Settings:
    """What a person chose, as a run takes it. picture: the title of an example photograph, whose true label
    is known. Raises LabelError or InputError."""
    labels = parse_labels(chosen.labels)
    target = None
    if ATTACKS[chosen.attack].targeted:
        if chosen.target not in labels:
            raise InputError("Choose the label that the targeted attack should reach.")
        target = labels.index(chosen.target)
    given = {name: _to_run(row, getattr(chosen, name)) for name, row in SETTINGS.items()}
    given |= {"labels": labels, "template": check_template(chosen.template), "target": target}
    return Settings(**given, truth=truth_of(picture, labels))


def truth_of(picture: str | None, labels: tuple[str, ...]) -> int | None:
    """The place among the labels of what an example photograph shows; None where it is none, or is not among
    them."""
    example = next((e for e in PHOTOGRAPHS if e.title == picture), None)
    return labels.index(example.expected) if example and example.expected in labels else None


def as_given(settings: Settings) -> dict[str, Any]:
    """For a file: every setting by its name as a person gives it, and the units of those that have one."""
    units = {name: row.unit for name, row in SETTINGS.items() if row.unit}
    return asdict(settings.chosen()) | {"units": units}
