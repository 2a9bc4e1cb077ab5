"""The README's Python runs as written."""

import re
import shutil
from pathlib import Path

import pytest

from demo_core.examples import EXAMPLES
from demo_core.ui import lab, theme

SNIPPETS = re.findall(r"```python\n(.+?)```", (Path(__file__).parents[1] / "README.md").read_text(), re.S)


def test_the_library_snippet(capsys):
    exec(SNIPPETS[0], {})
    assert "so CLIP fights back" in capsys.readouterr().out


@pytest.fixture
def address():
    page = lab.build()
    _, url, _ = page.queue().launch(prevent_thread_lock=True, quiet=True, **theme.launch_options())
    yield url
    page.close()


@pytest.mark.slow
def test_the_client_snippet(address, tmp_path, monkeypatch, capsys):
    shutil.copy(EXAMPLES[1].path, tmp_path / "cat.png")
    monkeypatch.chdir(tmp_path)
    assert "http://127.0.0.1:7860" in SNIPPETS[1]
    exec(SNIPPETS[1].replace("http://127.0.0.1:7860", address), {})
    assert "tabby cat" in capsys.readouterr().out
