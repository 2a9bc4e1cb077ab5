"""The README's Python runs as written, with what requirements.txt names; what can be set is told to hosts."""

import ast
import re
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

from demo_core.examples import EXAMPLES
from demo_core.limits import MEANINGS, PREFIX
from demo_core.models import MODELS
from demo_core.ui import lab, theme
from demo_core.weights import HUB_FILES

ROOT = Path(__file__).parents[1]
HOSTING = (ROOT / ".docker/README.md").read_text()
SNIPPETS = re.findall(r"```python\n(.+?)```", (ROOT / "README.md").read_text(), re.S)


def test_every_environment_variable_of_our_own_is_in_the_table():
    sources = [ROOT / "app.py", *(ROOT / "demo_core").rglob("*.py")]
    read = {
        name for path in sources for name in re.findall(r'"((?:CLIP|BENCHMARK)_[A-Z_]+)"', path.read_text())
    }
    listed = set(re.findall(r"^\| `([A-Z_]+)` \|", HOSTING.split("\nLimits")[0], re.M))
    assert len(read) >= 6 and listed == read - {PREFIX}


def test_the_head_that_a_space_reads_is_whole():
    head = yaml.safe_load((ROOT / "README.md").read_text().split("---")[1])
    repository = MODELS["vit-b-32"].repository
    assert head["sdk"] == "gradio" and (ROOT / head["app_file"]).exists()
    assert f"gradio[mcp]>={head['sdk_version'].rsplit('.', 1)[0]}" in (ROOT / "requirements.txt").read_text()
    assert head["models"] == [repository]
    assert head["preload_from_hub"] == [f"{repository} {HUB_FILES[0]}"]
    assert head["python_version"] in ("3.10", "3.12")  # what ZeroGPU runs
    assert "arxiv:2503.03613" in head["tags"] and len(head["short_description"]) <= 60


def test_every_limit_is_told_with_its_default():
    told = [f"| `{name}` | {default:,} | {meaning} |" for name, (meaning, default) in MEANINGS.items()]
    assert HOSTING.split("\nLimits")[1].splitlines()[-len(told) :] == told


DOCUMENTS = [
    *ROOT.glob("*.md"),
    *(path for part in (".docker", "assets", "demo_core", "tests") for path in (ROOT / part).rglob("*.md")),
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_leads_to_what_is_there(document):
    """Files, and headings by the names that GitHub gives them."""
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        place, _, heading = target.partition("#")
        if not re.match(r"https?:", target):
            there = document.parent / place if place else document
            assert there.exists(), target
            if heading:
                names = re.findall(r"^#+ (.+)$", there.read_text(), re.M)
                assert heading in {
                    re.sub(r"[^\w -]", "", name).lower().replace(" ", "-") for name in names
                }, target


BROUGHT = {"gradio_client", "huggingface_hub", "markupsafe", "pydantic"}  # by what they are a part of
ELSEWHERE = {"spaces", "transformers"}  # on a ZeroGPU Space, and where a model in the box is made


def imported(source: Path) -> Iterator[str]:
    """The packages that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.split(".")[0]


def test_whatever_is_imported_is_named_in_the_requirements():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    named = {re.match(r"[\w-]+", line)[0].replace("_", "-") for line in lines if line[0] != "#"}
    needed = {name for path in (ROOT / "demo_core").rglob("*.py") for name in imported(path)}
    needed -= BROUGHT | ELSEWHERE | set(sys.stdlib_module_names) | {"demo_core"}
    known = packages_distributions()
    brings = {name: {dist.lower().replace("_", "-") for dist in known.get(name, ())} for name in needed}
    assert len(needed) > 20 and [name for name in needed if not brings[name] & named] == []


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
