"""Work where a GPU is lent: what crosses to the process that has it, and what comes back."""

import io
import pickle
from functools import partial
from types import SimpleNamespace

import pytest
import torch

from demo_core.examples import EXAMPLES
from demo_core.models import CACHE_VARIABLE, study_of
from demo_core.story.price import Price
from demo_core.story.settings import Chosen
from demo_core.ui import api, handlers, lent, measuring, pressing, suspicion, trust, visits
from demo_core.ui import arena as race
from demo_core.ui.lent import LONGEST, Packer, Unpacker, seconds_of
from demo_core.ui.place import Refused
from demo_core.ui.visits import Session
from tests import fresh
from tests.conftest import one_by_one, only_rows
from tests.test_handlers import after, visit

asked: list[float] = []  # for how many seconds a GPU was asked


def GPU(duration):
    """Stands in for spaces.GPU: what goes in and out is pickled, and holds no tensor, for a queue between
    processes would hand over its memory, or its place on the GPU."""

    def crossed(value):
        class NoTensors(pickle.Pickler):
            def persistent_id(self, part):
                assert not isinstance(part, torch.Tensor), "a tensor crosses by itself"

        NoTensors(target := io.BytesIO()).dump(value)
        return pickle.loads(target.getvalue())

    def wrap(steps):
        def there(*given):
            asked.append(duration(*given))
            for item in steps(*crossed(given)):
                yield crossed(item)

        return there

    return wrap


@pytest.fixture
def space(monkeypatch):
    """A Space that lends its GPU, as far as this can be on one machine."""
    asked.clear()
    monkeypatch.setattr(lent, "_lent", GPU(lambda work, seconds: seconds)(lent._where_the_gpu_is))
    monkeypatch.setattr(lent, "IS_LENT", True)


def there(handler, given, work="run"):
    return after(visits.told(partial(pressing.at_gpu, work, handler), given))


def test_a_story_is_the_same_where_its_gpu_is_lent(space):
    """Attack, counterattack and arena lane, each lent its own moment, what lies on the desk between them."""
    here = after(visits.told(handlers.attack_and_counterattack, visit()))["session"].run
    attacked = there(handlers.attack_only, visit())["session"]
    run = there(handlers.counterattack, visit(attacked))["session"].run
    assert len(asked) == 2 and run.settings == here.settings
    torch.testing.assert_close(run.defended, here.defended)
    assert all(torch.equal(a.delta, b.delta) for a, b in zip(run.moments, here.moments, strict=True))
    lane = partial(race.watch, "low_pass")
    assert there(lane, visit(Session(run, visit().made_from)))["session"].run.settings.defense == "low_pass"


def test_the_whole_arena_and_a_look_at_a_picture_cross(space, monkeypatch):
    only_rows(monkeypatch, "none", "low_pass", "default")
    session = there(handlers.attack_only, visit())["session"]
    found = there(race.compare, visit(session), "arena")
    assert len(found["session"].races.static) == 3 and asked[1] > asked[0]
    look = after(visits.told(suspicion.look, visit()))
    assert "tabby cat" in look["suspicion"] and len(asked) == 3


def test_bad_input_comes_back_as_its_sentence(space):
    for handler, given, sentence in (
        (handlers.counterattack, visit(Session()), "Press Attack first"),
        (handlers.attack_only, visit(labels="cat"), "at least two"),
    ):
        with pytest.raises(Refused, match=sentence):
            there(handler, given)


def test_an_endpoint_answers_where_its_gpu_is_lent(space):
    values = ("tabby cat\ndog", 0, "photo", "", "none", "paper")
    calls = api.endpoint(api.counterattack, api.OF_A_DEFENCE, 2)
    request = SimpleNamespace(session_hash="me")
    *_, (report, picture) = one_by_one(calls(visit().photo, *values, lambda *_, **__: None, request))
    assert report["before"] == report["after"] and picture.size[0] >= 224 and len(asked) == 1


def test_a_model_is_measured_where_its_gpu_is_lent(space, monkeypatch, tmp_path, clip):
    """And its study is kept where the page is."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(visits, "model", lambda key: clip)
    monkeypatch.setattr(trust, "example_pictures", lambda: [e.path for e in EXAMPLES[:2]])
    assert "as published" in after(visits.told(trust.measure, "vit-b-32"))["gate"]
    assert asked == [LONGEST] and study_of("vit-b-32").pictures == 2


def test_each_tensor_crosses_once():
    pack, unpack = Packer(), Unpacker()
    first, second = torch.rand(3), torch.rand(1000)
    messages = [pack((first,)), pack((first, second)), pack({"again": [second, second]})]
    assert [len(new) for _, new in messages] == [1, 1, 0]
    found = [unpack(pickle.loads(pickle.dumps(message))) for message in messages]
    assert torch.equal(found[1][1], second) and found[2]["again"][0] is found[2]["again"][1] is found[1][1]
    assert len(pickle.dumps(messages[2])) < 300


def test_what_lies_on_a_gpu_does_not_leave_its_process():
    with pytest.raises(ValueError, match="cannot leave the process"):
        Packer()([torch.empty(2, device="meta")])


def test_a_gpu_is_asked_for_as_long_as_the_steps_take(space):
    short, long = (seconds_of("run", Price(Chosen(steps=steps))) for steps in (10, 100))
    assert 10 < short < 20 and long - short == pytest.approx(90 * 2 * lent.PASS_SECONDS)
    assert seconds_of("run", Price(Chosen(adaptive=True))) > 1.5 * short
    list(lent.computed(iter, (), seconds=lambda: 1e6))
    assert asked[-1] == LONGEST


def test_the_benchmark_says_that_a_moment_is_too_short_for_it(monkeypatch):
    monkeypatch.setattr(measuring, "IS_LENT", True)
    with pytest.raises(measuring.BenchmarkError, match="machine of your own"):
        next(measuring.live(None, None))


def test_the_package_is_used_where_it_lends_and_costs_nothing_elsewhere(monkeypatch, tmp_path):
    """Imported anew with a package `spaces` that lends, and one that does not; the other tests have none."""
    lends = "GPU = lambda duration: lambda steps: (lambda *given: steps(*given))"
    for code, expected in ((lends, "True"), ("GPU = lambda duration: lambda steps: steps", "False")):
        (tmp_path / "spaces.py").write_text(code)
        assert imported(str(tmp_path)) == expected
    assert not lent.IS_LENT


def imported(path: str) -> str:
    code = f"import sys; sys.path.insert(0, {path!r}); from demo_core.ui import lent; print(lent.IS_LENT)"
    return fresh.printed(code).strip().splitlines()[-1]
