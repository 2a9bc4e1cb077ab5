"""Records: complete, resumed without loss, independent of the batch and of the number of processes."""

import errno
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pandas as pd
import psutil
import pytest
import torch
from PIL import Image

from demo_core.adaptive import Attacker
from demo_core.attacks import ATTACKS
from demo_core.benchmark import __main__ as cli
from demo_core.benchmark import pace, records
from demo_core.benchmark.piles import held
from demo_core.benchmark.records import Records, alone_in, read_records, settings_of
from demo_core.benchmark.report import markdown
from demo_core.benchmark.run import (
    ATTACKER,
    DEFENCE,
    START,
    TARGET,
    Bench,
    Plan,
    Setup,
    identity,
    open_records,
    out_of_memory,
    run,
)
from demo_core.benchmark.trials import (
    CURVE_EPS,
    BenchmarkError,
    Trial,
    default_trials,
    read_trials,
    with_smaller,
)
from demo_core.defenses import DEFENSES, OwnConfig
from demo_core.labels import PRESETS
from demo_core.models import profile_of
from tests import fresh

ROOT = Path(__file__).parents[1]
PHOTO = profile_of("photo")
SETTINGS = {"model": "photo"}
TRIALS = [Trial.read(text) for text in ("clean", "pgd@4x1", "targeted_pgd@4x1", "transfer@4x1")]
ADAPTIVE = Trial.read("pgd@2x1+predicted+adaptive")
SOME = ["none", "rn", "default"]
EXACT = [
    "dataset",
    "index",
    "label",
    "attack",
    "defense",
    "predicted",
]  # what a defence costs depends on its batch


@pytest.fixture(scope="module")
def bench(clip, twin, photographs):
    pictures = (torch.cat([photographs, photographs.flip(-1)]) * 255).round().to(torch.uint8)
    pile = held(pictures, torch.arange(8) % 5, PRESETS["Everyday"], torch.arange(8) * 7)
    return Bench(clip, pile, seed=1, surrogate=twin, tile=4, profile=PHOTO)


def in_order(records: pd.DataFrame) -> pd.DataFrame:
    return records.sort_values(["attack", "defense", "index"]).reset_index(drop=True)


def finish(bench, folder, batch=3, defenses=SOME, trials=TRIALS) -> pd.DataFrame:
    records = Records(folder, SETTINGS)
    for _ in run(bench, "photographs", records, Plan(trials, defenses, batch), quiet=True):
        pass
    return in_order(records.read())


@pytest.fixture(scope="module")
def whole(bench, tmp_path_factory) -> pd.DataFrame:
    """The records of one run from beginning to end."""
    return finish(bench, tmp_path_factory.mktemp("whole"))


def test_a_record_for_every_picture_attack_and_defence(whole):
    assert (
        len(whole) == 8 * len(TRIALS) * len(SOME)
        and not whole.duplicated(["index", "attack", "defense"]).any()
    )
    bare = whole[whole["defense"] == "none"]
    assert (bare["forward"] == 1).all() and (bare["backward"] == 0).all()
    for trial in TRIALS:
        assert set(whole[whole["attack"] == str(trial)]["index"]) == {i * 7 for i in range(8)}


def test_stopped_anywhere_it_goes_on_to_the_same_records(bench, whole, tmp_path):
    records = Records(tmp_path, SETTINGS)
    for count, _ in enumerate(run(bench, "photographs", records, Plan(TRIALS, SOME, 3), quiet=True)):
        if count == 4:
            break
    assert 0 < len(records.read()) < len(whole)
    pd.testing.assert_frame_equal(whole[EXACT], finish(bench, tmp_path)[EXACT])


def test_what_is_there_is_not_made_again(bench, tmp_path, monkeypatch):
    finish(bench, tmp_path, trials=TRIALS[:2])
    monkeypatch.setattr(Bench, "attacked", lambda *args: pytest.fail("made again"))
    assert len(finish(bench, tmp_path, trials=TRIALS[:2])) == 8 * 2 * len(SOME)


