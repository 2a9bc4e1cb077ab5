"""Is a picture attacked? What is found of one as it is, how likely that makes an attack, and its words."""

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from demo_core import story
from demo_core.defenses import LOW_PASS, PADDING, TAU, UNISON, VIEW_DRIFT, Gate, OwnConfig, Profile
from demo_core.defenses.drift import LEVELS, Row, Study
from demo_core.examples import EXAMPLES
from demo_core.fit import Fit
from demo_core.labels import PRESETS
from demo_core.models import profile_of, study_of
from demo_core.pictures import open_picture, to_photo, to_pixels
from demo_core.story import suspicion_words as words
from demo_core.story.run import Signals
from demo_core.story.suspicion import (
    CALM,
    SUSPICIOUS,
    UNCLEAR,
    Pile,
    Sign,
    Suspicion,
    chance_of,
    known_of,
    suspect,
)
from demo_core.story.takeaway import TAKEAWAYS
from demo_core.ui import lab, visits
from demo_core.ui import suspicion as tab
from demo_core.ui.scale import scaled
from demo_core.ui.visits import Visit
from tests.test_handlers import after, visit

CAT = EXAMPLES[1]
ANIMALS = tuple(PRESETS["Animals"])
PHOTO = profile_of("photo")
PICTURES = 98  # of the made-up study: an answer lies between 1 % and 99 %


def row(pile: str, low: float, high: float, signal: str = VIEW_DRIFT, **more) -> Row:
    """Pictures spread evenly from low to high."""
    return Row(pile, 0, "own", signal, 0, [low + (high - low) * level for level in LEVELS], **more)


def made_up(clean=(0.1, 0.2), attacked=((0.5, 1.0),), signal: str = VIEW_DRIFT, auc: float = 0.0) -> Study:
    rows = [row(f"PGD-10, eps {i}/255", *ends, signal, auc=auc) for i, ends in enumerate(attacked, 1)]
    return Study("made up", PICTURES, 10, 0.1, [row("clean", *clean, signal), *rows])


@pytest.fixture(scope="module")
def settings() -> story.Settings:
    return story.Settings(ANIMALS, "a photo of a {}.")


@pytest.fixture(scope="module")
def cat():
    return to_photo(open_picture(CAT.path))


@pytest.fixture(scope="module")
def run(clip, cat, settings):
    return story.begin(clip, cat, settings, PHOTO)


@pytest.fixture(scope="module")
def attacked_file(photo_clip, cat, settings, tmp_path_factory) -> str:
    """What a friend took away: an attacked picture as PNG."""
    run = story.begin(photo_clip, cat, settings, PHOTO)
    *_, run = story.attack(photo_clip, run)
    path = tmp_path_factory.mktemp("friend") / TAKEAWAYS["attacked"].file
    path.write_bytes(TAKEAWAYS["attacked"].make(run, None))
    return str(path)


@pytest.fixture
def said(monkeypatch) -> list[str]:
    heard: list[str] = []
    monkeypatch.setattr(visits.gr, "Warning", lambda message, **_: heard.append(message))
    return heard


def dropped(photo: str | None, **changes) -> Visit:
    values = {"labels": "\n".join(ANIMALS), "steps": 10} | changes
    return replace(visit(title=None, **values), photo=photo)


def measured(run, value: float, study: Study | None, profile: Profile = PHOTO, **changes) -> Suspicion:
    """As if the deciding test had found this value."""
    gate = profile.own.gate
    run = replace(run, profile=profile, clean_signals=Signals(value, value), **changes)
    return Suspicion(run, (Sign(gate.signal, value, gate, known_of(study, gate.signal)),))


# ---------------------------------------------------------------- pictures as they come


