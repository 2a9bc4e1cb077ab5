"""The report for whoever has a network, made of small random weights from a hub on this machine."""

import sys

import pytest

from demo_core.models import CACHE_VARIABLE, MODELS
from demo_core.weights import HUB_FILES, WEIGHTS_VARIABLE
from tests import real_clips
from tests.hub import hub_here, random_model, shrink, write

KEY = "vit-b-32"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    shrink(monkeypatch)
    monkeypatch.delenv(WEIGHTS_VARIABLE, raising=False)
    monkeypatch.setenv(CACHE_VARIABLE, "set anew by the script")
    monkeypatch.setattr(real_clips, "EXAMPLES", real_clips.EXAMPLES[:3])
    with hub_here(monkeypatch, tmp_path / "cache") as found:
        yield found


def test_the_whole_report_is_made_and_what_is_not_as_expected_is_counted(hub, monkeypatch, tmp_path, capsys):
    write(random_model(MODELS[KEY]), file := tmp_path / HUB_FILES[0])
    hub.files[f"{MODELS[KEY].repository}/{file.name}"] = file.read_bytes()
    monkeypatch.setattr(sys, "argv", ["real_clips", "--eps", "4", "--out", str(tmp_path / "report.md")])
    with pytest.raises(SystemExit) as end:
        real_clips.main()
    rows = [line.split(" | ") for line in (tmp_path / "report.md").read_text().splitlines() if " | " in line]
    found = {row[0].removeprefix("| "): row for row in rows}
    assert "MB at" in found["the model comes"][1]
    assert found["the same seed twice"][1] == "the same run" and "3" in found["right, clean"][1]
    assert found["the page opens on"][-1].startswith("yes") and "s" in found["the whole story"][1]
    assert "above 0.2" in found["tau, median, clean and under PGD-10, 4/255"][2]
    wrong = sum("**no**" in row[-1] for row in rows)  # random weights know no photograph
    assert (
        wrong and end.value.code == 1 and f"{wrong} findings are not as expected." in capsys.readouterr().out
    )


def test_without_a_network_it_says_so_in_a_sentence(hub, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["real_clips"])
    with pytest.raises(SystemExit, match="could not be downloaded"):
        real_clips.main()
