"""How all figures look, and how they become files: the same bits for the same figure."""

from __future__ import annotations

import hashlib
import html
import io
import re
from dataclasses import dataclass
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG, RendererSVG
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text

# Okabe & Ito's colour-blind safe palette: the same meanings on the whole page.
CLEAN, ATTACKED, DEFENDED, KNOWING = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
COLOURS = {"clean": CLEAN, "attacked": ATTACKED, "defended": DEFENDED}  # by role
_POINTS, _ROOM = 72, 3.0  # in an inch; around what is cut out of a figure, for another font than was measured
FAMILY, SIZE, TITLE_SIZE = "sans-serif", 10.0, 12.0  # of words, in points
_NO_DATE: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
_PART = re.compile(r'<g id="[\w.]+_\d+">')  # matplotlib's names of a figure's parts, the same in every figure
_DRAWN_ID = re.compile(r'id="(\w*?)[0-9a-f]{10}"')  # matplotlib's own end in random digits


@dataclass(frozen=True)
class Paper:
    """What a figure is drawn on: the colours of its words, of its lines and of the ground."""

    words: str
    lines: str
    ground: str


WHITE = Paper("#000000", "#000000", "#ffffff")
PAGE = Paper("#010203", "#010204", "none")  # stand-ins, which to_svg replaces by the page's own text colour


def new_figure(width: float, height: float, paper: Paper, dpi: float = 100) -> Figure:
    """An empty figure of so many inches, which arranges itself when it is drawn."""
    return Figure(figsize=(width, height), layout="constrained", dpi=dpi, facecolor=paper.ground)


def settled(figure: Figure) -> Figure:
    """The figure, all its axes where they stay: they are arranged now, and not again by each file that is
    made of it."""
    if engine := figure.get_layout_engine():
        dpi = figure.dpi
        figure.set_dpi(_POINTS)  # what is measured on is as large as the figure, and stays
        engine.execute(figure)
        figure.set_dpi(dpi)
    figure.set_layout_engine(None)  # with "none" each file would be drawn twice
    return figure


def dress(axes: Axes, paper: Paper) -> Axes:
    """Axes in the house's style, but for titles, which take theirs from words_in. Before anything is drawn on
    them: what is drawn may differ from it."""
    axes.set_facecolor(paper.ground)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_color(paper.lines)
    axes.tick_params(which="both", colors=paper.words, labelsize=SIZE, labelfontfamily=FAMILY)
    for words in (axes.xaxis.label, axes.yaxis.label):
        words.set(color=paper.words, size=SIZE, family=FAMILY)
    return axes


def words_in(paper: Paper, size: float = SIZE) -> dict[str, Any]:
    """The style of a title, a text or an annotation."""
    return {"color": paper.words, "fontsize": size, "fontfamily": FAMILY}


def legend_in(paper: Paper, size: float) -> dict[str, Any]:
    """The style of a legend, without a frame."""
    return {"labelcolor": paper.words, "prop": {"family": FAMILY, "size": size}, "frameon": False}


class _PageRenderer(RendererSVG):
    """SVG with its words as text, which a reader can copy and the browser draws in the page's own size."""

    def draw_text(
        self,
        gc: Any,
        x: float,
        y: float,
        s: str,
        prop: FontProperties,
        angle: float,
        ismath: Any = False,
        mtext: Text | None = None,
    ) -> None:
        """One line at its left end (x, y) in points; at its own anchor where it lies level, because another
        font than the one it was measured in is wider or narrower."""
        anchor = "start"
        if mtext is not None and angle == 0:
            x = float(mtext.get_transform().transform(mtext.get_unitless_position())[0])
            anchor = {"left": "start", "center": "middle", "right": "end"}[mtext.get_horizontalalignment()]
        style = (
            f"font-size: {prop.get_size_in_points():g}px; font-family: 'DejaVu Sans', sans-serif;"
            f" text-anchor: {anchor}; fill: {to_hex(gc.get_rgb()[:3])}"
        )
        place = f"translate({x:.6g} {y:.6g}) rotate({-angle:g})"
        self.writer.element("text", s, attrib={"style": style, "transform": place})