@pytest.mark.parametrize("trial", [*TRIALS, ADAPTIVE], ids=str)
def test_a_picture_meets_the_same_attack_whatever_its_batch(bench, trial):
    whole, part = (
        bench.attacked(trial, bench.pile.load(rows), "default")
        for rows in (torch.arange(4), torch.arange(1, 3))
    )
    assert torch.equal(whole[1:3], part)


def test_who_goes_back_through_many_views_takes_few_pictures_at_a_time(bench, monkeypatch):
    """A gradient through forty views of each of 25 pictures takes 55 GB, and a system out of memory kills."""
    batch, sizes, attack = bench.pile.load(torch.arange(4)), [], Attacker.run
    whole = bench.attacked(ADAPTIVE, batch, "smoothing")

    def watched(him, craft, pixels, *others):
        sizes.append(len(pixels))
        return attack(him, craft, pixels, *others)

    monkeypatch.setattr(Attacker, "run", watched)
    views = bench.attacker(ADAPTIVE, "smoothing").held
    monkeypatch.setattr("demo_core.benchmark.run.HELD", 3 * views)
    assert torch.equal(bench.attacked(ADAPTIVE, batch, "smoothing"), whole) and sizes == [3, 1]
    monkeypatch.setattr("demo_core.benchmark.run.HELD", 1)
    assert views >= 32 and torch.equal(
        bench.attacked(ADAPTIVE, batch[torch.arange(1)], "smoothing"), whole[:1]
    )


def test_every_picture_use_and_seed_has_dice_of_its_own(bench, clip):
    """An attacker whose dice were the defence's would foresee them."""
    batch = bench.pile.load(torch.arange(8))
    other = Bench(clip, bench.pile, bench.seed + 1)
    drawn = [
        torch.rand((), dtype=torch.float64, generator=die).item()
        for b in (bench, other)
        for use in (START, TARGET, DEFENCE, ATTACKER)
        for die in b.dice(batch, use)
    ]
    assert len(set(drawn)) == 2 * 4 * 8


def test_a_pictures_dice_follow_from_its_index_alone(bench):
    one = bench.dice(bench.pile.load(torch.tensor([5])), DEFENCE)
    many = bench.dice(bench.pile.load(torch.arange(8)), DEFENCE)
    assert torch.equal(torch.rand(3, generator=one[0]), torch.rand(3, generator=many[5]))


def test_one_class_leaves_nothing_to_aim_at(clip, tmp_path):
    pile = held(torch.zeros(2, 3, 64, 64, dtype=torch.uint8), torch.zeros(2, dtype=torch.long), ["cat"])
    setup, aimed = Setup("photo", clip), Plan([Trial.read("targeted_pgd@4")], ["none"], 2)
    with pytest.raises(BenchmarkError, match="“pets” has one class.*leave targeted_pgd@4 out"):
        open_records(tmp_path, setup, {"pets": pile}, aimed)
    assert not list(tmp_path.iterdir())
    open_records(tmp_path, setup, {"pets": pile}, replace(aimed, trials=[Trial.read("pgd@4")]))


def test_float32_is_float32_wherever_a_benchmark_can_be_run():
    """Also on a GPU, in the command and in the page alike: both import the same place."""
    for name in ("demo_core.benchmark.__main__", "demo_core.ui.bench"):
        code = (
            f"import torch, {name}; b = torch.backends;"
            "assert not b.cudnn.allow_tf32 and not b.cuda.matmul.allow_tf32 and b.cudnn.deterministic"
        )
        fresh.printed(code)


@pytest.mark.parametrize("eps, size", [(0.5, 0.5), (1, 1), (4, 1), (8, 2), (16, 4)])
def test_the_step_size_is_the_papers_and_crosses_a_large_ball(eps, size):
    assert Trial("pgd", eps).step_size == size


def test_every_defence_meets_an_attacker_of_its_own(bench, tmp_path, monkeypatch):
    met, attacked = [], Bench.attacked
    monkeypatch.setattr(
        Bench,
        "attacked",
        lambda self, trial, batch, defense: met.append(defense) or attacked(self, trial, batch, defense),
    )
    found = finish(bench, tmp_path, 8, ["none", "rn"], [ADAPTIVE])
    assert len(found) == 8 * 2 and met == ["none", "rn"]


