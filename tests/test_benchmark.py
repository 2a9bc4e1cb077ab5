"""Records: complete, resumed without loss, independent of the batch; and tables recomputed from them."""
from dataclasses import replace

import pandas as pd
import pytest
import torch

from demo_core import benchmark
from demo_core.attacks import ATTACKS
from demo_core.benchmark import (
    Bench, BenchmarkError, Pile, Records, Trial, default_trials, fit, identity, markdown, run, table,
)
from demo_core.defenses import DEFENSES
from demo_core.labels import PRESETS

SETTINGS = {"model": "pocket"}
TRIALS = [Trial.read(text) for text in ("clean", "pgd@4x2", "targeted_pgd@4x2", "transfer@4x2", "pgd@2x3+predicted+adaptive")]
SOME = ["none", "rn", "default"]


@pytest.fixture(scope="module")
def bench(clip, twin, photographs):
    pictures = (torch.cat([photographs, photographs.flip(-1)]) * 255).round().to(torch.uint8)
    pile = Pile(pictures, torch.arange(8) * 7, torch.arange(8) % 5, PRESETS["Everyday"])
    return Bench(clip, pile, seed=1, surrogate=twin)


def finish(bench, folder, batch=3, defenses=SOME, trials=TRIALS) -> pd.DataFrame:
    records = Records(folder, SETTINGS)
    for _ in run(bench, records, trials, defenses, batch):
        pass
    return records.read().sort_values(["attack", "defense", "index"]).reset_index(drop=True)


def test_a_record_for_every_picture_attack_and_defence(bench, tmp_path):
    found = finish(bench, tmp_path)
    assert len(found) == 8 * len(TRIALS) * len(SOME) and not found.duplicated(["index", "attack", "defense"]).any()
    bare = found[found["defense"] == "none"]
    assert (bare["forward"] == 1).all() and (bare["backward"] == 0).all()
    for trial in TRIALS:
        assert set(found[found["attack"] == str(trial)]["index"]) == {i * 7 for i in range(8)}


def test_stopped_anywhere_it_goes_on_to_the_same_records(bench, tmp_path):
    whole = finish(bench, tmp_path / "whole")
    records = Records(tmp_path / "cut", SETTINGS)
    for count, _ in enumerate(run(bench, records, TRIALS, SOME, 3)):
        if count == 4:
            break
    with records.path.open("a") as file:
        file.write("7,1,pgd@4x2,no")  # a line that a kill cut short
    cut = finish(bench, tmp_path / "cut")
    exact = [c for c in whole if c != "milliseconds"]
    pd.testing.assert_frame_equal(whole[exact], cut[exact])


@pytest.mark.parametrize("trial", TRIALS, ids=str)
def test_a_picture_meets_the_same_attack_whatever_its_batch(bench, trial):
    rows = torch.arange(8)
    assert torch.equal(bench.attacked(trial, rows, "default")[5:7], bench.attacked(trial, rows[5:7], "default"))


def test_another_batch_size_gives_the_same_records(bench, tmp_path):
    exact = ["index", "label", "attack", "defense", "predicted"]  # what a defence costs depends on its batch
    one, other = (finish(bench, tmp_path / str(batch), batch)[exact] for batch in (8, 3))
    pd.testing.assert_frame_equal(one, other)


def test_a_transfer_attack_is_made_on_the_other_model(bench, twin):
    rows = torch.arange(8)
    on_the_other = Bench(twin, bench.pile, bench.seed).attacked(Trial("pgd", 4, 2), rows)
    assert torch.equal(bench.attacked(Trial("transfer", 4, 2), rows), on_the_other)
    assert not torch.equal(bench.attacked(Trial("pgd", 4, 2), rows), on_the_other)


def test_a_defence_that_joins_later_is_run_alone(bench, tmp_path):
    finish(bench, tmp_path, defenses=["none"])
    joined = finish(bench, tmp_path)
    assert len(joined) == 8 * len(TRIALS) * len(SOME) and not joined.duplicated(["index", "attack", "defense"]).any()
    exact = [c for c in joined if c != "milliseconds"]
    pd.testing.assert_frame_equal(joined[exact], finish(bench, tmp_path / "whole")[exact])


