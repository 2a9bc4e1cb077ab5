import math
from dataclasses import replace

import pytest
import torch

from demo_core.ascent import Budget, random_start
from demo_core.counterattack import TTCConfig, counterattack, purify, stability, step_weights
from demo_core.defenses import (
    ENGAGED,
    LOOKS,
    TAU,
    VIEW_DRIFT,
    VIEWS,
    DOCConfig,
    Gate,
    OwnConfig,
    Profile,
    default,
    judging,
    log_mean,
    look,
    pushed,
    shift,
    view_drift,
    view_features,
)
from demo_core.labels import DEFAULT_TEMPLATE, PRESETS
from demo_core.moments import exhausted


def die() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def noise(photographs):
    """What a defence under the paper's budget draws from `die`."""
    return random_start(photographs, TTCConfig().eps, die())


def test_weights_follow_softmax_of_beta_times_step():
    weights = step_weights(2, 2.0)
    torch.testing.assert_close(
        weights, torch.tensor([1.0, 2.718281828**2, 2.718281828**4]) / (1 + 2.718281828**2 + 2.718281828**4)
    )


def test_counterattack_moves_the_embedding_away(clip, photographs, noise):
    steps = list(counterattack(clip.encode, photographs, noise, TTCConfig(steps=3)))
    anchor = clip.encode(photographs)
    moved = [(clip.encode(photographs + s.delta) - anchor).norm(dim=-1) for s in steps]
    assert (moved[-1] > moved[0]).all()


def test_all_stable_means_no_gradient_at_all(clip, photographs, noise):
    calls = []

    def encode(pixels):
        out = clip.encode(pixels)
        if out.requires_grad:
            out.register_hook(lambda _: calls.append(1))
        return out

    delta, _ = purify(encode, photographs, noise, TTCConfig(tau_threshold=0.0))
    assert not calls and torch.equal(delta, noise)


def test_mixed_batch_equals_rows_alone(clip, photographs, noise):
    tau = stability(clip.encode, photographs, noise)
    config = TTCConfig(tau_threshold=tau.median().item() + 1e-6)
    delta, again = purify(clip.encode, photographs, noise, config)
    assert 0 < (again < config.tau_threshold).sum() < len(tau)
    for i in range(len(photographs)):
        alone, _ = purify(clip.encode, photographs[i : i + 1], noise[i : i + 1], config)
        assert ((delta[i : i + 1] - alone).abs() < 1e-5).float().mean() > 0.99


def test_zero_steps_leave_the_noise(clip, photographs, noise):
    delta, tau = purify(clip.encode, photographs, noise, TTCConfig(steps=0, tau_threshold=9.0))
    assert torch.equal(delta, noise) and (tau > 0).all()


def test_shift_repeats_the_border():
    x = torch.arange(9.0).view(1, 1, 3, 3)
    assert shift(x, 1, 0)[0, 0].tolist() == [[0, 1, 2], [0, 1, 2], [3, 4, 5]]
    assert shift(x, 0, -1)[0, 0].tolist() == [[1, 2, 2], [4, 5, 5], [7, 8, 8]]


def test_view_drift_is_the_mean_over_the_views(clip, photographs):
    features = view_features(clip.encode, photographs)
    assert features.shape[:2] == (1 + len(VIEWS), len(photographs))
    by_hand = torch.stack(
        [(clip.encode(view(photographs)) - clip.encode(photographs)).norm(dim=1) for view in VIEWS.values()]
    ).mean(0) / clip.encode(photographs).norm(dim=1)
    # means of ratios with one denominator are ratios of means
    torch.testing.assert_close(view_drift(features), by_hand, rtol=1e-4, atol=1e-5)


def test_gates_open_on_opposite_sides():
    quiet, loud = torch.tensor([0.1, 0.9])
    for gate, suspect, other in (
        (Gate(TAU, 0.5, below=True), quiet, loud),
        (Gate(VIEW_DRIFT, 0.5), loud, quiet),
        (Gate(TAU, 0.5, below=True, slope=100.0), quiet, loud),
    ):
        assert gate.engages(suspect) and not gate.engages(other)
        assert gate.weight(suspect) == pytest.approx(1) and gate.weight(other) == pytest.approx(0, abs=1e-9)
    soft = Gate(VIEW_DRIFT, 0.5, slope=2.0)
    assert soft.weight(torch.tensor(1.0)) == pytest.approx(1 / (1 + math.exp(-1)))


def test_view_gate_leaves_a_quiet_picture_untouched(clip, photographs, noise):
    text = clip.text_features(PRESETS["Everyday"], DEFAULT_TEMPLATE)
    config = OwnConfig(Gate(VIEW_DRIFT, 1e9), looks=(0, 1, 2, 3))
    result = exhausted(default(clip, photographs, text, die(), config))
    assert torch.equal(result.pixels, photographs) and not result.signals[ENGAGED].any()
    torch.testing.assert_close(result.probabilities, clip.logits(clip.encode(photographs), text).softmax(-1))
    torch.testing.assert_close(result.probabilities.sum(1), torch.ones(len(photographs)))