@pytest.mark.slow
def test_what_fell_at_a_smaller_size_has_fallen_and_is_not_attacked_again(bench, tmp_path, monkeypatch):
    rows = torch.arange(8)
    named = bench.answers(bench.pile.load(rows), bench.attacked(TRIALS[0], bench.pile.load(rows)), "none")
    labels = torch.tensor(named["predicted"].tolist())
    labels[6:] = (labels[6:] + 1) % len(bench.pile.names)  # two are wrong without an attack
    pictures = bench.pile.load(rows).pictures
    pile = held(pictures, labels, bench.pile.names, bench.pile.indices)
    judged = Bench(bench.clip, pile, seed=1, tile=4, profile=PHOTO)
    upto = with_smaller(read_trials(["pgd@1x2+predicted+adaptive+upto"]))
    assert [str(trial) for trial in upto[:2]] == ["clean", "pgd@0.25x2+predicted+adaptive+upto"]
    alone, met, attacked = Trial.read("pgd@0.5x2+predicted+adaptive"), {}, Bench.attacked
    before = finish(judged, tmp_path, 8, ["none"], [alone])

    def spied(self, trial, batch, defense="none"):
        met.setdefault((defense, trial.eps), set()).update(batch.indices.tolist())
        return attacked(self, trial, batch, defense)

    monkeypatch.setattr(Bench, "attacked", spied)
    # A share carries over nothing but its own.
    records = Records(tmp_path, SETTINGS)
    halves = [Plan(upto, ["none", "rn"], 8, (n, 2)) for n in range(2)]
    for size, half in zip((4, 8), halves):
        for _ in run(judged, "photographs", records, half, quiet=True):
            pass
        assert (
            records.read().groupby(["attack", "defense"], observed=True).size().drop(str(alone)) == size
        ).all()
    found = records.read().assign(right=lambda made: made["predicted"] == made["label"])
    for defense in ("none", "rn"):
        stand = {*pile.indices.tolist()}
        for trial in upto:
            of_it = found[(found["attack"] == str(trial)) & (found["defense"] == defense)].set_index("index")
            assert {*of_it.index[of_it["right"]]} <= stand
            made_alone = defense == "none" and trial.eps == alone.eps
            if trial != upto[0]:
                assert met.get((defense, trial.eps), set()) == (set() if made_alone else stand)
            if made_alone:  # of those that stood, what had been found at this size alone
                known = before.set_index("index")["predicted"].loc[sorted(stand)]
                assert of_it["predicted"].loc[sorted(stand)].tolist() == known.tolist()
            stand = {*of_it.index[of_it["right"]]}
        assert len(stand) < 6  # the last left some, and the attack took others


@pytest.mark.slow
def test_smaller_sizes_that_count_are_stopped_halved_and_gone_on_with(bench, tmp_path, monkeypatch, capsys):
    """Under an attack that knows no defence, made once for all: the same records, whatever happens between,
    and a bar that ends where it should."""
    upto, defenses = with_smaller(read_trials(["pgd@1x1+upto", "pgd@1x1"])), ["none", "rn"]
    assert [trial.upto for trial in upto] == [False, False, True, True, True]  # what is made alone first
    whole = finish(bench, tmp_path / "whole", 8, defenses, upto)
    stopped = Records(tmp_path / "cut", SETTINGS)
    for count, _ in enumerate(run(bench, "photographs", stopped, Plan(upto, defenses, 3), quiet=True)):
        if count == 7:
            break
    attacked = Bench.attacked

    def small(self, trial, batch, defense="none"):
        if len(batch) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate much")
        return attacked(self, trial, batch, defense)

    monkeypatch.setattr(Bench, "attacked", small)
    for _ in run(bench, "photographs", stopped, Plan(upto[-1:], defenses, 3)):  # brings what it builds on
        pass
    found = in_order(stopped.read())
    pd.testing.assert_frame_equal(found[EXACT], whole[EXACT])
    assert "100%" in (said := capsys.readouterr().err) and "?pic" not in said.split("\r")[-1]


def test_another_batch_size_gives_the_same_records(bench, whole, tmp_path):
    pd.testing.assert_frame_equal(whole[EXACT], finish(bench, tmp_path, 8)[EXACT])


