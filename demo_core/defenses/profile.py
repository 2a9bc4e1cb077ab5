"""A model's profile: how the rows of the table that can be calibrated are set on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from demo_core.defenses.doc import DOCConfig
from demo_core.defenses.own import OwnConfig
from demo_core.defenses.own_shift import ShiftConfig


@dataclass(frozen=True)
class Profile:
    """own, shift, doc: the settings of these rows; every other row has its source's. auc: how well each
    signal told attacked from clean pictures where this was calibrated. note: where the numbers come from, in
    words for the screen."""

    own: OwnConfig = OwnConfig()
    shift: ShiftConfig = ShiftConfig()
    doc: DOCConfig = DOCConfig()
    auc: dict[str, float] = field(default_factory=dict)
    note: str = "The paper’s own rule and values."

    @staticmethod
    def read(path: Path) -> Profile:
        return _FILE.validate_json(path.read_bytes())

    def write(self, path: Path) -> None:
        path.write_bytes(_FILE.dump_json(self, indent=2) + b"\n")


_FILE = TypeAdapter(Profile)
