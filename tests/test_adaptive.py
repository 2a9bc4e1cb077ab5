"""The attacker who knows the defence: what he tries, what he keeps, what it costs, and the gate that he keeps
shut."""

from dataclasses import replace

import pytest
import torch

from demo_core.adaptive import DRAWS, Attacker, stronger, through
from demo_core.ascent import Budget, ascend, last
from demo_core.attacks import ATTACKS
from demo_core.clip import count_passes
from demo_core.counterattack import Gate
from demo_core.defenses import DEFENSES
from demo_core.evasion import MARGIN, Unsuspected, beyond
from demo_core.labels import DEFAULT_TEMPLATE, PRESETS
from demo_core.models import profile_of
from tests.conftest import dice

LABELS, PHOTO = PRESETS["Everyday"], profile_of("photo")
EPS, STEP = 4 / 255, 1 / 255
GATED = [key for key, row in DEFENSES.items() if row.signal and row.gate(PHOTO)]


@pytest.fixture(scope="module")
def text(clip):
    return clip.text_features(LABELS, DEFAULT_TEMPLATE)


@pytest.fixture(scope="module")
def labels(clip, photographs):
    with torch.no_grad():
        return clip.classifier(LABELS, DEFAULT_TEMPLATE)(photographs).argmax(1)


def attacker(clip, text, key, attack="pgd", steps=2, **changes) -> Attacker:
    return Attacker(clip, text, DEFENSES[key], PHOTO, ATTACKS[attack], steps, **changes)


def crafting(pixels, labels, steps=2, eps=EPS):
    def craft(attack, classify):
        return attack.run(
            classify, pixels, labels, eps=eps, step_size=STEP, steps=steps, generator=dice(len(pixels))
        )

    return craft


# ---------------------------------------------------------------- which is the strongest


def test_a_wrong_answer_beats_a_high_loss():
    """Two perturbations of two pictures on two draws: of the first, one fools one draw of two by a little and
    the other none, though it costs the label more on the mean; of the second neither fools."""
    fools, costs = [[1.0, 1.1], [9.0, 0.0]], [[1.0, 0.99], [1.0, 0.99]]
    logits = torch.tensor(
        [[[fools[0], [1.0, 0.5]], [fools[1], [1.0, 0.5]]], [[costs[0], [1.0, 0.9]], [costs[1], [1.0, 0.9]]]]
    )
    deltas, names = [torch.zeros(2, 3, 1, 1), torch.ones(2, 3, 1, 1)], torch.tensor([0, 0])
    assert logits.shape == (2, 2, 2, 2)
    assert stronger(logits, names, deltas)[:, 0, 0, 0].tolist() == [0, 1]
    # Aimed at the second label, the first still reaches it once; of the second the higher chance wins.
    assert stronger(logits, 1 - names, deltas, targeted=True)[:, 0, 0, 0].tolist() == [0, 1]


@pytest.mark.parametrize("key", ["none", "padding", "default"])
def test_he_is_never_weaker_than_the_plain_attacker_on_his_own_draws(key, clip, text, photographs, labels):
    row, craft = DEFENSES[key], crafting(photographs, labels)
    plain = last(craft(ATTACKS["pgd"], clip.classifier(LABELS, DEFAULT_TEMPLATE))).delta
    him = attacker(clip, text, key)
    steps = him.run(craft, photographs, labels, dice(4, 9))
    kept = last(step for step in steps if step).delta

    def right(delta):
        """The share of draws on which the label is answered."""
        with torch.no_grad():
            classify = through(row.on(PHOTO), clip, text, dice(4, 7))
            return torch.stack([classify(photographs + delta).argmax(1) == labels for _ in range(8)])

    found, theirs = right(kept).double().mean(), right(plain).double().mean()
    assert found <= theirs if row.exact else found <= theirs + 0.15  # fresh draws of his are other draws
    assert kept.abs().max() <= EPS + 1e-6


def test_he_shows_his_main_way_and_says_nothing_of_the_others(clip, text, photographs, labels):
    him = attacker(clip, text, "default")
    seen = []

    def watch(classify):
        def also(pixels):
            seen.append(len(pixels))
            return classify(pixels)

        return also

    steps = list(him.run(crafting(photographs, labels), photographs, labels, dice(4), watch))
    assert [s.index for s in steps if s] == [0, 1, 2] and steps[-1].output is None and seen == [4, 4]
    tried = len(him.ways) - 1
    assert sum(s is None for s in steps) == tried * 3 + len(him.ways) * DRAWS
    assert torch.is_grad_enabled()


# ---------------------------------------------------------------- his ways, and what they cost


def test_his_ways_follow_from_the_row():
    def ways(key, **changes):
        return attacker(None, None, key, **changes).all_ways

    assert ways("none") == ("plain", "through")
    assert ways("padding") == ("plain", "through", "gate")
    assert ways("default") == ("plain", "through", "gate", "surrogate 1", "surrogate 2")
    assert ways("rn", samples=4) == ("plain", "eot", "through")
    assert ways("tte", samples=4) == ("plain", "through")  # it draws nothing to average over
    assert ways("default", attack="square") == ("plain", "through")


