"""Whether the demo starts and answers wherever somebody may start it: a row an environment, in a copy of the
project, with the app as a process of its own that makes one attack and one counterattack. Prints a Markdown
table:

    python -m tests.environments

With a fresh virtual environment of requirements.txt for each interpreter, of its lowest versions for another
(5.5 GB each, one at a time), then:

    python -m tests.environments --python python3.10 --python python3.13 --lowest python3.10

Linux; the rows that take something away from the app do it with unshare, setpriv, taskset and prlimit.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tabulate import tabulate

from demo_core.examples import EXAMPLES
from tests import hostile
from tests.crowd import LABELS
from tests.e2e import ROOT, free_port

PATIENCE = 300  # seconds for the start, and for the answer
LOCAL = re.compile(r"Running on local URL:\s+(http://\S+)")
PEAK = re.compile(r"VmHWM:\s+(\d+)")
SHUT, TAKEN = "{shut}", "{taken}"  # what rows put into variables
NOBODY = ("unshare", "--user", "--map-user=54321", "--map-group=54321")  # without a name or capabilities
ALONE = ("unshare", "--map-root-user", "--net", "sh", "-c")
KNOWN = ("torch", "gradio", "numpy", "pillow")  # whose versions are told
VERSIONS = f"""
import importlib.metadata as m, platform
print(platform.python_version(), *(f"{{n}} {{m.version(n)}}" for n in {KNOWN}), sep=", ")"""


@dataclass(frozen=True)
class Environment:
    """An environment: its variables (None takes one away), the command that starts a command in it, the
    folder's name, and what the app says where it is not to start."""

    title: str
    variables: Mapping[str, str | None] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    folder: str = "demo"
    writable: bool = True
    refused: str = ""


NO_CACHE = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR", "HF_HOME"), SHUT)
NO_UTF8 = {
    "LC_ALL": "C",
    "LANG": None,
    "PYTHONUTF8": "0",
    "PYTHONCOERCECLOCALE": "0",
    "PYTHONIOENCODING": None,
}
PROXY = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"), "http://127.0.0.1:9")
NO_WAY_AROUND = {"NO_PROXY": None, "no_proxy": None}
PORT = "GRADIO_SERVER_PORT"
ENVIRONMENTS = (
    Environment("as it is"),
    Environment("read-only home", {"HOME": SHUT}, NOBODY),
    Environment("read-only home, caches and project", NO_CACHE, NOBODY, writable=False),
    Environment("no `HOME`, a user without a name", dict.fromkeys(NO_CACHE), NOBODY),
    Environment("`LC_ALL=C` without UTF-8", NO_UTF8),
    Environment("a path with spaces and umlauts", folder="Übung für alle, 2 Stück"),
    Environment("the same, `LC_ALL=C` without UTF-8", NO_UTF8, folder="Übung für alle, 2 Stück"),
    Environment("port taken: the next one", {PORT: TAKEN}),
    Environment("no port left", {PORT: TAKEN, "GRADIO_NUM_PORTS": "1"}, refused="GRADIO_SERVER_PORT"),
    Environment("IPv6", {"GRADIO_SERVER_NAME": "::1"}),
    Environment(
        "IPv6 only",
        {"GRADIO_SERVER_NAME": "::1"},
        (*ALONE, 'ip link set lo up && ip address delete 127.0.0.1/8 dev lo && exec "$0" "$@"'),
    ),
    Environment("no network", {}, (*ALONE, 'ip link set lo up && exec "$0" "$@"')),
    Environment("a proxy that is dead", PROXY | NO_WAY_AROUND),
    Environment("1 core, 2 GB", {}, ("taskset", "--cpu-list", "0", "prlimit", f"--data={2 * 10**9}")),
)


@contextmanager
def project(row: Environment) -> Iterator[Path]:
    """A copy of what is under version control, or would be, in a folder of the row's name; beside it an empty
    one in which nothing can be written."""
    listed = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    with tempfile.TemporaryDirectory() as outer:
        os.chmod(outer, 0o755)
        place = Path(outer) / row.folder
        for name in filter(lambda name: name and (ROOT / name).is_file(), names):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, place / name)
        (Path(outer) / "shut").mkdir(mode=0o555)
        if not row.writable:
            subprocess.run(("chmod", "-R", "a-w", place), check=True)
        yield place
        subprocess.run(("chmod", "-R", "u+w", place), check=True)


@contextmanager
def variables(row: Environment, place: Path) -> Iterator[dict[str, str]]:
    """The app's variables; a port that the row has taken is taken meanwhile."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        values = {"shut": place.parent / "shut", "taken": listening.getsockname()[1]}
        found = os.environ | {PORT: str(free_port())}
        for name, value in row.variables.items():
            found.pop(name, None)
            if value is not None:
                found[name] = value.format(**values)
        yield found


def said_address(log: Path, app: subprocess.Popen) -> str | None:
    """Where the app says that it runs; None where it has ended instead."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and app.poll() is None:
        if found := LOCAL.search(log.read_text(encoding="utf-8", errors="replace")):
            return found[1]
        time.sleep(0.2)
    return None


