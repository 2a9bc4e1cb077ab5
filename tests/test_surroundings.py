import ast
import ctypes
import io
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

import demo_core
from demo_core.surroundings import PORTS, check_ports, provide

TOLD = {"capture_output": True, "text": True, "encoding": "utf-8", "cwd": Path(demo_core.__file__).parents[1]}


def test_a_user_without_a_name_gets_a_home_of_his_own(monkeypatch):
    def nobody(number: int):
        raise KeyError(number)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    provide()
    assert os.access(Path.home(), os.W_OK) and os.stat(Path.home()).st_mode & 0o077 == 0


def test_a_home_that_is_there_stays(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    provide()
    assert Path.home() == tmp_path


def test_a_letter_that_the_output_does_not_know_is_printed_as_a_question_mark(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "ascii", write_through=True))
    provide()
    print("a “cat”")
    assert written.getvalue() == b"a ?cat?\n"


def test_an_output_that_knows_all_letters_is_left_alone(monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="strict")
    monkeypatch.setattr(sys, "stdout", out)
    provide()
    assert out.errors == "strict"


@pytest.mark.parametrize("name", PORTS)
@pytest.mark.parametrize("text", ["abc", "0", "70000", "-1", "٣"])
def test_a_port_that_is_none_gets_one_sentence(monkeypatch, name, text):
    monkeypatch.setenv(name, text)
    with pytest.raises(
        SystemExit, match=f"^{name} is “{text}”: set it to a whole number from 1 to 65535, or"
    ):
        check_ports()


def test_the_demo_ends_with_that_sentence_alone():
    given = os.environ | {"GRADIO_SERVER_PORT": "abc", "GRADIO_NUM_PORTS": ""}
    ended = subprocess.run([sys.executable, "-c", "import demo_core.ui.address"], env=given, **TOLD)
    assert ended.returncode == 1 and ended.stderr.count("\n") == 1 and "is “abc”" in ended.stderr
    given["GRADIO_SERVER_PORT"] = ""
    assert subprocess.run([sys.executable, "-c", "import demo_core.ui"], env=given, **TOLD).returncode == 0


def test_no_text_is_read_or_written_in_the_encoding_of_where_it_runs():
    found = []
    for path in Path(demo_core.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("read_text", "write_text"):
                if "encoding" not in (keyword.arg for keyword in node.keywords):
                    found.append(f"{path.name}:{node.lineno}")
    assert not found


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="another C library")
def test_a_program_that_asks_for_it_keeps_large_blocks_and_gets_no_page_of_them_twice():
    program = (
        "import resource, sys\n"
        "from demo_core.surroundings import keep_large_blocks\n"
        "if 'keep' in sys.argv: assert keep_large_blocks()\n"
        "faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "def blocks():\n"
        "    before = faults()\n"
        "    for _ in range(8): bytearray(64 * 2**20)[:] = b'1' * (64 * 2**20)\n"
        "    return faults() - before\n"
        "blocks(); print(blocks())\n"
    )
    usual, kept = (
        int(subprocess.run([sys.executable, "-c", program, *how], **TOLD, check=True).stdout)
        for how in ((), ("keep",))
    )
    assert kept < usual / 10