def test_paper_profile_is_purify(clip, photographs, noise):
    text = clip.text_features(PRESETS["Everyday"], DEFAULT_TEMPLATE)
    tau = stability(clip.encode, photographs, noise)
    paper = TTCConfig(tau_threshold=tau.median().item() + 1e-6)
    config = OwnConfig(paper.gate)
    delta, _ = purify(clip.encode, photographs, noise, paper)
    defended = exhausted(default(clip, photographs, text, die(), config))
    difference = defended.pixels - photographs - delta
    assert (difference.abs() < 1e-5).float().mean() > 0.99


def test_only_counterattacked_pictures_are_looked_at_closer(clip, photographs):
    text, config = clip.text_features(PRESETS["Everyday"], DEFAULT_TEMPLATE), OwnConfig(looks=(0, 1))
    engaged = torch.tensor([False, True, False, True])
    found = exhausted(judging(clip, photographs, text, config, engaged)).logits
    bare = clip.logits(clip.encode(photographs), text)
    closer = [look(photographs, torch.tensor(LOOKS[i]).expand(4, 5)) for i in range(2)]
    mean = sum(torch.nn.functional.normalize(clip.encode(x), dim=-1) for x in closer) / 2
    mean = clip.logits(mean, text).softmax(-1)
    torch.testing.assert_close(found.softmax(-1)[~engaged], bare.softmax(-1)[~engaged], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(found.softmax(-1)[engaged], mean[engaged], rtol=1e-3, atol=1e-4)
    assert not torch.allclose(found[engaged].softmax(-1), bare[engaged].softmax(-1), atol=1e-3)


def test_looks_zoom_turn_and_mirror_as_they_say():
    """Each of LOOKS sees at most a sixth less of the picture, turned by at most 5°; two of the first four are
    mirrored."""
    assert sum(side < 0 for *_, side in LOOKS[:4]) == 2
    h = w = 64
    ramp = torch.linspace(0, 1, w).expand(1, 3, h, w)  # grows to the right: the slope tells zoom and side
    for drawn in LOOKS:
        seen = look(ramp, torch.tensor([drawn]))[0, 0, 16:48, 16:48]
        across, down = (seen[:, 1:] - seen[:, :-1]).mean() * (w - 1), (seen[1:] - seen[:-1]).mean() * (w - 1)
        assert (across < 0) == (drawn[-1] < 0) and 5 / 6 - 0.01 <= across.abs() <= 1.01
        assert down.abs() <= math.sin(math.radians(5)) + 0.01
        assert down.abs().item() == pytest.approx(
            abs(across.item() * math.tan(math.radians(5 * drawn[1]))), abs=0.01
        )


def test_an_aimed_counterattack_pushes_the_mean_of_its_views(clip, photographs, noise):
    """By hand: the start's objective is the squared distance of the views' mean from the picture's own
    features, and a step raises it; with no views it is the paper's counterattack."""
    config = OwnConfig(budget=Budget(steps=2), aim=("one pixel right", "mirrored"))
    with torch.no_grad():
        own = clip.encode(photographs)
        views = [photographs + noise, *(VIEWS[name](photographs + noise) for name in config.aim)]
        want = (torch.stack([clip.encode(v) for v in views]).mean(0) - own).pow(2).sum(-1)
    first, second, _ = pushed(clip.encode, photographs, noise, config)
    torch.testing.assert_close(first.objective, want, rtol=1e-3, atol=1e-3)
    assert (second.objective > first.objective).all() and first.output.shape[:2] == (len(photographs), 3)
    plain = [s.delta for s in pushed(clip.encode, photographs, noise, replace(config, aim=()))]
    paper = [s.delta for s in counterattack(clip.encode, photographs, noise, Budget(steps=2))]
    assert all((a - b).abs().lt(1e-6).float().mean() > 0.99 for a, b in zip(plain, paper))


def test_profile_survives_the_disk(tmp_path):
    profile = Profile(
        OwnConfig(Gate(VIEW_DRIFT, 0.31), Budget(eps=8 / 255), aim=("mirrored",), looks=(1, 4)),
        auc={TAU: 0.4},
        note="why",
        doc=DOCConfig(lam=2.0),
    )
    profile.write(tmp_path / "profile.json")
    assert Profile.read(tmp_path / "profile.json") == profile


def test_the_mean_of_probabilities_is_exact_where_they_are_tiny():
    logits = torch.tensor([[[0.0, -200.0]], [[0.0, -100.0]]], requires_grad=True)
    value = log_mean(logits)
    assert value[0, 1].item() == pytest.approx(-100 - 0.6931, abs=1e-3)
    assert torch.autograd.grad(value[0, 1], logits)[0].abs().max() > 0
