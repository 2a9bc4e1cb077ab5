"""What everything here takes for granted of the place where it runs, provided where it is missing."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

_homes: list[tempfile.TemporaryDirectory[str]] = []  # gone when the process ends


def provide() -> None:
    """A home for a user who has none (a number alone, in a container), without which matplotlib cannot be
    imported; and a question mark for a letter that the output does not know, where printing it would end the
    program."""
    try:
        Path.home()
    except RuntimeError:
        _homes.append(tempfile.TemporaryDirectory(prefix="clip-home-"))
        os.environ["HOME"] = _homes[-1].name
    for stream in (sys.stdout, sys.stderr):
        if (getattr(stream, "encoding", None) or "utf-8").lower() != "utf-8" and hasattr(
            stream, "reconfigure"
        ):
            stream.reconfigure(errors="replace")
