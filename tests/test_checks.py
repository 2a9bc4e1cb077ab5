"""The signs of masked gradients, on records made by hand: 40 pictures, of which so many stand."""

import pandas as pd
import pytest

from demo_core.benchmark.answers import answers_of
from demo_core.benchmark.checks import CHECKS, checked, findings
from demo_core.benchmark.report import marks, shipped
from demo_core.benchmark.trials import SUITES, BenchmarkError, Trial, read_trials
from demo_core.defenses import DEFENSES

COUNT = 40


def records(defense="tte", **stands: int) -> pd.DataFrame:
    """Records of attacks with how many of the COUNT pictures stand under each, the first ones."""
    rows = [
        {
            "dataset": "CIFAR10", "index": i, "label": 1, "defense": defense, "attack": attack,
            "predicted": int(i < right),
        }
        for attack, right in stands.items()
        for i in range(COUNT)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def signs(**stands: int) -> dict[str, list[str]]:
    (finding,) = findings(answers_of(records(**stands)))
    return {check: [sign.why for sign in finding.of(check)] for check in finding.measured}


SOUND = {"clean": 30, "pgd@1": 20, "pgd@4": 6, "pgd@4x40": 4, "pgd@64": 0, "noise@4": 29, "square@4x200": 20}


def test_a_sound_row_has_no_sign():
    found = signs(**SOUND, **{"transfer@4+predicted": 20})
    assert set(found) == set(CHECKS) and not any(found.values())


NOISY = {"clean": 37, "pgd@1": 37, "pgd@4": 36, "pgd@4x40": 35, "square@4x200": 37}


@pytest.mark.parametrize(
    "check, changes, why",
    [
        (
            "black_box",
            {"square@4x200": 0, "pgd@4x40": 6},
            "Square-200, 4/255 leaves 0 % right, and all gradient",
        ),
        (
            "noise",
            NOISY,
            "72 % right, and all gradient attacks of that eps together, which should leave fewer, 88 %",
        ),
        ("transfer", {"transfer@4+predicted": 0, "pgd@4x40": 6}, "leaves 0 % right, and all gradient"),
        ("eps", {"pgd@4": 29}, "PGD-10, 4/255 leaves 72 %, PGD-10, 1/255 50 %"),
        ("steps", {"pgd@4x40": 14}, "PGD-40, 4/255 leaves 35 %, PGD-10, 4/255 15 %"),
        ("large", {"pgd@64": 9}, "22 % stand at 64/255, where nothing can"),
        ("leak", {"pgd@1": 39}, "PGD-10, 1/255 from the true label leaves 98 %, more than the 75 %"),
    ],
)
def test_each_sign_is_found_and_is_the_only_one(check, changes, why):
    found = signs(**(SOUND | changes))
    assert [c for c, whys in found.items() if whys] == [check] and why in found[check][0]


def test_chance_is_no_sign():
    """Four pictures of forty may differ the wrong way by chance, five may not (McNemar: 1/16, 1/32)."""
    assert not signs(**{"pgd@1": 10, "pgd@4": 14})["eps"] and signs(**{"pgd@1": 10, "pgd@4": 15})["eps"]


def test_a_leak_stands_beside_the_same_attack_from_the_predicted_label():
    (why,) = signs(**{"clean": 20, "pgd@4": 36, "pgd@4+predicted": 18})["leak"]
    assert why.endswith("leaves 90 %, more than the 50 % of clean pictures, from the predicted one 45 %")


def test_who_knows_the_defence_decides_at_the_largest_eps():
    assert not signs(**{"pgd@64": 30, "pgd@64+adaptive": 0})["large"]


def test_what_was_not_measured_is_not_passed():
    (finding,) = findings(answers_of(records(**{"clean": 30, "pgd@4+predicted": 10})))
    assert finding.measured == () and finding.signs == ()
    assert finding.mark.startswith(
        "Not checked for masked gradients: none of 7 checks could be made (40 pict"
    )
    both = pd.concat([records("none", **SOUND), records("tte", **{"clean": 30, "pgd@4": 39})])
    table = checked(answers_of(both))
    assert table.loc["None", CHECKS["noise"][0]] == "no" and table.loc["TTE", CHECKS["noise"][0]] == ""
    assert "98 %" in table.loc["TTE", CHECKS["leak"][0]]


def test_checks_that_could_not_be_made_are_not_counted_as_signs():
    (part,) = findings(answers_of(records(**SOUND)))
    (sound,) = findings(answers_of(records(**SOUND, **{"transfer@4+predicted": 20})))
    assert part.mark.startswith(
        "No sign of masked gradients: 6 of 7 checks could be made, and none found one ("
    )
    assert sound.mark.startswith("No sign of masked gradients: none of 7 checks found one (40 pictures of")


def test_an_attack_that_the_table_does_not_have_and_a_patch_say_nothing():
    assert signs(**{"magic@4": 0, "patch@10": 30, "targeted_pgd@64": 30}) == {}


def test_what_counts_smaller_sizes_is_no_sign_and_no_check():
    """By construction a larger one never leaves more: it would pass for a check that found nothing."""
    upto = {f"pgd@{eps}+predicted+adaptive+upto": 30 for eps in (1, 4, 64)}
    assert signs(clean=30, **upto) == {}
    assert signs(**SOUND, **upto) == signs(**SOUND)


def test_the_suites_are_attacks_and_hold_what_the_checks_need():
    for suite in SUITES.values():
        assert all(str(Trial.read(attack)) == attack for attack in suite)
    found = signs(**{attack: 10 for attack in SUITES["masking"]})
    assert set(found) == set(CHECKS)
    assert read_trials(["clean", "curve"])[0] == Trial.read("clean")
    assert len(read_trials(["curve", "curve"])) == len(SUITES["curve"])
    with pytest.raises(BenchmarkError, match="no attack"):
        read_trials(["curves"])


@pytest.mark.parametrize("key", ["photo", "photo-fare"])
def test_every_row_that_was_recorded_of_a_model_in_the_box_wears_its_mark(key):
    found = marks(key)
    assert set(found) == set(shipped(key)["defense"]) <= set(DEFENSES) and len(found) > 10
    assert "right more often than on clean pictures" in found["dbd"].mark and "ImageNet" in found["dbd"].mark
    assert marks("vit-b-32") == {}
