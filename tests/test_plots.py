"""Figures: drawn by many at a time as by one alone, with the words and points that they should have."""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from xml.etree import ElementTree

import matplotlib
import pytest
from matplotlib.image import AxesImage
from matplotlib.text import Text

from demo_core import plots, story
from demo_core.benchmark.charts import drawn
from demo_core.benchmark.report import shipped
from demo_core.benchmark.tables import table
from demo_core.defenses import DEFENSES, TAU
from demo_core.models import profile_of, study_of
from demo_core.story.axes import signal_axes, ticks
from demo_core.story.finished import made
from demo_core.story.reel import path_map
from demo_core.story.run_figure import run_figure
from demo_core.story.scenes import scene_of
from demo_core.story.views_figure import views_figure

THREADS, ROUNDS = 10, 1
KINDS = ("views", "run", "study", "accuracy")


@pytest.fixture(scope="module")
def draw(clip):
    """A function from a kind of figure to its files."""
    run, study = made(replace(scene_of("cat"), steps=4), clip), study_of("photo")
    drifts, found, records = story.drifts(clip, run), path_map(run), table(shipped("photo"))

    def files(kind: str) -> tuple[bytes, ...]:
        if kind == "views":
            return (plots.to_svg(views_figure(drifts, profile_of("photo"), study), "words").encode(),)
        if kind == "run":
            return tuple(plots.as_file(run_figure(run, found, study), k) for k in ("svg", "pdf", "png"))
        if kind == "study":
            return (plots.as_file(plots.study_figure(study_of("photo-fare")), "svg"),)
        return tuple(plots.as_file(drawn(records), k) for k in ("svg", "png"))

    return files


@pytest.mark.slow
def test_ten_threads_draw_what_one_draws_alone(draw):
    """To the last bit; and matplotlib's settings are what they were, while they draw and afterwards."""
    before = dict(matplotlib.rcParams)
    alone = {kind: draw(kind) for kind in KINDS}
    wanted = [KINDS[i % len(KINDS)] for i in range(THREADS * ROUNDS)]

    def one(kind: str) -> tuple[tuple[bytes, ...], bool]:
        return draw(kind), dict(matplotlib.rcParams) == before

    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(one, wanted))
    for kind, (files, untouched) in zip(wanted, found, strict=True):
        assert untouched and files == alone[kind], kind
    assert dict(matplotlib.rcParams) == before


def test_the_page_s_own_colour_and_words(draw):
    """What is drawn for the page follows its theme: no black of matplotlib's own; and its words are text."""
    svg = draw("views")[0].decode()
    words = [node.text for node in ElementTree.fromstring(svg.replace("xlink:href", "href")).iter("text")]
    assert "currentColor" in svg and not re.search(r"#0{6}|#01020|fill: (white|#ffffff)", svg)
    assert "TTC: below" in words
    strokes = re.findall(r"stroke: (\S+?)[;\"]", svg)
    assert strokes and set(strokes) <= {
        "currentColor",
        "none",
        *map(str.lower, (plots.CLEAN, plots.ATTACKED)),
    }


def test_the_program_and_its_files_do_not_draw_where_they_only_count():
    """Whoever tells a run needs no matplotlib: figures know of the story, and not the other way round."""
    code = "import sys, demo_core.story.finished"
    code += "; print(*(name in sys.modules for name in ('matplotlib', 'demo_core.plots')))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(
    "low, high, whole, words",
    [
        (-0.5, 16.5, True, "0 2 4 6 8 10 12 14 16"),
        (-0.5, 5.5, True, "0 1 2 3 4 5"),
        (-0.5, 56.5, True, "0 10 20 30 40 50"),
        (0, 2, False, "0.00 0.25 0.50 0.75 1.00 1.25 1.50 1.75 2.00"),
        (0, 4, False, "0.0 0.5 1.0 1.5 2.0 2.5 3.0 3.5 4.0"),
        (0, 16, False, "0 2 4 6 8 10 12 14 16"),
        (0, 1.5, False, "0.0 0.2 0.4 0.6 0.8 1.0 1.2 1.4"),
        (0, 1, False, "0.0 0.2 0.4 0.6 0.8 1.0"),
    ],
)
def test_ticks_are_round_and_few(low, high, whole, words):
    found = ticks(low, high, whole)
    assert " ".join(said for _, said in found) == words
    assert all(float(said) == pytest.approx(place) for place, said in found)


