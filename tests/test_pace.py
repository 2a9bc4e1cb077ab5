"""How long a run takes, and what a time is enough for."""

from dataclasses import replace

import pytest

from demo_core.benchmark import __main__ as cli
from demo_core.benchmark import pace
from demo_core.benchmark.datasets import DATASETS
from demo_core.benchmark.options import duration, share
from demo_core.benchmark.pace import Cost, affordable, forecast, shared_out
from demo_core.benchmark.published import published_of, reasons
from demo_core.benchmark.report import how
from demo_core.benchmark.run import Plan, Setup, Tally
from demo_core.benchmark.trials import BenchmarkError, Trial
from demo_core.clip import _bf16

COST = Cost(seconds=2.0, forward=30, backward=12)
FIXED = {"model": "vit-b-32", "seed": 0, "precision": "float32", "tile": 32}
PLAN = Plan([Trial("clean"), Trial("pgd", 1)], ["none", "ttc"], 8)


@pytest.mark.parametrize(
    "pictures, sizes, counts",
    [
        (90, {"a": 1000, "b": 1000, "c": 1000}, {"a": 30, "b": 30, "c": 30}),
        (90, {"a": 1000, "b": 10, "c": 1000}, {"a": 40, "b": 10, "c": 40}),
        (5000, {"a": 1000, "b": 10}, {"a": 1000, "b": 10}),
        (1, {"a": 1000, "b": 10}, {"a": 1, "b": 1}),
    ],
)
def test_a_time_is_shared_out_so_that_the_widest_interval_is_narrowest(pictures, sizes, counts):
    assert shared_out(pictures, sizes) == counts and list(shared_out(pictures, sizes)) == list(sizes)


def test_a_time_is_enough_for_as_many_pictures_as_cost_it():
    assert affordable(COST, 600) == 300
    assert affordable(COST, 600, processes=4) == 1200
    assert affordable(COST, 0.5) == 1


def test_what_a_picture_costs_is_counted_with_the_runs_own_code(clip):
    setup = Setup("photo", clip, tile=2)
    none = pace.cost_of(setup, Plan([Trial("clean")], ["none"], 2))
    assert (none.forward, none.backward) == (1, 0) and none.seconds > 0
    attacked = pace.cost_of(setup, Plan([Trial("clean"), Trial("pgd", 4, steps=3)], ["none", "tte"], 2))
    assert (attacked.forward, attacked.backward) == (2 * (1 + 10) + 3, 3)


def test_the_share_of_the_bare_passes_is_told(clip):
    setup = Setup("photo", clip, tile=4)
    forward, both = pace.bare_seconds(setup)
    said = pace.spent(Tally(2 * (6 * forward + 4 * both), forward=10, backward=4), setup)
    percent = int(said.split("%")[0].rsplit(" ", 1)[1])
    assert said.startswith("14 passes of a picture") and 20 <= percent <= 90


def test_the_bare_passes_are_timed_in_the_runs_own_precision(monkeypatch, clip):
    computed = []
    monkeypatch.setattr(type(clip), "encode", lambda clip, x: computed.append(_bf16.get()) or x)
    for precision in ("float32", "bf16"):
        pace.bare_seconds(Setup("photo", clip, precision=precision, tile=1))
    assert computed == [False] * 2 * pace.ROUNDS + [True] * 2 * pace.ROUNDS
    said = pace.spent(Tally(2.0, forward=10, backward=4), Setup("photo", clip, precision="bf16-attacks"))
    assert said.endswith("in 2 s, 7 a second.")


def test_a_memory_that_is_too_small_for_a_tile_costs_no_run_its_report(monkeypatch, clip):
    def full(setup):
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(pace, "bare_seconds", full)
    assert pace.spent(Tally(2.0, forward=10, backward=4), Setup("photo", clip)).endswith("7 a second.")
    with pytest.raises(BenchmarkError, match="32 pictures at a time do not fit .*a smaller --tile"):
        pace.cost_of(Setup("photo", clip), PLAN)


def test_a_plan_says_the_time_and_what_would_reproduce_the_papers():
    said = forecast(COST, PLAN, {"CIFAR10": 10_000, "ImageNet": 50_000}, "an H100", FIXED)
    assert "60,000 pictures, 33 h 20 min on an H100" in said
    assert "| CIFAR10    | 10,000     | 5.56    |" in said
    row = next(line for line in said.splitlines() if line.startswith("| CIFAR10") and "±" in line[20:])
    assert row
    assert "28.75 ±1.2" in said  # TTC on CIFAR10 at 1/255, in the paper's Table 1
    narrower = forecast(COST, PLAN, {"CIFAR10": 100, "ImageNet": 100}, "an H100", FIXED)
    assert "28.75 ±12." in narrower
    nothing = forecast(COST, replace(PLAN, defenses=["padding"]), {"Examples": 10}, "a CPU", FIXED)
    assert nothing.endswith("No paper printed a figure of what is planned on this model.")


def test_a_plan_says_in_what_its_figures_will_not_be_the_papers(monkeypatch, capsys, clip):
    """As the run’s own report would say it."""
    monkeypatch.setattr(cli, "load", lambda key, device: clip)
    monkeypatch.setattr(cli, "cost_of", lambda setup, plan: COST)
    words = "--plan --datasets CIFAR10 ImageNet --attacks clean pgd@1 --defenses none csr --model vit-b-32"
    cli.main(words.split())
    said = capsys.readouterr().out
    assert "Seed 0, everything in float32.\n" in said and "of 10,000 pictures" not in said
    assert f"- ImageNet: {DATASETS['ImageNet'].departs}" in said
    cli.main(
        [*words.split(), *"--limit 20000 --names clip --prompts clip --precision bf16 --resize clip".split()]
    )
    said = capsys.readouterr().out
    asked = {"precision": "bf16", "names": "clip", "prompts": "clip", "resize": "clip"}
    assert how(FIXED | asked) in said and "\n- image features in bfloat16 throughout" in said
    ((row, *_),) = (published_of("vit-b-32")["ImageNet", "none"],)
    told = reasons("ImageNet", "none", Trial("clean"), 20_000, row, FIXED | asked)
    assert len(told) >= 5 and all(reason in said for reason in told)
    assert "- ImageNet: 20,000 of 50,000 pictures" in said and "synonyms" not in said


@pytest.mark.parametrize("text, seconds", [("2h", 7200), ("45min", 2700), ("1h30min", 5400), ("90s", 90)])
def test_times_are_read_as_they_are_written(text, seconds):
    assert duration(text) == seconds


@pytest.mark.parametrize(
    "read, text",
    [(duration, t) for t in ("2", "-1h", "soon", "0s", "")]
    + [(share, t) for t in ("4/4", "1", "-1/4", "a/b", "0/0")],
)
def test_what_is_no_time_or_share_is_told_how_to_write_it(read, text):
    with pytest.raises(Exception, match="write"):
        read(text)
