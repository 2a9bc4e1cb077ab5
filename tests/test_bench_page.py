"""The hidden benchmark: who may see it, and what a live run says."""

import asyncio
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pandas as pd
import pytest

from demo_core.benchmark.piles import DatasetUnavailable
from demo_core.benchmark.trials import BenchmarkError
from demo_core.ui import bench, measuring
from tests.conftest import one_by_one


def visit(**query: str) -> SimpleNamespace:
    return SimpleNamespace(
        session_hash=None,
        query_params=query,
        headers={"referer": "https://lab.example/?view=benchmark&secret=word"},
    )


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
    assert "Photo CLIP" in bench.shipped() and "| TTC " in bench.shipped()


@pytest.fixture(autouse=True)
def runs(tmp_path, monkeypatch):
    """Where the runs are kept meanwhile."""
    monkeypatch.setenv(measuring.RUNS, str(tmp_path / "kept"))
    return tmp_path / "kept"


CHOICES = {
    "model": "photo",
    "datasets": ["Examples"],
    "attacks": ["clean", "pgd@4x2"],
    "defenses": ["none", "ttc"],
    "limit": 4,
    "seed": 0,
}


def run(clip, **other):
    return list(measuring.live(lambda key: clip, measuring.Choices(**CHOICES | other)))


def test_a_live_run_counts_its_records(clip):
    last = run(clip)[-1]
    assert last.done and last.words == "Done: 16 records." and len(last.records) == 16
    assert set(last.records["defense"]) == {"none", "ttc"}


def test_a_run_that_was_stopped_goes_on_where_it_was(clip):
    stopped = measuring.live(lambda key: clip, measuring.Choices(**CHOICES))
    there = next(progress for progress in stopped if 0 < len(progress.records) < 16)
    stopped.close()
    first, *_, last = run(clip)
    assert first.folder == there.folder and len(first.records) == len(there.records) and not first.done
    kept = first.records["milliseconds"]  # a record that was made again would have taken another time
    assert len(last.records) == 16 and set(kept) <= set(last.records["milliseconds"])
    assert not last.records.duplicated(["index", "attack", "defense"]).any()
    (again,) = run(clip)
    assert again.done and len(again.records) == 16
    assert run(clip, seed=1)[0].folder != there.folder


def test_the_same_choices_are_the_same_run_in_whatever_order(clip, runs):
    """Also where the run was kept under a name that its order made."""
    first = run(clip)[-1]
    first.folder.rename(runs / "as it was once called")
    turned = {"attacks": ["pgd@4.0x2", "clean", "clean"], "defenses": ["ttc", "none"], "limit": 4.0}
    (kept,) = (json.loads(path.read_text()) for path in runs.glob(f"*/{measuring.CHOICES}"))
    choices = json.dumps(kept | {"attacks": ["pgd@4x2", "clean"], "defenses": ["ttc", "none"]})
    (runs / "as it was once called" / measuring.CHOICES).write_text(choices)
    (again,) = run(clip, **turned)
    assert again.done and again.folder.name == "as it was once called" and len(measuring.kept()) == 1
    assert measuring.opened(again.folder.name)[0] == measuring.Choices(**CHOICES)
    assert not run(clip, **turned | {"limit": 3})[0].done


def test_the_same_run_is_made_by_one_visitor_at_a_time_whatever_thread_it_ends_on(clip):
    """The page computes on a thread of its own, and ends what is stopped on another."""
    mine = measuring.live(lambda key: clip, measuring.Choices(**CHOICES))
    with ThreadPoolExecutor(1) as place:
        place.submit(next, mine).result()
        with pytest.raises(BenchmarkError, match="Another run is writing .*: wait for it, or"):
            run(clip)
        mine.close()
        assert place.submit(run, clip).result()[-1].done