def test_a_batch_that_does_not_fit_is_halved(bench, whole, tmp_path, monkeypatch):
    sizes, attacked = [], Bench.attacked

    def small(self, trial, batch, defense="none"):
        sizes.append(len(batch))
        if len(batch) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate much")
        return attacked(self, trial, batch, defense)

    monkeypatch.setattr(Bench, "attacked", small)
    pd.testing.assert_frame_equal(whole[EXACT], finish(bench, tmp_path / "cut", 8)[EXACT])
    assert sizes[:3] == [8, 4, 2] and max(sizes[3:]) == 2  # what did not fit once is not tried again

    def never(self, trial, batch, defense="none"):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate much")

    monkeypatch.setattr(Bench, "attacked", never)
    with pytest.raises(BenchmarkError, match="--tile"):
        finish(bench, tmp_path / "never")


def test_a_transfer_attack_is_made_on_the_other_model(bench, twin):
    batch = bench.pile.load(torch.arange(8))
    on_the_other = Bench(twin, bench.pile, bench.seed, tile=4).attacked(Trial("pgd", 4, 2), batch)
    assert torch.equal(bench.attacked(Trial("transfer", 4, 2), batch), on_the_other)
    assert not torch.equal(bench.attacked(Trial("pgd", 4, 2), batch), on_the_other)


def test_a_defence_that_joins_later_is_run_alone(bench, whole, tmp_path):
    finish(bench, tmp_path, defenses=["none"])
    joined = finish(bench, tmp_path)
    assert (
        len(joined) == 8 * len(TRIALS) * len(SOME)
        and not joined.duplicated(["index", "attack", "defense"]).any()
    )
    pd.testing.assert_frame_equal(joined[EXACT], whole[EXACT])


def test_named_twice_is_run_once(bench, tmp_path):
    assert len(finish(bench, tmp_path, trials=[TRIALS[0]] * 2, defenses=["none", "none"])) == 8


def test_other_weights_are_another_identity(clip, twin):
    assert identity(clip) == identity(clip) != identity(twin)


def test_what_a_defence_is_set_to_is_written_down(clip):
    row = DEFENSES["default"]
    assert (
        row.config(PHOTO)
        == row.config(replace(PHOTO, note="other"))
        != row.config(replace(PHOTO, own=OwnConfig(looks=(1,))))
    )


@pytest.mark.parametrize(
    "text",
    [
        "pgd",
        "nonsense@4",
        "pgd@x",
        "pgd@4+sideways",
        "pgd@4+eot",
        "pgd@4+adaptive+eot2+eot3",
        "pgd@-4",
        "pgd@nan",
        "pgd@4x0",
    ],
)
def test_what_is_no_attack_is_told_how_to_write_one(text):
    with pytest.raises(BenchmarkError, match="pgd@4"):
        Trial.read(text)


@pytest.mark.parametrize(
    "text, why",
    [
        ("noise@4+adaptive", "cannot know"),
        ("transfer@4+adaptive", "cannot know"),
        ("pgd@4+eot4", r"\+adaptive"),
        ("pgd@4+adaptive+eot0", "no draws"),
        ("patch@10+upto", "keeps to no eps"),
    ],
)
def test_what_cannot_be_is_refused(text, why):
    with pytest.raises(BenchmarkError, match=why):
        Trial.read(text)


def test_attacks_are_read_as_they_are_written():
    assert Trial.read("fgsm@4x5") == Trial.read("fgsm@4")
    for trial in (*default_trials(), Trial("pgd", 4, 20, adaptive=True, samples=4, upto=True)):
        assert Trial.read(str(trial)) == trial


def test_a_trial_that_is_content_with_less_stands_behind_all_smaller_sizes():
    named = read_trials(["pgd@3+predicted+upto", "pgd@1+predicted+upto"])
    (*smaller, last), clean = with_smaller(named), Trial("clean")
    assert last.title == "PGD-10, up to 3/255 from the predicted label" and smaller[0] == clean
    assert [trial.eps for trial in smaller[1:]] == [eps for eps in CURVE_EPS if eps < 3]
    assert last.below == smaller[-1] and smaller[1].below == clean and clean.below is None
    assert Trial("pgd", 3).all_sizes == (Trial("pgd", 3),)


