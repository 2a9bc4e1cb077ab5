"""The README's Python runs as written."""

import re
import shutil
from pathlib import Path

import pytest

from demo_core.examples import EXAMPLES
from demo_core.limits import MEANINGS, PREFIX
from demo_core.ui import lab, theme

ROOT = Path(__file__).parents[1]
SNIPPETS = re.findall(r"```python\n(.+?)```", (ROOT / "README.md").read_text(), re.S)


def test_every_environment_variable_of_our_own_is_in_the_table():
    sources = [ROOT / "app.py", *(ROOT / "demo_core").rglob("*.py")]
    read = {
        name for path in sources for name in re.findall(r'"((?:CLIP|BENCHMARK)_[A-Z_]+)"', path.read_text())
    }
    listed = set(re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "README.md").read_text(), re.M))
    assert len(read) >= 6 and listed == read - {PREFIX}


def test_every_limit_is_in_the_readme_with_its_default():
    text = " ".join((ROOT / "README.md").read_text().split())
    assert all(f"`{name}` ({default:,}: {meaning})" in text for name, (meaning, default) in MEANINGS.items())


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
