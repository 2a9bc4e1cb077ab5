"""The recipes run through, and each of their commands is one that its module takes; so are the documents'."""

import argparse
import importlib
import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from demo_core import benchmark, embedded
from demo_core.benchmark.datasets import DATASETS
from demo_core.benchmark.trials import SUITES, Trial, read_trials

# Those that make the models in the box, which their card names, and those of a benchmark.
MAKING, MEASURING = (
    sorted((Path(m.__file__).parent / "recipes").glob("*.sh")) for m in (embedded, benchmark)
)
RECIPES = MAKING + MEASURING
ROOT = Path(__file__).parents[1]
# In their place: writes down what module is called with what, a line a call.
LAUNCHERS = ("python", "torchrun", "accelerate")
STAND_IN = """#!{python}
import json, sys
open({calls!r}, "a").write(json.dumps(sys.argv[sys.argv.index("-m"):]) + "\\n")
"""
JOB = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "16"}


TO_MAKE_ONLY = {"transformers"}  # what the recipes need beyond the requirements, as they say


class Parsed(Exception):
    """A command line was read to its end."""


def calls_of(recipe: Path, folder: Path) -> list[list[str]]:
    """The arguments of each python that the recipe starts, in order, with ARCHIVES for the archives."""
    calls = folder / "calls"
    for stand_in in (folder / launcher for launcher in LAUNCHERS):
        stand_in.write_text(STAND_IN.format(python=sys.executable, calls=str(calls)))
        stand_in.chmod(0o755)
    env = os.environ | JOB | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(["bash", recipe, "ARCHIVES"], check=True, env=env, cwd=ROOT)
    return [json.loads(line) for line in calls.read_text().splitlines()]


def parsed(call: list[str], monkeypatch) -> argparse.Namespace | None:
    """What a module makes of its command line; None where it takes no arguments. A command line that it does
    not take ends in SystemExit."""
    assert call[0] == "-m"
    if len(call) == 2:
        module = importlib.import_module(call[1])
        assert "argparse" not in vars(module) and callable(module.main)
        return None
    found = []
    original = argparse.ArgumentParser.parse_args

    def once(self, args=None, namespace=None):
        found.append(original(self, args, namespace))
        raise Parsed

    with monkeypatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", once)
        patch.setattr(sys, "argv", call[1:])
        for name in (call[1], f"{call[1]}.__main__"):  # else runpy warns that it was there before
            patch.delitem(sys.modules, name, raising=False)
        try:
            with pytest.raises(Parsed):
                runpy.run_module(call[1], run_name="__main__", alter_sys=True)
        except ModuleNotFoundError as missing:
            if missing.name not in TO_MAKE_ONLY:
                raise
            pytest.skip(f"{missing.name} is not installed: it is needed to make models only")
    return found[0]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_every_command_is_one_that_its_module_takes(recipe, tmp_path, monkeypatch):
    calls = calls_of(recipe, tmp_path)
    assert calls
    for call in calls:
        options = parsed(call, monkeypatch)
        for attack in getattr(options, "attacks", None) or () if "judge" in call[1] else ():
            assert str(Trial.read(attack)) == attack


def test_the_documents_benchmarks_are_commands(tmp_path, monkeypatch):
    block, why = blocks_of("demo_core/benchmark/README.md")
    *_, short = blocks_of("README.md")
    (tmp_path / "block.sh").write_text(short + block + why)
    *calls, departures = calls_of(tmp_path / "block.sh", tmp_path)
    (certify,) = (call for call in calls if call[1].endswith(".certify"))
    calls.remove(certify)
    assert len(calls) == 4 + 7 and parsed(departures, monkeypatch).limit == 100
    assert parsed(certify, monkeypatch).draws == 1000
    for call in calls:
        attacks = parsed(call, monkeypatch).attacks
        read = [str(trial) for trial in read_trials(attacks)]
        assert read and all(attack in read or attack in SUITES for attack in attacks)


def blocks_of(document: str) -> list[str]:
    """Its commands."""
    return re.findall(r"```sh\n(.+?)```", (ROOT / document).read_text(), re.S)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_says_what_it_needs_and_makes_and_how_long_it_takes(recipe):
    head = recipe.read_text().split("set -euo pipefail")[0]
    assert all(f"\n# {word} " in head for word in ("Needs", "Writes", "Takes"))
    assert re.search(rf"\n#   (bash|sbatch --array=0-15) {recipe.relative_to(ROOT)} (ARCHIVES|DATA)\b", head)


def test_a_job_of_an_array_works_on_its_own_share_of_the_paper_s_table(tmp_path, monkeypatch):
    recipe = next(path for path in MEASURING if path.stem == "slurm-array")
    (call,) = calls_of(recipe, tmp_path)
    options = parsed(call, monkeypatch)
    assert options.share == (3, 16) and set(options.datasets) == {
        key for key in DATASETS if key not in ("TinyImageNet", "Examples")
    }


def test_a_recipe_without_its_archives_says_so(tmp_path):
    found = subprocess.run(["bash", RECIPES[0]], capture_output=True, text=True, cwd=tmp_path)
    assert found.returncode and "name the folder of the archives" in found.stderr


def test_a_command_that_a_module_does_not_take_is_noticed(monkeypatch):
    with pytest.raises(SystemExit):
        parsed(["-m", "demo_core.embedded.study", "--photograms", "a.zip"], monkeypatch)


def test_the_card_names_every_recipe_and_no_other():
    card = (ROOT / "assets/embedded/README.md").read_text()
    assert re.findall(r"`([\w-]+\.sh)`", card) == [recipe.name for recipe in MAKING]
