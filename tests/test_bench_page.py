"""The hidden benchmark: who may see it, and what a live run says."""

from types import SimpleNamespace

import pytest
from demo_core.datasets import DatasetUnavailable

from demo_core.benchmark import BenchmarkError
from demo_core.ui import bench


def visit(**query: str) -> SimpleNamespace:
    return SimpleNamespace(query_params=query)


def test_nobody_sees_it_without_asking(monkeypatch):
    for name in ("SPACE_ID", bench.SECRET):
        monkeypatch.delenv(name, raising=False)
    assert (
        not bench.allowed(visit())
        and not bench.allowed(visit(view="lab"))
        and bench.allowed(visit(view="benchmark"))
    )


@pytest.mark.parametrize(
    "secret, given, may",
    [
        (None, "", False),
        ("", "", False),
        ("word", "", False),
        ("word", "other", False),
        ("word", "word", True),
        ("wörd", "wörd", True),
    ],
)
def test_on_a_space_only_with_the_operators_secret(secret, given, may, monkeypatch):
    monkeypatch.setenv("SPACE_ID", "someone/clip")
    monkeypatch.delenv(bench.SECRET, raising=False)
    if secret is not None:
        monkeypatch.setenv(bench.SECRET, secret)
    assert bench.allowed(visit(view="benchmark", secret=given)) is may and not bench.allowed(
        visit(secret=given)
    )


def test_a_secret_that_is_set_holds_everywhere(monkeypatch):
    monkeypatch.delenv("SPACE_ID", raising=False)
    monkeypatch.setenv(bench.SECRET, "word")
    assert not bench.allowed(visit(view="benchmark")) and bench.allowed(
        visit(view="benchmark", secret="word")
    )


def test_the_shipped_tables_and_the_published_figures_are_there():
    assert "Photo CLIP" in bench.shipped() and "| TTC |" in bench.shipped()


def run(
    clip,
    folder,
    datasets=("Examples",),
    attacks=("clean", "pgd@4x2"),
    defenses=("none", "ttc"),
    limit=4,
    seed=0,
):
    return list(
        bench.live(
            lambda key: clip, "photo", list(datasets), list(attacks), list(defenses), limit, seed, folder
        )
    )


def test_a_live_run_counts_its_records(clip, tmp_path):
    words, found = run(clip, tmp_path)[-1]
    assert words == "Done: 16 records." and len(found) == 16 and set(found["defense"]) == {"none", "ttc"}


@pytest.mark.parametrize(
    "wrong, why",
    [
        (dict(datasets=[]), "at least one"),
        (dict(attacks=[]), "at least one"),
        (dict(limit=0), "pictures"),
        (dict(limit=None), "pictures"),
        (dict(seed=-1), "seed"),
        (dict(attacks=["pgd"]), "pgd@4"),
        (dict(datasets=["/etc"]), "from the list"),
    ],
)
def test_what_cannot_run_is_said(clip, tmp_path, wrong, why):
    with pytest.raises(BenchmarkError, match=why):
        run(clip, tmp_path, **wrong)


def test_a_data_set_that_is_not_there_is_said_with_its_layout(clip, tmp_path, monkeypatch):
    monkeypatch.setenv(bench.DATA, str(tmp_path))
    with pytest.raises(DatasetUnavailable, match="eurosat/2750"):
        run(clip, tmp_path / "out", datasets=["EuroSAT"])


def test_folders_beside_the_data_sets_are_offered(tmp_path, monkeypatch):
    monkeypatch.setenv(bench.DATA, str(tmp_path))
    for name in ("holiday", "dtd"):
        (tmp_path / name / "cat").mkdir(parents=True)
    assert bench.choices()[0] == ("your folder “holiday”", str(tmp_path / "holiday"))
    assert not any("dtd" in title for title, _ in bench.choices())
