"""A model of one's own measured: its study in the cache, and in words which gates can be trusted on it."""

import re
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from demo_core import calibrate
from demo_core.clip import count_passes
from demo_core.defenses import DEFENSES, LOW_PASS, TAU, VIEW_DRIFT, Profile
from demo_core.defenses.drift import CLEAN_PILE, LEVELS, Row, Study
from demo_core.examples import EXAMPLES
from demo_core.models import CACHE_VARIABLE, CHECKPOINT, MODELS, cache_of, keep_study, profile_of, study_of
from demo_core.moments import exhausted
from demo_core.story import trust_words as words
from demo_core.story.trust import verdicts
from demo_core.ui import trust, visits
from demo_core.ui.render import gate_html, no_views
from tests.test_handlers import after

KEY = "vit-b-32"


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def command(monkeypatch, clip):
    """The command with a small model in the place of the table's."""
    monkeypatch.setattr(calibrate, "load", lambda key: clip)

    def run(*arguments: object) -> None:
        monkeypatch.setattr(sys, "argv", ["calibrate", *map(str, arguments)])
        calibrate.main()

    return run


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two photographs, one in a folder below, and what cannot be read."""
    found = tmp_path / "pictures"
    (found / "below").mkdir(parents=True)
    for name, example in zip(("one.png", "below/two.png"), EXAMPLES):
        with Image.open(example.path) as picture:
            picture.resize((64, 64)).save(found / name)
    (found / "broken.jpg").write_bytes(b"no picture")
    return found


def made_up(tau: tuple, views: tuple, lows: tuple) -> Study:
    """A study whose pictures all lie between two numbers: of each signal those of clean pictures, and of
    attacked ones."""
    rows = []
    for probe, piles in ((TAU, tau), (VIEW_DRIFT, views), (LOW_PASS, lows)):
        for pile, (low, high) in zip((CLEAN_PILE, "PGD-10, eps 4/255"), piles, strict=True):
            spread = [low + (high - low) * level for level in LEVELS]
            rows.append(Row(pile, 4.0 * (pile != CLEAN_PILE), "own", probe, 0, spread, 0.5))
    return Study("Made up", 20, 10, 0.1, rows)


def test_the_command_writes_what_the_page_then_finds(command, folder, cache, capsys):
    assert study_of(KEY) is None
    command("--model", KEY, "--pictures", folder)
    found, told = study_of(KEY), capsys.readouterr().out
    assert found.pictures == 2 and found.title == MODELS[KEY].title
    assert {path.name for path in (cache / KEY).iterdir()} == {"study.json", "study.svg"}
    assert "broken.jpg" in told and "tau, and acts below 0.2 (as published)" in told
    for threshold in ("corruption degree, and acts above 0.7", "low-pass cosine, and acts below 0.85"):
        assert threshold in told


def test_what_cannot_be_measured_is_said_in_a_sentence(command, tmp_path):
    for arguments, sentence in (
        (("--model", KEY, "--pictures", tmp_path / "none"), "Nothing was measured: there is no folder"),
        (("--model", KEY, "--pictures", tmp_path), "has no picture in it"),
        (("--checkpoint", tmp_path / "no.pt"), "no.pt"),
    ):
        with pytest.raises(SystemExit, match=sentence):
            command(*arguments)


def test_a_gate_is_judged_by_its_threshold_before_what_was_measured():
    """The paper's model of the paper: tau still on attacked pictures alone."""
    study = made_up(((0.3, 0.9), (0.01, 0.19)), ((0.1, 0.2), (0.5, 0.6)), ((0.8, 0.9), (0.1, 0.8)))
    papers = {verdict.gate.signal: verdict for verdict in verdicts(study, Profile())}
    assert papers[TAU].trusted and papers[TAU].rows == ("ttc", "default")
    assert papers[LOW_PASS].opens == pytest.approx(0.5, abs=0.05) and VIEW_DRIFT not in papers
    assert words.judgement(papers[LOW_PASS]) == words.PARTLY
    assert "“TTC” and “Ours”" in words.summary(study, papers.values())
    ours = {verdict.gate.signal: verdict for verdict in verdicts(study, profile_of("photo"))}
    assert ours[VIEW_DRIFT].trusted and "this model’s own" in words.threshold(ours[VIEW_DRIFT])


def test_a_gate_that_opens_for_all_or_for_none_is_not_trusted():
    study = made_up(((0.01, 0.1), (0.01, 0.1)), ((0, 1), (0, 1)), ((0.9, 1), (0.9, 1)))
    tau, low = verdicts(study, Profile())
    assert words.judgement(tau) == words.EAGER and words.judgement(low) == words.UNTRUSTED
    assert "no gate kept them apart" in words.summary(study, (tau, low))


