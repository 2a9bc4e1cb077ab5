"""The Square attack: its schedule, its squares, and that it asks as often as it says and never falls back."""

import torch

from demo_core.ascent import last
from demo_core.attacks import ATTACKS, lead
from demo_core.clip import count_passes
from demo_core.square import FIRST_SHARE, share_at, squared, stripes
from tests.conftest import dice

EPS = 4 / 255


def walk(classify, pixels, labels, steps=30, first=0):
    row = ATTACKS["square"]
    return list(
        row.run(classify, pixels, labels, eps=EPS, steps=steps, generator=dice(len(pixels), first=first))
    )


def test_the_schedule_is_the_papers_rescaled():
    theirs = {0: 1, 10: 1, 11: 2, 50: 2, 51: 4, 201: 8, 501: 16, 1001: 32, 2001: 64, 4001: 128, 6001: 256}
    for query, part in (theirs | {8000: 256, 8001: 512, 9999: 512}).items():
        assert share_at(query, 10000) == FIRST_SHARE / part
    assert [share_at(q, 100) for q in (0, 1, 3, 99)] == [FIRST_SHARE / p for p in (1, 4, 8, 512)]


def test_stripes_are_vertical_and_of_the_full_size():
    found = stripes(torch.full((2, 3, 8, 8), 0.5), EPS, dice(2))
    assert (found == found[:, :, :1]).all() and found.abs().sub(EPS).abs().max() < 1e-6
    assert (found[0] != found[0][:, :, :1]).any() and (found[0] != found[1]).any()


def test_a_square_is_one_colour_and_the_rest_is_left():
    delta = torch.zeros(40, 3, 10, 12)
    found = squared(delta, 0.25, EPS, dice(40))
    for each in found:
        moved = (each != 0).all(0)
        rows, columns = moved.any(1).sum(), moved.any(0).sum()
        assert rows == columns == round((0.25 * 120) ** 0.5) and moved.sum() == rows * columns
        assert all(each[c][moved].unique().numel() == 1 for c in range(3))
    places = {tuple((each[0] != 0).nonzero()[0].tolist()) for each in found}
    assert {0, 5} <= {down for down, _ in places} and {0, 7} <= {right for _, right in places}  # edges too


def test_it_asks_as_often_as_it_says_and_takes_no_gradient(classify, photographs):
    with count_passes() as passes:
        steps = walk(classify, photographs, classify(photographs).argmax(1), 6)
    assert len(steps) == 7 and (passes.forward, passes.backward) == (4 * 7, 0)  # one for the labels


def test_the_objective_never_falls_and_is_that_of_the_point(classify, photographs):
    labels = classify(photographs).argmax(1)
    steps = walk(classify, photographs, labels)
    values = torch.stack([step.objective for step in steps[:-1]])
    assert (values[1:] >= values[:-1]).all() and (values[-1] > values[0]).all()
    with torch.no_grad():
        torch.testing.assert_close(lead(classify(photographs + steps[-1].delta), labels), values[-1])
    torch.testing.assert_close(lead(steps[-2].output, labels), values[-1])


def test_a_picture_s_squares_do_not_depend_on_its_batch(classify, photographs):
    labels = classify(photographs).argmax(1)
    whole, alone = (
        walk(classify, p, y, 8, first)[-1].delta
        for p, y, first in ((photographs, labels, 0), (photographs[2:3], labels[2:3], 2))
    )
    torch.testing.assert_close(whole[2:3], alone)


def test_it_fools_the_bare_model_where_noise_does_not(classify, photographs):
    labels = classify(photographs).argmax(1)
    square = walk(classify, photographs, labels, 150)[-1].delta
    noise = last(ATTACKS["noise"].run(classify, photographs, labels, eps=EPS, generator=dice(4))).delta
    wrong = [(classify(photographs + d).argmax(1) != labels).sum() for d in (square, noise)]
    assert wrong[0] > wrong[1]