def test_a_new_attack_and_a_new_defence_take_part(bench, tmp_path, monkeypatch):
    monkeypatch.setitem(ATTACKS, "dummy", replace(ATTACKS["pgd"], title="Dummy"))
    monkeypatch.setitem(DEFENSES, "dummy", replace(DEFENSES["none"], title="Dummy defence"))
    trials = [replace(t, steps=2) for t in default_trials() if t.attack == "dummy"]
    assert trials and "Dummy defence" in markdown(
        finish(bench, tmp_path, trials=trials, defenses=list(DEFENSES)[-1:])
    )


def test_a_defence_that_draws_is_rolled_again(bench):
    """The first roll is the record's; an exact row is asked once; a picture's rolls are its own."""
    batch = bench.pile.load(torch.arange(4))
    pixels = bench.attacked(Trial("pgd", 1, 2), batch)
    for key, most in (("hedge", 5), ("tte", 1)):
        right, rerolls = bench.kept(batch, pixels, key, 5)
        assert rerolls == most and right.min() >= 0 and right.max() <= most
        first, _ = bench.kept(batch, pixels, key, 1)
        record = bench.answers(batch, pixels, key)
        assert first.tolist() == (record["predicted"] == record["label"]).astype(int).tolist()
    alone, _ = bench.kept(batch[torch.tensor([False, True, False, False])], pixels[1:2], "hedge", 5)
    assert alone.item() == bench.kept(batch, pixels, "hedge", 5)[0][1].item()
    draws = [torch.rand(1, generator=bench.dice(batch, DEFENCE, n)[0]).item() for n in range(3)]
    assert len(set(draws)) == 3


def test_an_attacker_in_bfloat16_is_about_as_strong(clip, bench):
    batch, trial = bench.pile.load(torch.arange(4)), Trial("pgd", 4, 3)
    with torch.no_grad():
        losses = [
            torch.nn.functional.cross_entropy(bench.bare(b.attacked(trial, batch)), batch.labels)
            for b in (bench, Bench(clip, bench.pile, bench.seed, precision="bf16-attacks"))
        ]
    assert losses[1] > 0.9 * losses[0]


# The command line, as it is used.