def test_a_checkpoint_s_cache_is_that_of_its_file_as_it_is(monkeypatch, tmp_path):
    (file := tmp_path / "tower.pt").write_bytes(b"one")
    monkeypatch.setitem(MODELS, CHECKPOINT, replace(MODELS[KEY], checkpoint=file))
    first = cache_of(CHECKPOINT)
    file.write_bytes(b"another")
    assert first != cache_of(CHECKPOINT) and cache_of(KEY).name == KEY


def test_the_page_s_button_measures_once_and_shows_what_was_found(monkeypatch, clip):
    monkeypatch.setattr(visits, "model", lambda key: clip)
    monkeypatch.setattr(trust, "example_pictures", lambda: [e.path for e in EXAMPLES[:2]])
    quick, whole = words.BUTTONS.values()
    assert quick in gate_html(KEY) and "photographs, clean (blue) and under" not in no_views(KEY)
    *working, last = visits.told(trust.measure, KEY)
    said = [str(new["stage"]) for new in working if "stage" in new]
    assert re.search(r"Measuring 2 photographs takes about \d+ s; Stop keeps", said[0])
    assert "as published" in last["gate"] and "as far as 2 photographs can tell" in last["gate"]
    assert "2 photographs, clean (blue) and under" in last["views"].replace("\n", " ")
    monkeypatch.setattr(visits, "model", None)  # nobody computes it again
    assert after(visits.told(partial(trust.measure, photographs=2), KEY))["gate"] == last["gate"]


def test_stop_leaves_what_was_measured_until_then(monkeypatch, clip):
    """From a few photographs on; a study of fewer takes no other's place."""
    monkeypatch.setattr(visits, "model", lambda key: clip)
    monkeypatch.setattr(trust, "QUICK", 2)
    monkeypatch.setattr(trust, "example_pictures", lambda: [e.path for e in EXAMPLES[:3]])
    measuring = visits.told(trust.measure, KEY)
    shown = next(new for new in measuring if "gate" in new)
    measuring.close()
    assert study_of(KEY).pictures == 2 and "On 2 photographs" in shown["gate"]
    *_, whole = words.BUTTONS.values()
    assert whole in gate_html(KEY) and words.FROM_MORE in gate_html(KEY)
    keep_study(KEY, replace(study_of(KEY), pictures=40))
    assert words.FROM_MORE not in gate_html(KEY)
    assert [*trust._kept(KEY, replace(study_of(KEY), pictures=3))] == [] and study_of(KEY).pictures == 40


def test_a_study_grows_photograph_by_photograph(clip, folder):
    """The study of all is that of the parts together, and takes no more steps than was said."""
    pile = calibrate.whole_pile_of(clip, "a {}", [folder / "one.png", folder / "below/two.png"])
    steps = [*calibrate.studied(pile, "two", attacks=calibrate.FEW)]
    first, both = (found for found in steps if found is not None)
    assert (first.pictures, both.pictures) == (1, 2) and len(steps) <= calibrate.most_steps(
        pile, calibrate.FEW
    ) + 2
    ends = [found.find(TAU)[CLEAN_PILE].quantiles for found in (first, both)]
    assert set(ends[0]) <= {ends[1][0], ends[1][-1]} and len({(r.probe, r.strength) for r in both.rows}) > 15


def test_what_is_expected_of_a_photograph_is_about_what_it_takes(photo_clip):
    pile = calibrate.whole_pile_of(photo_clip, "a photo of a {}.", [EXAMPLES[1].path])
    with count_passes() as passes:
        exhausted(calibrate.studied(pile, "one", profile_of("photo"), calibrate.FEW))
    forward, back = calibrate.usual_cost(profile_of("photo"), tuned=False, attacks=calibrate.FEW)
    assert 0.7 < back / passes.backward < 1.5 and 0.8 < forward / passes.forward < 1.3
    more = calibrate.usual_cost(profile_of("photo"), tuned=False, attacks=(*calibrate.FEW, (8, 7)))
    assert more[1] == back + 7  # it is the study itself that is counted
    assert calibrate.usual_cost(profile_of("photo"), tuned=True, attacks=calibrate.FEW)[0] > forward


def test_shares_of_few_photographs_come_with_their_intervals():
    assert (
        words.share_of(0.25, 4) == "about 1 of 4 (5–70 %)" and words.share_of(0, 40) == "none of 40 (0–9 %)"
    )


@pytest.mark.parametrize("key", ["photo", "photo-fare"])
def test_the_studies_in_the_box_judge_every_gate_of_the_table(key):
    judged = {verdict.gate.signal for verdict in verdicts(study_of(key), profile_of(key))}
    gates = (row.gate(profile_of(key)) for row in DEFENSES.values())
    assert judged == {gate.signal for gate in gates if gate} and len(judged) >= 7
