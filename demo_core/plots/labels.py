"""Names beside the points of a chart, none on another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from matplotlib.transforms import Bbox

from demo_core.plots.style import FAMILY, Paper, words_in

GAP, REACH, STEP = 3.0, 90.0, 4.0  # points: from a point to its name, the farthest, and how much farther each
# Where a name may stand, the best first: the direction from the point.
SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1), (1, 0.5), (1, -0.5))
LEADER = 7.0  # from how far on a line leads to the name


@dataclass(frozen=True)
class _Size:
    """Of a name, in points."""

    width: float
    height: float

    def beside(self, x: float, y: float, side: tuple[float, float], far: float) -> Bbox:
        """Its box, so far from (x, y) in the direction of a side."""
        left = x + side[0] * far - self.width * (1 - side[0]) / 2
        bottom = y + side[1] * far - self.height * (1 - side[1]) / 2
        return Bbox.from_bounds(left, bottom, self.width, self.height)


def name_points(
    axes: Axes, xs: Sequence[float], ys: Sequence[float], names: Sequence[str], paper: Paper, size: float = 7
) -> None:
    """Write each point's name as near to it as there is room: within the axes, on no other name and on no
    point; a line leads to one that stands far. After everything else is drawn, as the axes' place and limits
    must not change any more."""
    inner = axes.get_window_extent()
    points = np.asarray(axes.transData.transform(np.column_stack([xs, ys])))
    scale = 72 / axes.figure.dpi  # from pixels to points
    room = Bbox(inner.get_points() * scale)
    points = points * scale
    taken = [Bbox.from_bounds(x - 2.5, y - 2.5, 5, 5) for x, y in points]
    for number in np.argsort(-points[:, 1]):  # from the top down
        x, y = points[number]
        box = _free(x, y, _Size(_width(names[number], size) * 1.04 + 1, size), room, taken)
        taken.append(box)
        far = np.hypot(max(box.x0 - x, 0, x - box.x1), max(box.y0 - y, 0, y - box.y1)) > LEADER
        axes.annotate(
            names[number],
            (xs[number], ys[number]),
            xytext=((box.x0 + box.x1) / 2 - x, (box.y0 + box.y1) / 2 - y),
            textcoords="offset points",
            ha="center",
            va="center_baseline",
            arrowprops={"arrowstyle": "-", "color": "0.6", "lw": 0.5, "shrinkA": 0, "shrinkB": 2}
            if far
            else None,
            annotation_clip=False,
            **words_in(paper, size),
        ).set_in_layout(False)


@lru_cache(maxsize=1000)
def _width(name: str, size: float) -> float:
    return float(TextPath((0, 0), name, prop=FontProperties(family=FAMILY, size=size)).get_extents().width)


def _free(x: float, y: float, size: _Size, room: Bbox, taken: list[Bbox]) -> Bbox:
    """The nearest box in the room that covers none that is taken; where there is none, the nearest of all."""
    for far, side in product(np.arange(GAP, REACH, STEP), SIDES):
        box = size.beside(x, y, side, far)
        inside = room.x0 <= box.x0 and box.x1 <= room.x1 and room.y0 <= box.y0 and box.y1 <= room.y1
        if inside and not any(box.overlaps(other) for other in taken):
            return box
    return size.beside(x, y, SIDES[0], GAP)