@pytest.fixture(scope="module")
def pictures(tmp_path_factory, photographs) -> Path:
    """A folder of one's own: two classes, 10 pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    generator = torch.Generator().manual_seed(0)
    for i in range(10):
        (folder / ("cat", "race_car")[i % 2]).mkdir(exist_ok=True)
        noisy = (photographs[i % 4] + 0.1 * torch.rand(3, 64, 64, generator=generator)).clamp(0, 1)
        Image.fromarray((noisy * 255).byte().permute(1, 2, 0).numpy()).save(
            folder / ("cat", "race_car")[i % 2] / f"{i:02d}.png"
        )
    return folder


def command(pictures: Path, out: Path, *more: str, launcher: tuple[str, ...] = ()) -> list[str]:
    return [
        sys.executable,
        "-m",
        *launcher,
        "demo_core.benchmark",
        "--data",
        str(pictures.parent),
        "--datasets",
        str(pictures),
        "--out",
        str(out),
        "--attacks",
        "clean",
        "pgd@4x2",
        "--defenses",
        "none",
        "ttc",
        "default",
        "--tile",
        "2",
        *more,
    ]


def finished(arguments: list[str]) -> None:
    subprocess.run(arguments, check=True, cwd=ROOT, capture_output=True, timeout=500)


def ran(pictures: Path, out: Path, *more: str) -> None:
    """The same command in this process, which has imported all that it needs."""
    cli.main(command(pictures, out, *more)[3:])


@pytest.fixture(scope="module")
def uninterrupted(pictures, tmp_path_factory) -> pd.DataFrame:
    out = tmp_path_factory.mktemp("whole")
    ran(pictures, out, "--batch", "8")
    found = in_order(read_records(out))
    assert len(found) == 10 * 2 * 3
    return found


# As `accelerate launch` starts them where there are several GPUs; on a CPU it would ask for MPI.
TWO = ("torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m")


def test_two_processes_killed_in_the_middle_and_resumed_by_one_lose_and_double_nothing(
    pictures, uninterrupted, tmp_path
):
    process = subprocess.Popen(
        command(pictures, tmp_path, "--batch", "2", launcher=TWO),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    for _ in range(3000):
        if len(read_records(tmp_path)) >= 12:
            break
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for child in psutil.process_iter():  # a launcher gives its processes sessions of their own
        if str(tmp_path) in child.cmdline():
            child.kill()
            child.wait(10)
    assert 12 <= len(read_records(tmp_path)) < len(uninterrupted)
    cli.main(["--report", str(tmp_path)])
    ran(pictures, tmp_path, "--batch", "4")
    pd.testing.assert_frame_equal(in_order(read_records(tmp_path))[EXACT], uninterrupted[EXACT])


def test_two_processes_give_the_records_of_one(pictures, uninterrupted, tmp_path):
    finished(command(pictures, tmp_path, "--batch", "5", launcher=TWO))
    assert len(list(tmp_path.glob("records-*.sqlite"))) == 2
    pd.testing.assert_frame_equal(in_order(read_records(tmp_path))[EXACT], uninterrupted[EXACT])


def test_the_command_reports_what_it_has(pictures, tmp_path, capsys):
    cli.main(command(pictures, tmp_path, "--batch", "24", "--limit", "4")[3:])
    assert "| TTC " in capsys.readouterr().out and (tmp_path / "report.html").exists()
    for name in ("records.csv.gz", "one.sqlite"):
        cli.main(["--report", str(tmp_path), "--store", str(tmp_path / name)])
        assert "PGD-2, 4/255" in capsys.readouterr().out
    found = read_records(tmp_path)
    stored = pd.read_csv(tmp_path / "records.csv.gz", keep_default_na=False)
    for copy in (stored, read_records(tmp_path / "one.sqlite")):
        pd.testing.assert_frame_equal(copy, found, check_dtype=False, check_categorical=False)
    settings = settings_of(tmp_path)
    assert settings_of(tmp_path / "one.sqlite") == settings
    assert settings["datasets"][str(pictures)]["size"] == 10
    assert settings["classes"][str(pictures)] == ["cat", "race car"]
    whole = {str(i): path.name for i, path in enumerate(sorted(pictures.rglob("*.png")))}
    assert len(names := settings[f"files of {pictures}"]) == 4 and names.items() < whole.items()
    assert (tmp_path / "table.md").read_text().startswith(f"**{pictures.name}: Photo CLIP")
    for name in (
        "table.md",
        "table.csv",
        "table.tex",
        "published.md",
        "accuracy.svg",
        "accuracy.png",
        "report.html",
    ):
        assert (tmp_path / name).stat().st_size


def test_three_shares_merged_are_one_run(pictures, uninterrupted, tmp_path, capsys, monkeypatch):
    places = [tmp_path / "a", tmp_path / "b", tmp_path / "b"]  # an array's jobs may write side by side
    for number, place in enumerate(places):
        cli.main(command(pictures, place, "--batch", "3", "--share", f"{number}/3")[3:])
    assert len(read_records(places[0])) == 4 * 2 * 3
    capsys.readouterr()
    read, records_of = [], records._records_of
    monkeypatch.setattr(records, "_records_of", lambda file: read.append(file) or records_of(file))
    cli.main(["--merge", *map(str, places[:2]), "--out", str(tmp_path / "all")])
    assert "| TTC " in capsys.readouterr().out and len(read) == 3  # each of the files once
    found = in_order(read_records(tmp_path / "all"))
    pd.testing.assert_frame_equal(found[EXACT], uninterrupted[EXACT])
    cli.main(["--merge", str(places[0]), "--out", str(tmp_path / "all")])  # once more changes nothing
    pd.testing.assert_frame_equal(in_order(read_records(tmp_path / "all"))[EXACT], uninterrupted[EXACT])
    other = command(pictures, tmp_path / "other", "--limit", "2", "--seed", "5")[3:]
    cli.main(other)
    with pytest.raises(SystemExit, match="another run"):
        cli.main(["--merge", str(tmp_path / "all"), str(tmp_path / "other"), "--out", str(tmp_path / "no")])
    with pytest.raises(SystemExit, match="no records in"):
        cli.main(["--merge", str(tmp_path / "nothing"), "--out", str(tmp_path / "no")])


def test_a_time_decides_how_many_pictures_there_are(pictures, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cli, "cost_of", lambda setup, plan: pace.Cost(15.0, 1, 0))
    cli.main(command(pictures, tmp_path, "--budget", "1min")[3:])
    assert f"In 60 s: 4 of {pictures.name}." in (said := capsys.readouterr().err)
    assert "passes of a picture through the image tower in" in said
    few = read_records(tmp_path)
    assert len(few) == 4 * 2 * 3
    cli.main(command(pictures, tmp_path, "--budget", "2min")[3:])  # more time takes more beside them
    more = read_records(tmp_path)
    assert len(more) == 8 * 2 * 3 and set(few["index"]) < set(more["index"])


def test_a_plan_begins_nothing(pictures, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cli, "cost_of", lambda setup, plan: pace.Cost(3600.0, 1, 0))
    cli.main(command(pictures, tmp_path / "out", "--plan")[3:])
    assert "**10 pictures, 10 h 00 min on CPU**" in capsys.readouterr().out
    cli.main(["--plan", "--datasets", "DTD", "--limit", "2", "--out", str(tmp_path / "out")])
    assert "**2 pictures, 2 h 00 min on CPU**" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_a_folder_of_ones_own_is_found_by_its_path_or_beside_the_data_sets(pictures):
    for key, data in (
        (str(pictures), None),
        (str(pictures), Path("nowhere")),
        (pictures.name, pictures.parent),
    ):
        assert cli._found(key, data) == str(pictures.resolve())
    assert cli._found("DTD", None) == "DTD"


def test_two_runs_do_not_write_into_one_folder(pictures, tmp_path):
    for process in (0, 1):  # the second of a run whose first was killed may still be there
        with alone_in(tmp_path, process), pytest.raises(SystemExit, match="Another run is writing"):
            cli.main(command(pictures, tmp_path)[3:])


@pytest.mark.parametrize(
    "said, is_so",
    [
        ("CUDA out of memory. Tried to allocate 2 GiB", True),
        ("CUDA error: out of memory\nCUDA kernel errors", True),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling", True),
        ("shapes cannot be multiplied", False),
    ],
)
def test_what_is_short_of_memory(said, is_so):
    assert out_of_memory(RuntimeError(said)) is is_so


def test_a_seed_is_not_negative(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--data", ".", "--seed", "-1"])
    assert "write a whole number from 0" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--limit", "--batch", "--tile"])
@pytest.mark.parametrize("value", ["0", "-1", "many"])
def test_numbers_of_pictures_start_at_one(flag, value, capsys):
    with pytest.raises(SystemExit):
        cli.main(["--data", ".", flag, value])
    assert "write a whole number from 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, why",
    [
        ([], "--data"),
        (["--data", ".", "--datasets", "CIFAR11"], "CIFAR11"),
        (["--data", ".", "--attacks", "pgd"], "pgd@4"),
        (["--data", "nowhere", "--datasets", "DTD"], "dtd/dtd/images"),
        (["--report", "nowhere"], "no records"),
    ],
)
def test_the_command_says_what_is_missing(arguments, why):
    with pytest.raises(SystemExit, match=why):
        cli.main(arguments)


def test_results_that_cannot_be_used_get_a_sentence(pictures, tmp_path, monkeypatch):
    (tmp_path / "a file").write_text("")
    with pytest.raises(SystemExit, match="a file.* cannot be used .*choose another place"):
        cli.main(command(pictures, tmp_path / "a file")[3:])

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cli, "open_records", full)
    with pytest.raises(SystemExit, match="out cannot be used .*No space left"):
        cli.main(command(pictures, tmp_path / "out")[3:])


def test_settings_that_were_cut_short_get_a_sentence(tmp_path):
    Records(tmp_path, {"seed": 0})
    with closing(sqlite3.connect(tmp_path / "records-0.sqlite")) as file, file:
        file.execute("UPDATE settings SET value = '{' WHERE name = 'seed'")
    with pytest.raises(SystemExit, match="is damaged .its setting “seed”.: choose another --out"):
        cli.main(["--report", str(tmp_path)])
