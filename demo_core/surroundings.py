"""What everything here takes for granted of the place where it runs, provided where it is missing."""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
from pathlib import Path

_homes: list[tempfile.TemporaryDirectory[str]] = []  # gone when the process ends


# Whole numbers that Gradio reads of the environment as it is imported, and the most that each can be.
PORTS = {"GRADIO_SERVER_PORT": 65535, "GRADIO_NUM_PORTS": 65535}


def check_ports() -> None:
    """One sentence where Gradio could not be imported for what a variable says, and the program ends; one
    that is set to nothing is as one that is not set. Raises SystemExit."""
    for name, most in PORTS.items():
        text = os.environ.get(name, "").strip()
        if not text:
            os.environ.pop(name, None)
        elif not (text.isascii() and text.isdigit() and 1 <= int(text) <= most):
            raise SystemExit(f"{name} is “{text}”: set it to a whole number from 1 to {most}, or not at all.")


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


def keep_large_blocks() -> bool:
    """For programs that send many pictures at a time through a model on a CPU: memory that is free again
    stays with the process. The C library of Linux gives blocks of more than 32 MiB back at once, and to get
    them anew, page by page, takes about half as long again as what is computed in them. Whether it could be
    asked for."""
    if not sys.platform.startswith("linux"):
        return False
    threshold, trim, gibibyte = -3, -1, 2**30  # M_MMAP_THRESHOLD and M_TRIM_THRESHOLD of glibc's malloc.h
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    return bool(mallopt and mallopt(threshold, gibibyte) and mallopt(trim, gibibyte))