def ask(address: str) -> None:
    """Prints how long an attack and the counterattack against it took; run in the app's own network."""
    with urllib.request.urlopen(address, timeout=60) as page:
        assert "CLIP fights back" in page.read().decode(), "another page"
    then, picture = time.monotonic(), hostile.upload(address, EXAMPLES[0].path)
    for name in ("attack", "counterattack"):
        answered, said = hostile.call(address, name, hostile.given(name, picture, labels=LABELS, steps=10))
        assert answered, said
        picture = said[1]
    print(f"{time.monotonic() - then:.1f} s")


def answer_of(address: str | None, app: subprocess.Popen, row: Environment, log: Path) -> tuple[str, str]:
    """How long the app took to answer, and what came of it."""
    if address is None:
        *_, last = log.read_text(encoding="utf-8", errors="replace").split("\n")[:-1] or [""]
        return "", f"refused: {last}" if row.refused and row.refused in last else f"**ended**: {last}"
    if row.refused:
        return "", "**not refused**"
    inside = ("nsenter", "--target", str(app.pid), "--user", "--net", "--preserve-credentials")
    asking = (sys.executable, "-m", "tests.environments", "--ask", address)
    asked = subprocess.run(
        (*(inside if row.command[:3] == ALONE[:3] else ()), *asking),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    if asked.returncode:
        return "", f"**no answer**: {asked.stderr.strip().splitlines()[-1]}"
    return asked.stdout.strip(), f"answers at {address}"


def at_most(pid: int) -> str:
    """The resident memory of a process when it was largest, while it runs."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    found = PEAK.search(status)
    return f"{int(found[1]) / 1024:.0f} MiB" if found else ""


def tried(row: Environment, python: str, logs: Path) -> list[str]:
    """A row of the table."""
    name = re.sub(r"\W+", "-", row.title).strip("-").lower()
    log = logs / f"{name}.log"
    with project(row) as place, variables(row, place) as values, log.open("w") as file:
        then = time.monotonic()
        command = (*row.command, python, "app.py")
        app = subprocess.Popen(command, cwd=place, env=values, stdout=file, stderr=subprocess.STDOUT)
        try:
            address = said_address(log, app)
            start = f"{time.monotonic() - then:.0f} s" if address else ""
            took, outcome = answer_of(address, app, row, log)
            peak = at_most(app.pid) if address else ""
        finally:
            app.terminate()
            app.wait(60)
    if "Traceback" in log.read_text(encoding="utf-8", errors="replace"):
        outcome += ", **with a traceback**"
    return [row.title, start, took, peak, outcome]


@contextmanager
def fresh(python: str, lowest: bool) -> Iterator[str]:
    """The interpreter of a new virtual environment of requirements.txt, gone afterwards."""
    with tempfile.TemporaryDirectory(dir=ROOT.parent) as folder:
        subprocess.run((python, "-m", "venv", folder), check=True)
        own, wanted = f"{folder}/bin/python", str(ROOT / "requirements.txt")
        if lowest:
            subprocess.run((own, "-m", "pip", "install", "--quiet", "uv"), check=True)
            resolve = ("uv", "pip", "compile", "--quiet", "--resolution", "lowest-direct", "--python", own)
            subprocess.run(
                (f"{folder}/bin/uv", *resolve[1:], wanted, "-o", f"{folder}/lowest.txt"), check=True
            )
            wanted = f"{folder}/lowest.txt"
        subprocess.run((own, "-m", "pip", "install", "--quiet", "--no-cache-dir", "-r", wanted), check=True)
        yield own


def versions(python: str) -> str:
    told = subprocess.run((python, "-c", VERSIONS), capture_output=True, text=True, check=True)
    return f"Python {told.stdout.strip()}"


def in_fresh(python: str, lowest: bool, logs: Path) -> list[str]:
    with fresh(python, lowest) as own:
        told = subprocess.run(
            (own, "-c", VERSIONS), capture_output=True, text=True, check=True
        ).stdout.strip()
        return tried(Environment(f"{'lowest versions, ' * lowest}Python {told}"), own, logs)


def rows(options: argparse.Namespace) -> Iterator[list[str]]:
    for row in ENVIRONMENTS:
        if re.search(options.only, row.title):
            yield tried(row, sys.executable, options.logs)
    for lowest, pythons in ((False, options.python), (True, options.lowest)):
        for python in pythons:
            yield in_fresh(python, lowest, options.logs)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--python", action="append", default=[], help="in a fresh environment of this one, too"
    )
    parser.add_argument("--lowest", action="append", default=[], help="the same, of the lowest versions")
    parser.add_argument("--only", default="", help="the environments whose titles have this in them")
    parser.add_argument(
        "--logs", type=Path, default=Path(tempfile.mkdtemp()), help="a folder for what it says"
    )
    parser.add_argument("--ask", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ask:
        return ask(options.ask)
    options.logs.mkdir(parents=True, exist_ok=True)
    found = []
    for row in rows(options):
        found.append(row)
        print(*row, sep=" | ", flush=True)
    print(tabulate(found, ("environment", "page", "answer", "at most", "what came out"), "github"))
    print(f"{versions(sys.executable)}, where no other is named. What each app said: {options.logs}")
    raise SystemExit(any("**" in row[-1] for row in found))


if __name__ == "__main__":
    main()
