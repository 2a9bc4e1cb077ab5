"""One picture's run: the stream says what the batch functions compute, and nothing else moves."""

import json
from dataclasses import astuple, replace

import pytest
import torch

from demo_core import story
from demo_core.ascent import Budget, last, random_start
from demo_core.attacks import ATTACKS, pgd, seen_by
from demo_core.counterattack import TTCConfig, purify
from demo_core.defenses import DEFENSES, ENGAGED, TAU, VIEW_DRIFT, Defense, Gate, OwnConfig, Profile
from demo_core.defenses.drift import LEVELS, NOISE_STRENGTHS, STUDY_VIEWS, Row, Study
from demo_core.examples import EXAMPLES
from demo_core.labels import DEFAULT_TEMPLATE, PRESETS
from demo_core.models import profile_of
from demo_core.moments import Defended, Measured, exhausted
from demo_core.pictures import open_picture, perturb, to_image, to_photo, to_pixels
from demo_core.plots import to_svg
from demo_core.story import words
from demo_core.story.axes import drift_of, signals_of
from demo_core.story.play import DRAWS
from demo_core.story.race import Races
from demo_core.story.reel import path_map, reel
from demo_core.story.run_figure import run_figure
from demo_core.story.views_figure import views_figure
from demo_core.ui import lab
from demo_core.ui.render import arena_html

PHOTO = profile_of("photo")
PROFILES = {
    "default": PHOTO,
    "paper": Profile(),
    "never": Profile(OwnConfig(Gate(VIEW_DRIFT, 1e9))),
    "always": Profile(OwnConfig(Gate(TAU, 1e9, below=True), Budget(eps=8 / 255, steps=3))),
}


def _study() -> Study:
    """Made-up rows for every pile and probe."""
    probes = [("noise", s) for s in NOISE_STRENGTHS] + [(p, 0) for p in (TAU, VIEW_DRIFT, *STUDY_VIEWS)]
    rows = [
        Row(pile, eps, "own", probe, strength, [0.01 * (1 + eps) * (1 + i) for i in range(len(LEVELS))], 0.5)
        for pile, eps in (("clean", 0.0), ("PGD-10, eps 4/255", 4.0))
        for probe, strength in probes
    ]
    return Study("made up", 100, 200, 0.3, rows)


STUDY = _study()


@pytest.fixture(scope="module")
def photo():
    return to_photo(open_picture(EXAMPLES[1].path))


def settings(**changes) -> story.Settings:
    return story.Settings(PRESETS["Animals"], DEFAULT_TEMPLATE, **changes)


def finish(clip, photo, chosen, profile, control=False, surrogate=None):
    run = story.begin(clip, photo, chosen, profile)
    runs = [run]
    if not control:
        runs += story.attack(clip, run, surrogate)
    return runs + list(story.defend(clip, runs[-1], control=control))


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
def test_stream_equals_batch(clip, photo, profile):
    chosen = settings(seed=5)
    run = finish(clip, photo, chosen, profile)[-1]
    pixels = to_pixels(photo, 64)
    label = torch.tensor([int(run.clean.argmax())])
    want = last(
        pgd(
            clip.classifier(chosen.labels, chosen.template),
            pixels,
            label,
            eps=chosen.eps,
            step_size=chosen.step_size,
            steps=chosen.steps,
            generator=torch.Generator().manual_seed(5),
        )
    ).delta
    assert torch.equal(run.attack_delta, want)
    dice = torch.Generator().manual_seed(6)
    text = clip.text_features(chosen.labels, chosen.template)
    whole = exhausted(DEFENSES["default"].on(profile)(clip, pixels + want, text, dice))
    noise = random_start(pixels + want, profile.own.noise_eps, torch.Generator().manual_seed(6))
    torch.testing.assert_close(
        run.pixels + run.attack_delta + run.defence_delta, whole.pixels, atol=1e-6, rtol=0
    )
    torch.testing.assert_close(run.defended, whole.probabilities[0], atol=1e-5, rtol=1e-4)
    assert run.engaged == bool(whole.signals[ENGAGED])
    own = profile.own
    if own.gate.signal == TAU:
        delta, tau = purify(
            clip.encode, pixels + want, noise, TTCConfig(*astuple(own.budget), own.beta, own.gate.threshold)
        )
        torch.testing.assert_close(run.defence_delta, delta, atol=1e-6, rtol=0)
        assert run.attacked_signals.tau == pytest.approx(tau.item(), abs=1e-6)