def test_a_friends_attacked_picture_is_suspected_and_its_defended_one_can_be_taken(attacked_file):
    """By the page's own way in and way out, files included."""
    taken, changes = None, {}
    for change in visits.told(tab.look, dropped(attacked_file)):
        changes |= change
        if change.get("suspect_take", {}).get("visible"):  # the file is there until gradio has it
            taken = Image.open(io.BytesIO(open(change["suspect_take"]["value"], "rb").read()))
    html = changes["suspicion"]
    assert 'class="suspicion suspicious"' in html and "Suspicious: moved by one pixel" in html
    *_, found = tab.looked_at(attacked_file, tab.read_settings(dropped(attacked_file).chosen))
    fooled = found.run.label(found.run.clean)
    assert fooled != "tabby cat" == found.run.label(found.run.defended)
    assert f"Without a defence CLIP says “{fooled}”" in html and "“Ours” it says “tabby cat”" in html
    assert found.state == SUSPICIOUS and found.chance.share > 0.9 and found.stored is not None
    wanted = found.run.pixels + found.run.final.delta
    assert (wanted - found.run.pixels).abs().max() > 3 / 255
    on_the_grid = to_pixels(to_photo(open_picture(taken)), 224)
    assert (on_the_grid - wanted).abs().max() < 0.5 / 255


def test_the_clean_photograph_is_not_suspected():
    page = after(visits.told(tab.look, dropped(CAT.path)))
    assert 'class="suspicion calm"' in page["suspicion"] and "Nothing suspicious" in page["suspicion"]
    assert not page["suspect_take"]["visible"] and "moved no pixel" in page["suspicion"]
    assert "“nothing suspicious” does not mean clean" in page["suspicion"]