def test_kept_runs_are_opened_again_and_are_so_many(clip, monkeypatch):
    made = run(clip)[-1]
    ((title, name),) = measuring.kept()
    assert "Photo CLIP" in title and "2 attacks, 2 defences, 4 pictures" in title
    chosen, found = measuring.opened(name)
    assert chosen == measuring.Choices(**CHOICES) and len(found.records) == len(made.records)
    assert "| TTC " in found.table and found.charts.count("<svg") >= 2
    monkeypatch.setattr(measuring, "KEPT", 1)
    run(clip, seed=1)
    assert len(measuring.kept()) == 1
    with pytest.raises(BenchmarkError, match="not kept any more"):
        measuring.opened(name)
    with pytest.raises(BenchmarkError, match="not kept"):
        measuring.opened("../kept")


def test_a_run_that_goes_while_the_kept_are_listed_is_none(clip, monkeypatch, runs):
    run(clip, limit=1)
    read = measuring.chosen_in

    def gone(folder: Path) -> measuring.Choices:
        shutil.rmtree(folder)
        return read(folder)

    monkeypatch.setattr(measuring, "chosen_in", gone)
    assert measuring.kept() == [] and not any(runs.iterdir())


def test_a_place_where_no_run_can_be_kept_is_said(clip, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(measuring.RUNS, str(tmp_path / "file"))
    with pytest.raises(
        BenchmarkError, match=f"cannot be used .*: name a folder for the runs with {measuring.RUNS}"
    ):
        run(clip)


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
def test_what_cannot_run_is_said(clip, wrong, why):
    with pytest.raises(BenchmarkError, match=why):
        run(clip, **wrong)


def test_a_data_set_that_is_not_there_is_said_with_its_layout(clip, tmp_path, monkeypatch):
    monkeypatch.setenv(measuring.DATA, str(tmp_path))
    with pytest.raises(DatasetUnavailable, match="eurosat/2750"):
        run(clip, datasets=["EuroSAT"])


def test_folders_beside_the_data_sets_are_offered(tmp_path, monkeypatch):
    monkeypatch.setenv(measuring.DATA, str(tmp_path))
    for name in ("holiday", "dtd"):
        (tmp_path / name / "cat").mkdir(parents=True)
    assert measuring.data_sets()[0] == ("your folder “holiday”", str(tmp_path / "holiday"))
    assert not any("dtd" in title for title, _ in measuring.data_sets())


GIVEN = tuple(CHOICES.values())


@pytest.fixture(scope="module")
def handlers(clip):
    """What a click on Run and one on Stop call in the page, by name."""
    with gr.Blocks() as page:
        bench._build(lambda key: clip)
    found = {row.fn.__name__: row.fn for row in page.fns.values() if row.fn}
    started = found["started"]
    return found | {"started": lambda *given: one_by_one(started(*given))}


def test_a_run_is_refused_without_the_secret(handlers, monkeypatch):
    """Though the page was built for somebody: whoever calls the handler is asked again."""
    monkeypatch.setenv(bench.SECRET, "word")
    monkeypatch.setattr(bench, "live", lambda *args: pytest.fail("it ran"))
    for request in (visit(view="benchmark"), visit(view="benchmark", secret="other"), visit(secret="word")):
        with pytest.raises(gr.Error, match="not open to this visit"):
            next(handlers["started"](*GIVEN, request))


def offers(update) -> str | None:
    """The file that a download button is given, where it is given one."""
    return update.get("value") if isinstance(update, dict) else None


def test_files_are_offered_once_and_at_the_end(handlers, monkeypatch):
    """Each that is offered is copied into the page's cache."""
    monkeypatch.setenv(bench.SECRET, "word")
    monkeypatch.setattr(bench, "PAUSE", 0.0)
    tables, offered = 0, []
    for _, shown, _, _, *files in handlers["started"](*GIVEN, visit(view="benchmark", secret="word")):
        tables += isinstance(shown, str)
        if any(map(offers, files)):
            offered.append([Path(offers(file)).read_text() for file in files])
            found = pd.read_csv(offers(files[1]), keep_default_na=False)
    assert tables > 1 and len(offered) == 1
    assert "Not finished" not in offered[0][0] and "| TTC " in offered[0][0] and len(found) == 16
    assert 'href="https://lab.example/?picture=' in offered[0][2] and "secret" not in offered[0][2]


def test_after_a_stop_what_was_made_is_offered(handlers, monkeypatch):
    monkeypatch.setenv(bench.SECRET, "word")
    running = handlers["started"](*GIVEN, visit(view="benchmark", secret="word"))
    made = next(made for _, _, _, made, *_ in running if isinstance(made, bench.Made))
    running.close()
    assert "can be downloaded" in asyncio.run(handlers["stopped"](made, visit()))
    for table, records, _ in handlers["offered"](made, visit()):
        assert "Not finished" in Path(offers(table)).read_text()
        assert len(pd.read_csv(offers(records), keep_default_na=False)) == len(made.records) > 0
    (nothing,) = handlers["offered"](None, visit())
    assert "before anything was made" in asyncio.run(handlers["stopped"](None, visit()))
    assert not any(map(offers, nothing))


def test_an_earlier_run_is_opened_for_who_may_see_it(handlers, clip, monkeypatch):
    monkeypatch.setenv(bench.SECRET, "word")
    run(clip)
    ((_, name),) = measuring.kept()
    assert handlers["earlier"](visit(view="benchmark"))["choices"] == []
    with pytest.raises(gr.Error, match="not open to this visit"):
        next(handlers["again"](name, visit()))
    seen = visit(view="benchmark", secret="word")
    assert handlers["earlier"](seen)["choices"] == measuring.kept()
    for *given, words, table, charts, made, _, records, page in handlers["again"](name, seen):
        assert tuple(given) == GIVEN and "16 records" in words and "| TTC " in table and "<svg" in charts
        assert len(pd.read_csv(offers(records))) == len(made.records) == 16 and offers(page)


def test_a_run_that_fails_says_why_and_offers_what_it_has(handlers, monkeypatch):
    monkeypatch.setenv(bench.SECRET, "word")
    monkeypatch.setattr(bench.gr, "Warning", lambda *args, **options: None)
    live = bench.live

    def broken(*args):
        yield from islice(live(*args), 2)
        raise BenchmarkError("Choose another.")

    for lives, words, number in (
        (broken, "It ended early. Choose another.", 3),
        (None, "Nothing was run.", 0),
    ):
        monkeypatch.setattr(bench, "live", lives or live)
        choices = GIVEN if lives else (*GIVEN[:2], [], *GIVEN[3:])
        said = list(handlers["started"](*choices, visit(view="benchmark", secret="word")))
        assert any(words in str(row[0]) for row in said)
        assert sum(bool(offers(update)) for row in said for update in row[4:]) == number


def test_a_long_table_is_not_made_all_the_time(handlers, monkeypatch):
    """Of all records each time: it takes at most a tenth of a run."""
    monkeypatch.setenv(bench.SECRET, "word")
    monkeypatch.setattr(bench, "PAUSE", 0.0)
    clock = {"now": 0.0}
    monkeypatch.setattr(bench.time, "monotonic", lambda: clock["now"])
    monkeypatch.setattr(bench, "settings_of", lambda place: {})
    monkeypatch.setattr(bench, "files", lambda *args: iter(()))
    some = pd.DataFrame({"index": [0]})

    def slow(*args) -> bench.Made:
        clock["now"] += 1.0
        return bench.Made("", "", some, {})

    def steps(*args):
        for i in range(41):
            clock["now"] += i < 40
            yield measuring.Progress("", i == 40, Path(), some)

    monkeypatch.setattr(bench, "made_of", slow)
    monkeypatch.setattr(bench, "live", steps)
    said = handlers["started"](*GIVEN, visit(view="benchmark", secret="word"))
    assert sum(isinstance(made, bench.Made) for _, _, _, made, *_ in said) == 6