def test_ticks_of_any_range_fit():
    for high in (0.3, 7.5, 64, 1006.5, 4096):
        assert 3 <= len(ticks(-0.5, high, True)) <= 10 or high < 3
        assert 4 <= len(ticks(0, high)) <= 10


def test_axes_are_those_of_the_defence_that_is_watched():
    study, photo = study_of("photo"), profile_of("photo")
    for key, row in DEFENSES.items():
        first, second = signal_axes(key, photo, study, 4.0, (1.0, 1.5))
        decides = key in ("default", "ttc")
        assert (first.threshold is not None) == decides == (first.engages is not None), key
        assert second.threshold is None and "does not decide" in second.title
        assert ("decides for" in first.title) == decides
        if decides:
            assert first.threshold == row.gate(photo).threshold and first.threshold in first.engages
    (tau, _), (views, _) = (signal_axes(k, photo, study, 4.0, (1.0, 1.5)) for k in ("ttc", "default"))
    assert tau.name == TAU and tau.engages == (0, 0.2) and views.engages == (photo.own.gate.threshold, 1.5)


def test_hills_are_a_study_s_densities():
    study = study_of("photo")
    for axes in signal_axes("default", profile_of("photo"), study, 4.0, (1.0, 1.5)):
        assert [hill.role for hill in axes.hills] == ["clean", "attacked"]
        for hill in axes.hills:
            assert len(hill.heights) == 80 and max(hill.heights) == 0.75 and min(hill.heights) >= 0
    assert not signal_axes("default", profile_of("photo"), None, 4.0, (1.0, 1.5))[0].hills


def test_every_name_that_is_used_is_there(draw):
    for kind in KINDS:
        svg = draw(kind)[0].decode()
        used = set(re.findall(r'href="#([^"]+)"', svg)) | set(re.findall(r"url\(#([^)]+)\)", svg))
        assert used and used <= set(re.findall(r'id="([^"]+)"', svg))


def test_files_are_on_white_with_a_title_each(draw):
    svg = draw("run")[0].decode()
    assert "fill: #ffffff" in svg and "currentColor" not in svg and "<dc:date>" not in svg
    for words in ("decides for this model", "the way through the embedding", "counterattack engages"):
        assert words in svg  # matplotlib writes them as comments beside their outlines


def test_nothing_of_matplotlib_is_set(draw):
    """A process's own settings reach no figure's colours or sizes of words, and stay as they are."""
    plain = draw("views")
    mine = {"text.color": "red", "axes.labelcolor": "red", "xtick.color": "red", "font.size": 20}
    with matplotlib.rc_context(mine):
        assert draw("views") == plain
        assert all(matplotlib.rcParams[key] == value for key, value in mine.items())


def test_a_run_s_figure_shows_its_pictures_and_says_what_they_are(clip):
    run = made(replace(scene_of("cat"), steps=1), clip)
    figure = run_figure(run, path_map(run))
    said = [text.get_text() for text in figure.findobj(Text)]
    assert len(figure.findobj(AxesImage)) == 3
    assert any(text.startswith("PGD, 4/255; Ours; Photo CLIP") for text in said)
    two = run_figure(replace(run, settings=replace(run.settings, beside="ttc")), path_map(run))
    assert {text.get_text() for text in two.findobj(Text)} == set(said), "it shows one row, and names that"
    for name, answer in (("clean", run.clean), ("attacked", run.attacked), ("defended", run.defended)):
        assert f"{name}: “{run.label(answer)}”, {answer.max().item() * 100:.1f} %" in said
