"""Figures: drawn by many at a time as by one alone, with the words and points that they should have."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from xml.etree import ElementTree

import matplotlib
import pytest
from demo_core.report import drawn, shipped, table

from demo_core import plots, story
from demo_core.models import profile_of, study_of
from demo_core.story.reel import made, path_map
from demo_core.story.scenes import scene_of

THREADS, ROUNDS = 10, 3
KINDS = ("drift axes", "signal axes", "views", "run", "study", "accuracy")


@pytest.fixture(scope="module")
def draw(clip):
    """A function from a kind of figure to its files."""
    run, profile, study = made(replace(scene_of("cat"), steps=4), clip), clip.profile, study_of("photo")
    drifts, found, records = story.drifts(clip, run), path_map(run), table(shipped("photo"))
    gate = profile.gate, profile.threshold, study, 4.0, (1.0, 1.5)

    def files(kind: str) -> tuple[bytes, ...]:
        if kind == "drift axes":  # past the caches, which would hand the first one out again
            return (plots.drift_backdrop.__wrapped__(4, 3, False, 2.0).svg.encode(),)
        if kind == "signal axes":
            return (plots.signal_backdrop.__wrapped__(*gate).svg.encode(),)
        if kind == "views":
            return (plots.to_svg(plots.views_figure(drifts, profile_of("photo"), study), "words").encode(),)
        if kind == "run":
            return tuple(plots.as_file(plots.run_figure(run, found, study), k) for k in ("svg", "pdf", "png"))
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


@pytest.mark.parametrize("kind", ["drift axes", "signal axes", "views"])
def test_the_page_s_own_colour_and_words(draw, kind):
    """What is drawn for the page follows its theme: no black of matplotlib's own; and its words are text."""
    svg = draw(kind)[0].decode()
    words = [node.text for node in ElementTree.fromstring(svg.replace("xlink:href", "href")).iter("text")]
    assert "currentColor" in svg and not re.search(r"#0{6}|#01020|fill: (white|#ffffff)", svg)
    wanted = {"drift axes": "relative drift", "signal axes": "counterattack engages", "views": "TTC: below"}
    assert wanted[kind] in words
    strokes = re.findall(r"stroke: (\S+?)[;\"]", svg)
    assert strokes and set(strokes) <= {
        "currentColor",
        "none",
        *map(str.lower, (plots.CLEAN, plots.ATTACKED)),
    }


def test_words_lie_where_they_are_measured():
    """Ticks of the drift axes: in the middle below their marks, whatever the font."""
    svg = plots.drift_backdrop(4, 3, False, 2.0).svg
    marks = [float(x) for x in re.findall(r'<use xlink:href="#m\w+" x="([\d.]+)" y="181', svg)]
    below = re.findall(r'text-anchor: middle; fill: currentColor" transform="translate\(([\d.]+) 196', svg)
    assert len(below) == 5 and all(min(abs(float(x) - mark) for mark in marks) < 0.01 for x in below)


def test_two_figures_on_one_page_share_no_name():
    names = [
        set(re.findall(r'id="([mp]\d+_\w+)"', svg))
        for svg in (
            plots.drift_backdrop(4, 3, False, 2.0).svg,
            plots.drift_backdrop(10, 4, False, 2.0).svg,
        )
    ]
    assert all(names) and not names[0] & names[1]


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
