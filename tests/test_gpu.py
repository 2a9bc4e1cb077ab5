"""Where there is a GPU: what is found there is what a CPU finds, whatever the batch, and the same twice."""

import json

import pytest
import torch

from demo_core.benchmark.run import Bench
from demo_core.benchmark.trials import Trial
from demo_core.defenses import DEFENSES
from demo_core.examples import EXAMPLES
from demo_core.story.reel import reel
from tests.real_clips import told
from tests.speed import bench_of

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
PICTURES, TILE = 16, 8
ATTACKS = ("clean", "pgd@1x3+predicted", "pgd@4x3", "apgd_ce@4x6", "square@4x10", "pgd@1x2+adaptive")


@pytest.fixture(scope="module")
def bench() -> Bench:
    return bench_of("photo", PICTURES, TILE, "cuda")


@pytest.fixture(scope="module")
def on_cpu() -> Bench:
    return bench_of("photo", PICTURES, TILE)


@pytest.mark.parametrize("text", ATTACKS)
def test_neither_the_attack_nor_an_answer_depends_on_the_batch(bench, text):
    trial = Trial.read(text)
    whole, part = bench.pile.load(torch.arange(8)), bench.pile.load(torch.arange(2, 5))
    pixels, some = bench.attacked(trial, whole, "default"), bench.attacked(trial, part, "default")
    assert torch.equal(pixels[2:5], some)
    for name in DEFENSES:
        both = bench.answers(whole, pixels, name)["predicted"], bench.answers(part, some, name)["predicted"]
        assert both[0][2:5].tolist() == both[1].tolist(), name


@pytest.mark.parametrize("name", DEFENSES)
def test_a_defence_answers_as_it_does_on_a_cpu(bench, on_cpu, name):
    batch = bench.pile.load(torch.arange(PICTURES))
    pixels = on_cpu.attacked(Trial("pgd", 1, 3, predicted=True), batch)
    here, there = (b.answers(batch, pixels.to(b.clip.device), name)["predicted"] for b in (bench, on_cpu))
    assert (here == there).sum() >= PICTURES - 1  # the last bits differ, and one may lie on a border


def test_features_are_those_of_a_cpu(bench, on_cpu):
    pixels = on_cpu.attacked(Trial("clean"), on_cpu.pile.load(torch.arange(PICTURES)))
    with torch.no_grad():
        here, there = bench.clip.encode(pixels.cuda()).cpu(), on_cpu.clip.encode(pixels)
    torch.testing.assert_close(here, there, atol=1e-4, rtol=0)


def test_a_story_is_the_same_twice_and_the_page_can_be_told_it(bench):
    one, two = ([*told(bench.clip, "photo", 1.0, EXAMPLES[0].title)][-1] for _ in range(2))
    assert torch.equal(one.attack_delta, two.attack_delta) and torch.equal(one.defended, two.defended)
    assert json.dumps(reel(one)["verdict"]) == json.dumps(reel(two)["verdict"])
