"""Code in a process that has imported nothing of this program yet, only what it is built on: that alone takes
seconds, and is done once for all such processes."""

import io
import multiprocessing
import os
import sys
from contextlib import redirect_stdout
from pathlib import Path

ROOT = Path(__file__).parents[1]
PATIENCE = 200  # seconds
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["torch", "torchvision", "gradio", "open_clip", "pandas", "timm"])


def _run(code: str, environment: dict[str, str], end) -> None:
    assert not any(name.split(".")[0] == "demo_core" for name in sys.modules)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    with redirect_stdout(io.StringIO()) as printed:
        exec(code, {"__name__": "__main__"})
    end.send(printed.getvalue())


def printed(code: str) -> str:
    """What the code prints there, in the project's folder. Raises AssertionError where it fails."""
    mine, theirs = _context.Pipe(duplex=False)
    process = _context.Process(target=_run, args=(code, dict(os.environ), theirs))
    process.start()
    theirs.close()
    try:
        assert mine.poll(PATIENCE), "it did not end"
        return mine.recv()
    except EOFError:
        raise AssertionError(f"it failed (its traceback is above): {code}") from None
    finally:
        process.terminate()
        process.join()