def test_the_picture_is_stored_whole_as_jpeg(clip, cat, settings):
    *_, found = suspect(clip, cat, settings, PHOTO)
    file = io.BytesIO()
    levels = (cat * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    Image.fromarray(levels).save(file, "JPEG", quality=75)
    pixels = to_pixels(to_photo(open_picture(Image.open(file))), clip.image_size)
    features, signals = story.seen(clip, pixels, settings.seed, found.run.text)
    assert found.stored.sign.value == pytest.approx(signals.view_drift, abs=1e-5)
    answer = clip.logits(features, found.run.text).softmax(-1)[0]
    torch.testing.assert_close(found.stored.probabilities, answer, atol=1e-4, rtol=0)
    assert abs(found.stored.sign.value - found.deciding.value) > 1e-4


def test_the_work_can_be_ended_between_its_pieces(clip, cat, settings, monkeypatch):
    passes: list[int] = []
    encode = clip.encode
    monkeypatch.setattr(clip, "encode", lambda x: (passes.append(len(x)), encode(x))[1])
    dbd, pieces = replace(settings, defense="ttc"), []
    with torch.enable_grad():
        for found in suspect(clip, cat, dbd, Profile(OwnConfig(Gate(TAU, 1e9, below=True)))):
            pieces.append(sum(passes))
            passes.clear()
            assert torch.is_grad_enabled()
            assert not found.run.start.features.requires_grad
    assert len(pieces) >= 6 and max(pieces) <= 8
    looking = suspect(clip, cat, dbd, PHOTO)
    next(looking), next(looking)
    looking.close()
    assert sum(passes) < sum(pieces) / 2


def test_which_tests_are_made_and_which_decides(clip, cat, settings):
    *_, ours = suspect(clip, cat, settings, PHOTO, study_of("photo"))
    assert [sign.signal for sign in ours.signs][:2] == [VIEW_DRIFT, TAU]
    assert {LOW_PASS, PADDING, UNISON} == {sign.signal for sign in ours.signs[2:]}
    assert all(words.sign_words(sign.signal).how for sign in ours.signs)
    assert ours.deciding.gate == PHOTO.own.gate and ours.signs[1].gate.threshold == 0.2
    assert all(sign.known == known_of(study_of("photo"), sign.signal) for sign in ours.signs)
    assert [sign.signal for sign in ours.signs if not sign.known] == []
    *_, papers = suspect(clip, cat, settings, Profile())
    assert papers.deciding.signal == TAU and papers.signs[1].signal == VIEW_DRIFT
    assert papers.signs[1].gate is papers.signs[1].suspicious is scaled(None, None) is None
    assert "nobody has drawn a line" in words.reading(papers.signs[1])


# ---------------------------------------------------------------- how likely an attack is


def test_a_pile_of_several_attacks_is_as_many_of_each():
    pile = Pile((row("one", 0, 1), row("two", 1, 2)))
    assert [pile.under(v) for v in (-1, 0.5, 1, 1.5, 3)] == [0, 0.25, 0.5, 0.75, 1]
    assert pile.quantile(0.5) == pytest.approx(1) and pile.quantile(0.1) == pytest.approx(0.2)


@pytest.mark.parametrize(
    "value, clean, attacked, middle",
    [
        (0.16, 47.04, 0, ""),  # within 15 % of it lie 48 in 100 of the clean ones
        (0.01, 44.1, 0, "clean"),  # steadier than any: as the middle clean one
        (0.3, 0, 0, ""),  # where none was seen
        (0.7, 0, 41.16, ""),
        (9.0, 0, 44.1, "attacked"),
    ],
)
def test_the_chance_counts_the_pictures_like_it(value, clean, attacked, middle):
    found = chance_of(known_of(made_up(), VIEW_DRIFT), value)
    assert (found.clean, found.attacked) == (pytest.approx(clean), pytest.approx(attacked))
    assert found.middle == middle
    assert found.share == pytest.approx((attacked + 1) / (attacked + clean + 2))
    assert 1 / (PICTURES + 2) <= found.share <= 1 - 1 / (PICTURES + 2)


def test_pictures_all_alike_still_leave_a_doubt():
    known = known_of(made_up((0.1, 0.1001), ((0.9, 0.9001),)), VIEW_DRIFT)
    assert chance_of(known, 0.1).share == pytest.approx(0.01)
    assert chance_of(known, 0.9).share == pytest.approx(0.99)


def test_a_signal_that_tells_nothing_gives_a_coin():
    known = known_of(made_up((0.1, 0.9), ((0.1, 0.9),)), VIEW_DRIFT)
    assert all(chance_of(known, value).share == pytest.approx(0.5) for value in (0.05, 0.3, 0.5, 2))


def test_a_fine_tuned_model_is_known_by_the_encoder_that_probes_it():
    study = study_of("photo-fare")
    rows = study.find(VIEW_DRIFT, encoder="original")
    assert known_of(study, VIEW_DRIFT).clean.rows == (rows["clean"],)
    assert {row.encoder for row in known_of(study, LOW_PASS).attacked.rows} == {"original"}
    assert known_of(study, "no signal of its") is known_of(None, TAU) is None


# ---------------------------------------------------------------- words


@pytest.mark.parametrize(
    "value, state, begins, chance",
    [
        (0.15, CALM, "Nothing suspicious: moved by one pixel or mirrored, it looks much the same", "2 %"),
        (0.75, SUSPICIOUS, "Suspicious: moved by one pixel or mirrored, it looks like another", "98 %"),
        (0.31, UNCLEAR, "Hard to say: it lies where", "50 %"),
        (0.32, UNCLEAR, "Hard to say: it lies where", "50 %"),
    ],
)
def test_each_state_has_its_words(run, value, state, begins, chance):
    found = measured(run, value, made_up())
    assert found.state == state and words.headline(found).startswith(begins)
    assert f"would be about {chance}." in words.likelihood(found)
    assert "below 1 % or over 99 %" in words.likelihood(found)
    assert "If half of all such pictures were attacked" in words.likelihood(found)
    same = ("all 98", "none of 98") if value < 0.3138 else ("none of 98", "all 98")
    assert f"photographs, {same[0]} clean ones and {same[1]} attacked ones lie on this" in words.headline(
        found
    )
    if state == UNCLEAR:
        by_itself = "suspects it" if value > 0.3138 else "does not suspect it"
        assert f"The test by itself {by_itself}" in words.headline(found)


def test_the_narrower_count_says_whose_drift_is_near_which(run):
    near, out = (words.likelihood(measured(run, value, made_up())) for value in (0.7, 9.0))
    assert "view drift is within 15 % of this picture’s: about 0 of the 98 clean ones and about 41 of" in near
    assert "within 15 % of that of the middle attacked photograph (this picture’s lies beyond it" in out


def test_what_the_study_is_of_is_said(run):
    found = measured(run, 0.7, made_up(attacked=((0.5, 1), (0.6, 1), (0.7, 1))))
    assert "(PGD-10, eps 1/255, eps 2/255 or eps 3/255)" in words.limits(found)
    assert "An attacker who knows this test" in words.limits(found)


def test_without_a_study_no_likelihood_is_known(run):
    for value, begins in ((0.1, "Suspicious: a little noise hardly"), (0.3, "Nothing suspicious: a little")):
        found = measured(run, value, None, Profile())
        assert words.headline(found).startswith(begins)
        assert "by the published line alone" in words.headline(found)
        assert found.chance is None and "nobody knows here" in words.likelihood(found)
        assert "%" not in words.likelihood(found) and "study" not in words.limits(found)


def test_a_signal_that_is_low_on_attacked_pictures(run):
    study = made_up((0.3, 0.5), ((0.05, 0.15),), TAU, auc=1.0)
    found = measured(run, 0.1, study, Profile())
    assert found.state == SUSPICIOUS and found.chance.share > 0.9
    assert "none of 98 clean ones and all 98 attacked ones lie on this side" in words.headline(found)
    assert "picks the attacked one 100 times in 100" in words.worth(found.deciding)
    assert measured(run, 0.4, study, Profile()).state == CALM


@pytest.mark.parametrize("share, said", [(0.5, "about 49 of 98"), (0.001, "hardly any of 98")])
def test_parts_of_a_study_in_words(run, share, said):
    line = PHOTO.own.gate.threshold
    found = measured(run, 0.1, made_up(attacked=((line - share, line - share + 1),)))
    assert f"and {said} attacked ones lie" in words.headline(found)


def test_answers_and_what_puts_them_in_doubt(clip, run):
    found = measured(run, 0.1, None)
    one, two = torch.eye(len(ANIMALS))[:2]
    bare = replace(run.start, probabilities=one)
    assert "is not there yet" in words.answers(found) and "not there yet" in words.stored(found)
    same = replace(found, run=replace(run, start=bare, defended=one))
    assert words.answers(same).endswith("with the defence “Ours”.") and words.caveat(same) == ""
    other = replace(found, run=replace(run, start=bare, defended=two))
    said = words.answers(other)
    assert f"CLIP says “{ANIMALS[0]}” (100 %); with the defence “Ours” it says “{ANIMALS[1]}”" in said
    assert "nobody knows here" in said
    none = replace(other, run=replace(other.run, settings=replace(run.settings, defense="none")))
    assert words.answers(none).endswith("no defence is chosen.")
    misfit = story.begin(clip, run.photo, run.settings, PHOTO, Fit(100, 2, 0.9, 10))
    assert "None of these labels seems to fit" in words.caveat(replace(found, run=misfit))
    assert "one of them fits" not in words.choice(replace(found, run=misfit))
    fitting = replace(found, run=replace(run, fit=0.97))
    assert f"({len(ANIMALS)}: {ANIMALS[0]}, " in words.choice(fitting) and "97 %" in words.choice(fitting)
    guess = replace(run, start=bare, defended=torch.full((len(ANIMALS),), 1 / len(ANIMALS)))
    assert "CLIP is not sure" in words.caveat(replace(found, run=guess))


def test_jpeg_that_hides_an_attack_is_told(clip, cat, settings):
    *_, found = suspect(clip, cat, settings, PHOTO)

    def case(before: float, after: float) -> str:
        signs = (replace(found.deciding, value=before),)
        stored = replace(found.stored, sign=replace(found.stored.sign, value=after))
        return words.stored(replace(found, signs=signs, stored=stored))

    assert "0.20, not over the line of 0.31, not suspicious" in case(0.5, 0.2)
    assert "is not warned" in case(0.5, 0.2)
    assert "still suspicious" in case(0.5, 0.4) and "is not warned" not in case(0.5, 0.4)
    assert "0.31, suspicious" in case(0.2, 0.4) and "is not warned" not in case(0.2, 0.2)


# ---------------------------------------------------------------- on the page


@pytest.mark.parametrize("content", [b"", b"this is not a picture"])
def test_a_bad_file_gets_one_sentence(said, tmp_path, content):
    bad = tmp_path / "bad.png"
    bad.write_bytes(content)
    page = after(visits.told(tab.look, dropped(str(bad))))
    assert len(said) == 1 and "upload a PNG, JPEG or WebP" in said[0] and "suspicion" not in page
    tab.choose(str(bad))
    assert said[1] == said[0]


def test_no_picture_and_bad_labels_get_a_sentence(said):
    after(visits.told(tab.look, dropped(None)))
    after(visits.told(tab.look, dropped(CAT.path, labels="cat")))
    assert said[0] == words.NO_PICTURE and "two different labels" in said[1]


def test_another_picture_clears_what_was_found(said):
    page = tab.choose(CAT.path)
    assert words.FIRST in page["suspicion"] and not page["suspect_take"]["visible"] and not said


def test_an_answer_knows_what_it_rests_on_beside_the_picture(clip, cat):
    visit = dropped(CAT.path)
    *_, found = suspect(clip, cat, tab.read_settings(visit.chosen), PHOTO, study_of("photo"))
    asked = tab.asked_now(visit)
    assert f'data-asked="{asked}"' in tab.shown(found) and words.BEHIND in tab.shown(found)
    same = {"eps": 8, "attack": "cw", "beside": "tte"}  # nobody attacks, and one row answers
    others = {"labels": "cat\ndog", "template": "a {}.", "defense": "ttc", "resize": "paper", "seed": 3}
    for name, value in same.items():
        assert tab.asked_now(dropped(CAT.path, **{name: value})) == asked, name
    named = {tab.asked_now(dropped(CAT.path, **{name: value})) for name, value in others.items()}
    assert len(named | {asked}) == 6
    assert tab.asked_now(dropped(CAT.path, labels="cat")) == ""


def test_a_persons_labels_come_back_as_text(clip, cat):
    settings = story.Settings(("<img src=x onerror=alert(1)>", "<b>dog"), "a photo of a {}.")
    *_, found = suspect(clip, cat, settings, PHOTO, study_of("photo"))
    html = tab.shown(found)
    assert "<img src=x" not in html and "<b>dog" not in html and "&lt;" in html


def test_a_strip_holds_what_it_shows(clip, cat, settings):
    *_, found = suspect(clip, cat, settings, PHOTO, made_up())
    html = tab.shown(found)
    assert html.count('class="scale"') == html.count('class="line"') == len(found.signs) == 5
    assert html.count('class="pile clean"') == html.count('class="pile attacked"') == 1  # the study has one
    for value in (0.01, 0.75, 7.0):
        drawn = scaled(found.deciding.gate, found.deciding.known, value)
        numbers = [drawn.value, drawn.line, *drawn.clean, *drawn.attacked]
        assert all(0 <= number <= 1 for number in numbers)
        assert drawn.clean[1] < drawn.line < drawn.attacked[1]
        assert (drawn.value > drawn.line) == (value > PHOTO.own.gate.threshold)


def test_nothing_on_the_page_is_green():
    """What passes a test that an attacker may know is not known to be clean."""
    css = (Path(lab.__file__).parent / "doors.css").read_text()
    rules = re.findall(r"^\.(?:suspicion|scale)[^{]*{[^}]*}", css, re.M)
    assert rules and not any("--defended" in rule for rule in rules)


def test_the_door_is_on_the_page():
    built = lab.build()
    ids = {getattr(part, "elem_id", None) for part in built.blocks.values()}
    assert {"suspect-photo", "suspect", "suspicion", "suspect-take"} <= ids
    event = next(fn for fn in built.fns.values() if fn.api_name == "lab_suspect")
    photo = next(part for part in built.blocks.values() if getattr(part, "elem_id", None) == "suspect-photo")
    assert photo in event.inputs and event.concurrency_limit is None  # who computes waits in the place