@pytest.mark.parametrize("attack", ["pgd", "fgsm", "square"])
@pytest.mark.parametrize("key", ["rn", "padding", "ttc", "mac", "csr", "default"])
def test_his_cost_is_known_before_and_is_not_exceeded(key, attack, clip, text, photographs, labels):
    him = attacker(clip, text, key, attack, samples=2)
    cost = him.cost
    with count_passes() as passes:
        craft = crafting(photographs[:1], labels[:1])
        last(him.run(craft, photographs[:1], labels[:1], dice(1)))
    assert 0.5 * cost < passes.total <= cost


def test_a_cap_leaves_out_and_says_what(clip, text, photographs, labels):
    free = attacker(clip, text, "default")
    assert free.left_out == () and free.cost == sum(map(free.cost_of, free.all_ways))
    capped = replace(free, cap=free.cost - 1)
    assert capped.left_out == ("surrogate 2",) and capped.cost <= free.cost - 1
    poor = replace(free, cap=0)  # what he cannot do without stays
    assert poor.ways == ("plain", "through") and set(poor.left_out) == {"gate", "surrogate 1", "surrogate 2"}
    with count_passes() as passes:
        last(poor.run(crafting(photographs, labels), photographs, labels, dice(4)))
    assert passes.total <= 4 * poor.cost < 4 * free.cost


# ---------------------------------------------------------------- the gate


def test_beyond_is_over_nought_on_the_suspects_side_and_in_the_margin():
    values = torch.tensor([0.7, 0.79, 0.8 * (1 + MARGIN) - 1e-3, 0.8 * (1 + MARGIN) + 1e-3])
    below = Gate("signal", 0.8, below=True)
    assert (beyond(below, values) > 0).tolist() == [True, True, True, False]
    assert (beyond(replace(below, below=False), values) > 0).tolist() == [False, True, True, True]
    soft = replace(below, slope=30.0)  # less than a twentieth of the counterattack is left where it is safe
    safe = values.new_tensor([0.91])
    assert beyond(soft, safe) <= 0 and soft.weight(safe) < 0.05


@pytest.mark.parametrize("key", GATED)
def test_the_signal_s_gradient_leads_to_the_clean_side(key, clip, text, photographs, labels):
    """Followed alone, the suspicion falls, on the mean of four pictures."""
    unsuspected = attacker(clip, text, key)._unsuspected(dice(4))
    alone = replace(ATTACKS["pgd"], objective=lambda logits, labels: -unsuspected._suspicion)
    delta = last(crafting(photographs, labels, 6)(alone, unsuspected.classify)).delta
    with torch.no_grad():
        before, after = (
            attacker(clip, text, key)._unsuspected(dice(4, 5)).suspicion(photographs + d).mean()
            for d in (0 * delta, delta)
        )
    assert after < before


def test_he_fools_the_bare_model_and_passes_the_gate(clip, text, photographs, labels):
    """Against our own gate: PGD is caught on all pictures, he on fewer, and fools as they did."""
    him = attacker(clip, text, "default", steps=20)
    gate = DEFENSES["default"].gate(PHOTO)
    unsuspected = him._unsuspected(dice(4))
    craft = crafting(photographs, labels, 20)
    aware = last(unsuspected.best(craft(unsuspected.attack, unsuspected.classify), photographs, labels)).delta
    plain = last(craft(ATTACKS["pgd"], clip.classifier(LABELS, DEFAULT_TEMPLATE))).delta
    row, bare = DEFENSES["default"], clip.classifier(LABELS, DEFAULT_TEMPLATE)
    with torch.no_grad():
        caught = [
            gate.engages(row.signal(clip, photographs + d, dice(4), config=row.config(PHOTO)))
            for d in (plain, aware)
        ]
        free = [(bare(photographs + d).argmax(1) != labels) & ~c for d, c in zip((plain, aware), caught)]
    assert caught[1].sum() < caught[0].sum() and free[1].sum() > free[0].sum()


def test_the_best_point_of_the_way_is_kept(labels, photographs):
    """An objective by hand: the second point is unsuspected and high, the last suspected."""
    points = [0.0, 0.2, 0.1]
    unsuspected = Unsuspected(
        ATTACKS["pgd"],
        lambda pixels: torch.stack([-pixels.mean((1, 2, 3)), pixels.mean((1, 2, 3))], 1),
        lambda pixels: torch.where(pixels.mean((1, 2, 3)) > 0.15, -1.0, 1.0),
    )
    at = iter(points[1:])
    pixels, names = torch.zeros(1, 3, 2, 2), torch.zeros(1, dtype=torch.long)

    def advance(classify):
        return ascend(
            classify,
            lambda z: unsuspected.objective(z, names),
            pixels,
            pixels,
            Budget(1, 0, 2),
            advance=lambda step, gradient: torch.full_like(pixels, next(at)),
        )

    steps = list(unsuspected.best(advance(unsuspected.classify), pixels, names))
    assert [step.delta.mean().item() for step in steps] == pytest.approx([0.0, 0.2, 0.2])
