"""What a visitor may ask of a host, in one place; a host sets each by an environment variable."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

PREFIX = "CLIP_MAX_"


def _limit(default: int, meaning: str) -> int:
    found: int = field(default=default, metadata={"meaning": meaning})
    return found


@dataclass(frozen=True)
class Limits:
    """Whole numbers of at least 1, for page, links, API and MCP alike."""

    steps: int = _limit(200, "gradient steps of an attack")
    eot: int = _limit(16, "draws a step of an attacker who knows a random defence")
    labels: int = _limit(1000, "candidate labels")
    label_characters: int = _limit(200, "characters of a label, and of the prompt template")
    megapixels: int = _limit(40, "millions of pixels of a picture")
    upload_megabytes: int = _limit(50, "megabytes of a picture’s file, however it comes")
    uploads_megabytes: int = _limit(2000, "megabytes of all files that are kept for visitors, for an hour")
    seconds: int = _limit(300, "seconds of computing that one click or call gets")
    waiting: int = _limit(100, "clicks and calls that wait for their turn")
    waiting_each: int = _limit(4, "of these, of one visitor")
    visitors: int = _limit(250, "visitors whose last run and page’s state are kept")
    runs_megabytes: int = _limit(1000, "megabytes that all these runs take")

    @staticmethod
    def read(environment: Mapping[str, str]) -> Limits:
        """The limits with what the environment says, CLIP_MAX_STEPS for `steps`. Raises SystemExit with one
        sentence where it says no whole number of at least 1."""
        found = {}
        for line in fields(Limits):
            name = PREFIX + line.name.upper()
            text = environment.get(name, "").strip()
            if text and not (text.isascii() and text.isdigit() and int(text)):
                raise SystemExit(
                    f"{name} is “{text}”: set it to a whole number of at least 1, or not at all."
                )
            if text:
                found[line.name] = int(text)
        return Limits(**found)


LIMITS = Limits.read(os.environ)
MEANINGS = {PREFIX + line.name.upper(): (line.metadata["meaning"], line.default) for line in fields(Limits)}