def test_one_snapshot_a_step_in_order(clip, photo):
    chosen = settings(steps=4)
    runs = finish(clip, photo, chosen, PROFILES["always"])
    assert [len(r.attack) for r in runs[1:6]] == [1, 2, 3, 4, 5]
    assert runs[5].attack_finished and not any(r.attack_finished for r in runs[:5])
    assert [len(r.defence) for r in runs[6:]] == [0, 1, 2, 3, 4, 4]
    assert runs[-1].defended is not None and all(r.defended is None for r in runs[:-1])
    assert runs[5].attack_drift[-1] > runs[1].attack_drift[0]


def test_same_seed_same_run(clip, photo):
    one, two, other = (finish(clip, photo, settings(seed=s), PHOTO)[-1] for s in (1, 1, 2))
    assert torch.equal(one.attack_delta, two.attack_delta) and torch.equal(one.defended, two.defended)
    assert not torch.equal(one.attack_delta, other.attack_delta)


def test_another_run_in_between_disturbs_nothing(clip, photo):
    alone = [r.attack_drift for r in story.attack(clip, story.begin(clip, photo, settings(), PHOTO))]
    one = story.attack(clip, story.begin(clip, photo, settings(), PHOTO))
    two = story.attack(clip, story.begin(clip, photo, settings(seed=9), PHOTO))
    woven = []
    for run, _ in zip(one, two):
        assert torch.is_grad_enabled()
        woven.append(run.attack_drift)
    assert woven == alone


@pytest.mark.parametrize("key", ATTACKS)
def test_every_attack_runs_to_a_verdict(clip, twin, photo, key):
    target = 3 if ATTACKS[key].targeted else None
    run = finish(clip, photo, settings(attack=key, steps=3, target=target), PHOTO, surrogate=twin)[-1]
    assert ATTACKS[key].visible or run.attack_delta.abs().max() <= 4 / 255 + 1e-6
    assert words.verdict(run).endswith(".") and len(run.attack) == run.attack_steps + 1


def test_a_transfer_attack_is_made_on_the_other_model(clip, twin, photo):
    """On a model of another size too: what it sees is the picture resized."""
    start = story.begin(clip, photo, settings(attack="transfer", steps=3), PHOTO)
    run = list(story.attack(clip, start, surrogate=twin))[-1]
    label = torch.tensor([int(start.clean.argmax())])
    alone = last(
        pgd(
            twin.classifier(PRESETS["Animals"], DEFAULT_TEMPLATE),
            start.pixels,
            label,
            eps=4 / 255,
            step_size=1 / 255,
            steps=3,
            generator=torch.Generator().manual_seed(0),
        )
    )
    assert torch.equal(run.attack_delta, alone.delta)
    larger = torch.rand(1, 3, 96, 96)
    assert seen_by(twin, PRESETS["Animals"], DEFAULT_TEMPLATE)(larger).shape == (1, len(PRESETS["Animals"]))


def test_eps_zero_is_said_to_change_nothing(clip, photo):
    run = list(story.attack(clip, story.begin(clip, photo, settings(eps=0.0), PHOTO)))[-1]
    assert run.attack_delta.abs().max() == 0 and "nothing changes" in words.verdict(run)


def test_clean_control_never_sees_the_attack(clip, photo):
    attacked = finish(clip, photo, settings(), PROFILES["never"])[5]
    control = list(story.defend(clip, replace(attacked, profile=PROFILES["always"]), control=True))[-1]
    direct = finish(clip, photo, settings(), PROFILES["always"], control=True)[-1]
    assert torch.equal(control.defended, direct.defended) and control.control