def as_file(figure: Figure, kind: str) -> bytes:
    """The figure as a file, "svg", "pdf" or "png", with nothing in it of when it was made; what was drawn for
    a page stands on white."""
    file = io.BytesIO()
    ground = figure.get_facecolor() if to_rgba(figure.get_facecolor())[3] else WHITE.ground
    figure.savefig(file, format=kind, metadata=_NO_DATE.get(kind), facecolor=ground)
    return _with_steady_ids(file.getvalue().decode()).encode() if kind == "svg" else file.getvalue()


def to_svg(figure: Figure, description: str) -> str:
    """Inline SVG with a text alternative; black stand-ins become the page's own text colour."""
    figure.set_dpi(_POINTS)
    width, height = figure.get_size_inches() * _POINTS
    box = f"0 0 {width:g} {height:g}"
    return f"{svg_head(box, description)}{_drawn(settled(figure))}</svg>"


def svg_head(box: str, description: str) -> str:
    """The beginning of inline SVG as wide as its place; box: the part that is seen, as a viewBox."""
    look = 'style="width:100%;height:auto"'
    return f'<svg viewBox="{box}" role="img" aria-label="{html.escape(description)}" {look}>'


def cut_up(figure: Figure, name: str) -> tuple[str, list[str], str]:
    """What `to_svg` draws as a group of that name, which other SVG of the page can use; the part of it in
    which each of the figure's axes lies, as a viewBox, and that of its legend, empty where it has none."""
    dpi = figure.dpi
    figure.set_dpi(_POINTS)
    drawn = _PART.sub("<g>", _drawn(settled(figure)))
    group = f'<g id="{name}">{drawn}</g>'
    height = figure.get_size_inches()[1] * _POINTS

    def box_of(artist: Artist) -> str:
        found = artist.get_tightbbox()
        assert found is not None  # all of them were drawn
        x, y = found.x0 - _ROOM, height - found.y1 - _ROOM
        return f"{x:.1f} {y:.1f} {found.width + 2 * _ROOM:.1f} {found.height + 2 * _ROOM:.1f}"

    boxes, legend = (
        [box_of(axes) for axes in figure.axes if axes.axison],
        "".join(map(box_of, figure.legends[:1])),
    )
    figure.set_dpi(dpi)
    return group, boxes, legend


def _drawn(figure: Figure) -> str:
    """What stands between the two ends of the figure's SVG."""
    canvas = FigureCanvasSVG(figure)  # its way of measuring words is that of the page's renderer
    buffer = io.StringIO()
    width, height = figure.get_size_inches() * _POINTS
    renderer: Any = _PageRenderer(width, height, buffer)  # type: ignore[no-untyped-call]  # matplotlib’s
    canvas.figure.draw(renderer)
    renderer.finalize()
    svg = buffer.getvalue()
    svg = svg[svg.index(">", svg.index("<svg")) + 1 : svg.rindex("</svg>")]
    svg = svg.replace(PAGE.words, "currentColor").replace(PAGE.lines, "currentColor")
    return _with_steady_ids(re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S))


def _with_steady_ids(svg: str) -> str:
    """The same SVG with names that follow from what is in it, instead of random ones; two different figures
    on one page share none."""
    names = {match[0][4:-1]: match[1] for match in _DRAWN_ID.finditer(svg)}  # in order, each once
    if not names:
        return svg
    known = re.compile("|".join(map(re.escape, names)))
    numbers = {name: f"{kind}{number}" for number, (name, kind) in enumerate(names.items())}
    plain = known.sub(lambda found: numbers[found[0]], svg)
    digest = hashlib.sha256(plain.encode()).hexdigest()[:8]
    return known.sub(lambda found: f"{numbers[found[0]]}_{digest}", svg)
