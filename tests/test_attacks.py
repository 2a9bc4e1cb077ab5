"""Invariants over every row of the attack table, on the model in the box."""

import pytest
import torch

from demo_core.ascent import Budget, ascend, last, project, random_start
from demo_core.attacks import ATTACKS, dlr
from demo_core.labels import DEFAULT_TEMPLATE, PRESETS

EPS, STEP, STEPS = 4 / 255, 1 / 255, 5
LABELS = PRESETS["Everyday"]
ROUNDING = 1e-6


@pytest.fixture(scope="module")
def classify(clip):
    return clip.classifier(LABELS, DEFAULT_TEMPLATE)


def run(row, classify, pixels, labels, seed=0, **changes):
    options = (
        dict(eps=EPS, step_size=STEP, steps=STEPS, generator=torch.Generator().manual_seed(seed)) | changes
    )
    return list(row.run(classify, pixels, labels, **options))


@pytest.mark.parametrize("row", ATTACKS.values(), ids=ATTACKS.keys())
class TestEveryAttack:
    def test_budget_and_pixel_range(self, row, classify, photographs):
        pixels = torch.cat([photographs, torch.zeros(1, 3, 64, 64), torch.ones(1, 3, 64, 64)])
        for step in run(row, classify, pixels, torch.arange(6)):
            assert row.visible or step.delta.abs().max() <= EPS + ROUNDING
            assert (pixels + step.delta).min() >= -ROUNDING and (pixels + step.delta).max() <= 1 + ROUNDING
            assert not step.delta.requires_grad

    def test_steps_plus_one_items_numbered(self, row, classify, photographs):
        trace = run(row, classify, photographs, torch.arange(4))
        assert [step.index for step in trace] == list(range((1 if row.single_step else STEPS) + 1))
        assert all(step.output is not None for step in trace[:-1]) and trace[-1].output is None

    def test_objective_rises(self, row, classify, photographs):
        if row is ATTACKS["noise"]:
            pytest.skip("noise is the control: it raises nothing on purpose")
        labels = (classify(photographs).argmax(1) + row.targeted) % len(LABELS)
        first, *_, final = run(row, classify, photographs, labels, steps=30 if row.rule.black_box else STEPS)
        # Reading the final point's objective is a run of one step that starts there.
        again = ATTACKS["targeted_pgd" if row.targeted else "pgd"].run
        before, after = (
            next(again(classify, photographs, labels, eps=EPS, step_size=STEP, steps=1, start=step.delta))
            for step in (first, final)
        )
        assert (after.objective > before.objective).all()

    def test_same_seed_same_run_other_seed_another(self, row, classify, photographs):
        first, again, other = (
            run(row, classify, photographs, torch.arange(4), seed)[-1].delta for seed in (0, 0, 1)
        )
        assert torch.equal(first, again)
        if not row.single_step:
            assert not torch.equal(first, other)

    def test_weights_and_grad_mode_untouched(self, row, classify, clip, photographs):
        before = [p.clone() for p in clip.parameters()]
        steps = row.run(classify, photographs, torch.arange(4), eps=EPS, step_size=STEP, steps=STEPS)
        for _ in steps:
            assert torch.is_grad_enabled()
        with torch.no_grad():
            assert (
                last(row.run(classify, photographs, torch.arange(4), eps=EPS, step_size=STEP, steps=1)).delta
                is not None
            )
            assert not torch.is_grad_enabled()
        assert all(torch.equal(p, q) for p, q in zip(before, clip.parameters()))
        assert all(p.grad is None and not p.requires_grad for p in clip.parameters())

    def test_eps_zero_changes_nothing(self, row, classify, photographs):
        if row.visible:
            pytest.skip("a patch keeps to its size, not to eps")
        assert run(row, classify, photographs, torch.arange(4), eps=0.0)[-1].delta.abs().max() == 0

    def test_one_picture_alone_as_in_a_batch(self, row, classify, photographs):
        start = random_start(photographs, EPS, torch.Generator().manual_seed(3))
        options = dict(
            eps=EPS, step_size=STEP, steps=1
        )  # more steps let rounding grow where a gradient is near zero
        whole, alone = (
            last(row.run(classify, x, y, start=begun, generator=dice, **options)).delta
            for x, y, begun, dice in (
                (photographs, torch.arange(4), start, [torch.Generator().manual_seed(i) for i in range(4)]),
                (photographs[1:2], torch.tensor([1]), start[1:2], [torch.Generator().manual_seed(1)]),
            )
        )
        assert (
            (whole[1:2] - alone).abs() < 1e-5
        ).float().mean() > 0.99  # signs flip only where a gradient is rounding

    def test_one_label_is_no_crash(self, row, clip, photographs):
        only = clip.classifier(("cat",), DEFAULT_TEMPLATE)
        assert run(row, only, photographs, torch.zeros(4, dtype=torch.long))[-1].delta.isfinite().all()


def test_pgd_fools_the_undefended_model(classify, photographs):
    clean = classify(photographs).argmax(1)
    delta = run(ATTACKS["pgd"], classify, photographs, clean, steps=10)[-1].delta
    assert (classify(photographs + delta).argmax(1) != clean).all()


def test_targeted_pgd_reaches_its_target(classify, photographs):
    target = (classify(photographs).argmax(1) + 3) % len(LABELS)
    delta = run(ATTACKS["targeted_pgd"], classify, photographs, target, steps=20, eps=8 / 255)[-1].delta
    assert (classify(photographs + delta).argmax(1) == target).all()


def test_project_is_the_nearest_point_inside():
    pixels, delta = torch.tensor([[0.0, 0.5, 1.0]]), torch.tensor([[-0.3, 0.3, 0.3]])
    torch.testing.assert_close(project(delta, pixels, 0.1), torch.tensor([[0.0, 0.1, 0.0]]))


def test_noise_fools_nobody(classify, photographs):
    clean = classify(photographs).argmax(1)
    assert (
        classify(photographs + run(ATTACKS["noise"], classify, photographs, clean)[-1].delta).argmax(1)
        == clean
    ).all()


def test_dlr_by_hand():
    logits, labels = torch.tensor([[5.0, 3.0, 1.0, 0.0], [5.0, 3.0, 1.0, 0.0]]), torch.tensor([0, 2])
    torch.testing.assert_close(
        dlr(logits, labels), torch.tensor([-(5.0 - 3.0) / (5.0 - 1.0), -(1.0 - 5.0) / (5.0 - 1.0)])
    )
    torch.testing.assert_close(dlr(logits * 7, labels), dlr(logits, labels))
    assert dlr(torch.tensor([[2.0, 1.0]]), torch.tensor([0])).tolist() == [-1.0]


def test_an_unrolled_loop_has_second_derivatives_through_attention():
    """CLIP's transformers attend by fused kernels, which have none."""
    torch.manual_seed(0)
    attention = torch.nn.MultiheadAttention(8, 2, batch_first=True).requires_grad_(False)

    def encode(pixels):
        tokens = pixels.flatten(2)
        return attention(tokens, tokens, tokens, need_weights=False)[0].flatten(1)

    def gradient(unroll):
        steps = ascend(
            encode,
            lambda z: z.pow(2).sum(-1),
            pixels,
            torch.zeros(2, 3, 2, 4),
            Budget(0.1, 0.05, 2),
            unroll=unroll,
        )
        return torch.autograd.grad(encode(pixels + last(steps).delta).sum(), pixels)[0]

    pixels = torch.rand(2, 3, 2, 4).requires_grad_()
    assert gradient(True).isfinite().all() and not torch.allclose(gradient(True), gradient(False))
