"""Where a browser is, and the app as the README starts it, for whoever visits it."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextmanager
def started(**environment: str) -> Iterator[tuple[str, int]]:
    """The running app, a process of its own: its address, and the process's number."""
    port = free_port()
    environment = os.environ | {"GRADIO_SERVER_PORT": str(port)} | environment
    app = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(address, timeout=2)
                break
            except OSError:
                assert app.poll() is None, "app.py stopped"
                time.sleep(0.5)
        yield address, app.pid
    finally:
        app.terminate()
        app.wait(60)