def test_verdicts_tell_what_happened(clip, photo):
    run = finish(clip, photo, settings(), PROFILES["always"])[-1]
    right = run.clean

    sure, unsure = torch.eye(len(right))[3] * 0.9 + 0.01, torch.full_like(right, 1 / len(right))

    def told(truth=None, attacked=None, clean=sure, fit=1.0, **changes):
        moments = (
            run.attack
            if attacked is None
            else (*run.attack[:-1], replace(run.attack[-1], probabilities=attacked))
        )
        start = replace(run.start, probabilities=clean)
        return replace(
            run, settings=replace(run.settings, truth=truth), attack=moments, start=start, fit=fit, **changes
        )

    def say(*given, **changes):
        return words.verdict(told(*given, **changes))

    right, wrong = sure, sure.roll(1)

    assert "hardly moves CLIP’s view" in say(defended=None) and "suspicious, so CLIP fights back" in say(
        defended=None
    )
    assert "Recovered" in say(3, attacked=wrong, defended=right)
    assert "Not recovered" in say(3, attacked=wrong, defended=wrong)
    assert "again, as before the attack" in say(attacked=wrong, defended=right) and "Recovered" not in say(
        attacked=wrong, defended=right
    )
    assert "before the attack it said" in say(attacked=wrong, defended=wrong)
    assert "had this picture wrong before any attack" in say(4, attacked=wrong, defended=right)
    assert "is right" in say(4, attacked=right, defended=wrong) and "its own mistake" in say(
        4, attacked=wrong, defended=right
    )
    assert "None of these labels seems to fit" in say(fit=0.1, defended=None) and "seems to fit" not in say(
        3, fit=0.1, defended=None
    )
    assert "was not sure" in say(clean=unsure, defended=None)
    tones = {
        (truth, name): words.tone(told(truth, attacked=wrong, defended=answer))
        for truth in (3, 4, None)
        for name, answer in (("right", right), ("wrong", wrong))
    }
    assert tones == {
        (3, "right"): "good",
        (3, "wrong"): "bad",
        (4, "right"): "other",
        (4, "wrong"): "good",
        (None, "right"): "same",
        (None, "wrong"): "other",
    }
    assert "no counterattack" in say(engaged=False, defended=None)
    assert words.stopped(run) == "" and "step 3 of 3 of the counterattack" in words.stopped(
        replace(run, defended=None)
    )
    assert "CLIP still says" in say(control=True, defended=right)
    assert "A cost of the defence" in say(3, control=True, defended=wrong)
    assert "did not change" in say(engaged=None, attacked=right, defended=None)


def test_saved_attack_uploaded_again_still_fools(clip, save):
    """Through an 8-bit PNG and back, with the app's own example photographs and defaults."""
    fooled = kept = 0
    for example in EXAMPLES:
        chosen = story.Settings(PRESETS[example.preset], DEFAULT_TEMPLATE)
        photo = to_photo(open_picture(example.path))
        run = list(story.attack(clip, story.begin(clip, photo, chosen, PHOTO)))[-1]
        if run.label(run.attacked) != run.label(run.clean):
            fooled += 1
            path = save(to_image(perturb(run.photo, run.attack_delta)))
            again = story.begin(clip, to_photo(open_picture(path)), chosen, PHOTO)
            kept += again.label(again.clean) == run.label(run.attacked)
            assert again.pixels.sub(run.pixels + run.attack_delta).abs().max() < 0.3 / 255
    assert fooled >= 8 and kept >= fooled - 1


@pytest.mark.slow
def test_figures_for_every_stage(clip, photo):
    for run in (
        *finish(clip, photo, settings(steps=2), PROFILES["always"]),
        *finish(clip, photo, settings(), PHOTO, control=True),
    ):
        assert run_figure(run, path_map(run), STUDY).axes
        svg = to_svg(views_figure(story.drifts(clip, run), PHOTO, STUDY), "words")
        assert svg.startswith("<svg") and 'aria-label="words"' in svg and "currentColor" in svg


def test_every_point_lies_on_its_axes(clip, photo):
    """The axes of the page and of files hold all that is drawn on them."""
    run = finish(clip, photo, settings(), PHOTO)[-1]
    drift = drift_of(run)
    assert drift.first == 11 and drift.x[1] > drift.first + drift.steps + 1
    assert all(run.drift(m) <= drift.y[1] for m in run.moments)
    for found in signals_of(run, STUDY):
        assert run.clean_signals[found.name] <= found.x[1] and run.attacked_signals[found.name] <= found.x[1]


def test_a_label_is_never_markup(clip, photo):
    chosen = replace(settings(), labels=("<script>alert(1)</script>", "<b>dog"))
    run = finish(clip, photo, chosen, PHOTO)[-1]
    assert "<script" not in arena_html(run, Races(list(story.arena(clip, run))[-1]))
    found = reel(run)  # labels reach the page as data; what it takes for markup must not hold them
    assert "<script" not in json.dumps([found["drift"], found["signal"]])