def test_named_twice_is_run_once(bench, tmp_path):
    assert len(finish(bench, tmp_path, trials=[TRIALS[0]] * 2, defenses=["none", "none"])) == 8


def test_pictures_are_fitted_to_the_model():
    pictures = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    assert fit(pictures, 96).shape == (2, 3, 96, 96) and fit(pictures, 64) is pictures


def test_other_weights_are_another_identity(clip, twin):
    assert identity(clip) == identity(clip) != identity(twin)


def test_other_settings_are_refused_and_other_defences_join(tmp_path):
    Records(tmp_path, SETTINGS, {"ttc": "eps 4"})
    Records(tmp_path, SETTINGS, {"mac": "eps 8"})
    for settings, defenses in (({"model": "other"}, {}), (SETTINGS, {"ttc": "eps 5"}), (SETTINGS, {"ttc": "eps 4", "mac": "eps 9"})):
        with pytest.raises(BenchmarkError, match="other settings"):
            Records(tmp_path, settings, defenses)
    Records(tmp_path, SETTINGS, {"mac": "eps 8", "ttc": "eps 4"})


def test_what_a_defence_is_set_to_is_written_down(clip):
    row = DEFENSES["default"]
    assert row.config(clip.profile) == row.config(replace(clip.profile, note="other")) != row.config(replace(clip.profile, threshold=0.123))


@pytest.mark.parametrize("text", ["pgd", "nonsense@4", "pgd@x", "pgd@4+sideways"])
def test_what_is_no_attack_is_told_how_to_write_one(text):
    with pytest.raises(BenchmarkError, match="pgd@4"):
        Trial.read(text)


@pytest.mark.parametrize("text", ["noise@4+adaptive", "transfer@4+adaptive"])
def test_what_cannot_know_a_defence_is_refused(text):
    with pytest.raises(BenchmarkError, match="cannot know"):
        Trial.read(text)


def test_attacks_are_read_as_they_are_written():
    for trial in default_trials():
        assert Trial.read(str(trial)) == trial


def test_the_table_is_the_records_means(bench, tmp_path):
    found = finish(bench, tmp_path)
    for (defense, attack), row in table(found).iterrows():
        mine = found[(found["defense"] == defense) & (found["attack"] == attack)]
        assert row["accuracy"] == pytest.approx(100 * (mine["predicted"] == mine["label"]).mean())
        assert row["low"] <= row["accuracy"] <= row["high"] and row["pictures"] == 8
    text = markdown(found)
    assert all(DEFENSES[key].title in text for key in SOME)
    assert "PGD-3, 2/255 from the predicted label; knows the defence" in text and "| None |" in text


def test_a_new_attack_and_a_new_defence_take_part(bench, tmp_path, monkeypatch):
    monkeypatch.setitem(ATTACKS, "dummy", replace(ATTACKS["pgd"], title="Dummy"))
    monkeypatch.setitem(DEFENSES, "dummy", replace(DEFENSES["none"], title="Dummy defence"))
    trials = [replace(t, steps=2) for t in default_trials() if t.attack == "dummy"]
    assert trials and "Dummy defence" in markdown(finish(bench, tmp_path, trials=trials, defenses=list(DEFENSES)[-1:]))


def test_an_attacker_in_bfloat16_is_about_as_strong(clip, bench):
    rows, trial = torch.arange(8), Trial("pgd", 4)
    with torch.no_grad():
        losses = [torch.nn.functional.cross_entropy(bench.bare(b.attacked(trial, rows, "none")), bench.pile.labels)
                  for b in (bench, Bench(clip, bench.pile, bench.seed, bf16=True))]
    assert losses[1] > 0.9 * losses[0]


def test_the_command_says_what_is_missing():
    with pytest.raises(SystemExit, match="--data"):
        benchmark.main([])