def test_arena_answers_as_the_defences_do(clip, photo):
    run = list(story.attack(clip, story.begin(clip, photo, settings(steps=3), PHOTO)))[-1]
    bouts = list(story.arena(clip, run))
    assert sorted({len(b) for b in bouts}) == list(range(len(DEFENSES) + 1))  # it can end within each
    assert [b.key for b in bouts[-1]] == list(DEFENSES)
    found = {b.key: b for b in bouts[-1]}
    bare, ours = found["none"], found["default"]
    torch.testing.assert_close(bare.attacked, run.attacked, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(bare.clean, run.clean, atol=1e-5, rtol=1e-4)
    step_by_step = list(story.defend(clip, run))[-1]
    torch.testing.assert_close(ours.attacked, step_by_step.defended, atol=1e-4, rtol=1e-3)
    assert (bare.forward, bare.backward) == (1, 0) and all(b.milliseconds > 0 for b in bouts[-1])


def test_a_bout_knows_what_its_row_did(clip, photo):
    """Its gate's reading, what it made of the picture, and, where it rolls dice, how often it is right."""
    run = list(story.attack(clip, story.begin(clip, photo, settings(steps=3), PHOTO)))[-1]
    *_, bouts = story.arena(clip, run)
    found = {b.key: b for b in bouts}
    assert {key for key, bout in found.items() if not bout.random} == {
        "none",
        "low_pass",
        "padding",
        "tte",
        "anti_adversary",
        "csr",
        "shift",
        "default",
    }
    for key, bout in found.items():
        assert (bout.rerolls is not None) == bout.random
        gated = DEFENSES[key].gate(PHOTO) is not None
        assert (bout.reading is not None) == (gated or key in ("tvss", "smoothing"))
    assert all(found[key].pixels is None for key in ("none", "tte", "dbd", "agc", "tvss", "smoothing"))
    assert (found["rn"].pixels - run.pixels - run.attack_delta).abs().max() > 1 / 255
    right, of = found["hedge"].rerolls
    assert of == DRAWS and 0 <= right <= of
    *_, watched = story.defend(clip, replace(run, settings=replace(run.settings, defense="csr")))
    assert watched.reading.value == pytest.approx(found["csr"].reading.value, abs=1e-5)


def test_how_often_a_row_is_right_is_counted(clip, photo, monkeypatch):
    """A row that answers by the parity of its dice is right in as many draws as they are even."""
    rolled = []

    def coin(clip, pixels, text, dice):
        rolled.append(int(torch.randint(2, (1,), generator=dice)))
        yield Measured("coin", torch.zeros(1), torch.ones(1))
        return Defended(pixels, torch.eye(len(text))[None, rolled[-1]] * 9)

    # Not item by item: what is taken out and put back would come last.
    monkeypatch.setattr("demo_core.story.play.DEFENSES", {"coin": Defense("Coin", coin, "By chance.")})
    run = story.begin(clip, photo, replace(settings(), truth=0), PHOTO)
    *_, ((bout,)) = story.arena(clip, run)
    attacked, _clean, *again = rolled
    assert len(again) == DRAWS - 1 and bout.rerolls == ([attacked, *again].count(0), DRAWS)


@pytest.mark.parametrize(
    "key, looks", [("low_pass", 1), ("tte", 10), ("dbd", 32), ("agc", 33), ("smoothing", 40), ("none", None)]
)
def test_looks_are_counted(clip, photo, key, looks):
    *_, run = story.defend(clip, story.begin(clip, photo, settings(defense=key), PHOTO), control=True)
    assert run.looks == looks
    assert words.still(run).endswith("once." if looks in (1, None) else f"{looks} times.")


@pytest.mark.slow
def test_an_attacker_who_knows_the_defence_meets_it_harder(clip):
    """Over the examples, the defended probability of the label is lower after the adaptive attack than after
    the static."""
    ends = {}
    for adaptive in (False, True):
        labels, eps = PRESETS["Everyday"], 8 / 255
        chosen = story.Settings(labels, DEFAULT_TEMPLATE, adaptive=adaptive, eps=eps, steps=6)
        total = 0.0
        for example in EXAMPLES[:3]:
            photo = to_photo(open_picture(example.path))
            run = list(story.attack(clip, story.begin(clip, photo, chosen, PHOTO)))[-1]
            total += list(story.defend(clip, run))[-1].defended[run.clean.argmax()].item()
        ends[adaptive] = total
    assert ends[True] < ends[False]


def test_a_new_row_is_everywhere(clip, photo, monkeypatch):
    """A dummy attack and a dummy defence appear in the Lab and the Arena without another line."""
    monkeypatch.setitem(ATTACKS, "dummy", replace(ATTACKS["pgd"], title="Dummy attack"))
    monkeypatch.setitem(DEFENSES, "dummy", replace(DEFENSES["none"], title="Dummy defence"))
    page = lab.build()
    choices = next(b for b in page.blocks.values() if getattr(b, "elem_id", None) == "attack-kind").choices
    assert ("Dummy attack", "dummy") in choices
    run = list(story.attack(clip, story.begin(clip, photo, settings(steps=2, attack="dummy"), PHOTO)))[-1]
    assert "Dummy defence" in arena_html(run, Races(list(story.arena(clip, run))[-1]))
