"""A Run as a reel: the frames that a page plays, scrubs and draws by itself, as plain JSON.

A reel holds one frame for each moment of the run's four acts (picture, attack, test, counterattack). A
perturbation becomes whole numbers of at most 127 (see grid.py): precise enough to look at. For exact floats
there is takeaway.py. A frame holds only what the frames of its act before it do not tell, and a
message during a run only what earlier ones did not (see Messages).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F

from demo_core.attacks import ATTACKS
from demo_core.defenses import CONTROL
from demo_core.defenses.drift import Study
from demo_core.pictures import PHOTO_SIDE, as_url, to_image
from demo_core.story import Moment, Run, glossary, pair_words, words
from demo_core.story.axes import (
    HEIGHT,
    PLACES,
    ROWS,
    SIGNAL_NAMES,
    WIDTH,
    drift_of,
    gauge,
    in_gate_order,
    signals_of,
)
from demo_core.story.depths import DEPTHS, USUAL, Depth
from demo_core.story.gate_words import acted
from demo_core.story.grid import Grid, defence_grids, final_weights, told_beyond
from demo_core.story.page_words import PAGE_WORDS, told, tour
from demo_core.story.strips import label_strips, strip
from demo_core.story.summary import summary

SHOWN_LABELS = 6
LOSSLESS_PHOTO = 450_000  # characters of a photo's address, beyond which it is sent with (unseen) losses


def reel(
    run: Run,
    study: Study | None = None,
    note: str = "",
    done: bool = True,
    name: str = "",
    since: int = 0,
    beside_since: int = 0,
) -> dict[str, Any]:
    """The run so far. study: the model's, behind the signals; note: a few words on device and speed; done:
    nothing more will come; name: another for every press of a button, by which a page tells late frames from
    its own; since, beside_since: the first frame that it holds, and the first of the second row's."""
    return {
        "run": name,
        "live": True,
        "labels": list(run.settings.labels),
        "size": run.pixels.shape[-1],
        "control": run.control,
        "since": since,
        "frames": frames(run, since),
        "signals": _signals(run),
        "map": path_map(run) if done else None,
        "verdict": _verdict(run) | {"note": note},
        "row": _row(run),
        "beside": _beside(run, beside_since),
        "asks": run.asks,
        "judgement": run.judgement,
        "nudges": _nudges(run),
        "strips": label_strips(run, SHOWN_LABELS),
        "said": words.described(run),
        "tour": tour(told(run)),
        "done": done,
        "summary": summary(run.settings, run.control),
        "photo": photo_url(run.photo),
        "side": run.photo.shape[-1],
        "drift": asdict(drift_of(run)),
        "signal": [*map(asdict, signals_of(run, study))],
        "page": page(),
    }


def _verdict(run: Run) -> dict[str, Any]:
    depths = {key: depth.verdict(run) for key, depth in DEPTHS.items() if key != USUAL}
    return {"text": words.verdict(run), "depths": depths, "tone": words.tone(run)}


def _row(run: Run) -> dict[str, Any]:
    """What stands over a row that is one of two, and what its gate measured."""
    gate, reading = run.gate, run.reading
    return {
        "title": run.defense.title,
        "held": pair_words.held(run),
        "acted": "" if run.engaged is None else acted(reading, gate, bare=run.settings.defense == CONTROL),
        "gauge": asdict(gauge(gate, reading.value)) if gate and reading else None,
    }


def _beside(run: Run, since: int) -> dict[str, Any] | None:
    """The second row, from its test on: up to there its frames are the first one's. both: of the two."""
    if run.beside is None:
        return None
    since = max(since, 1 if run.control else 1 + len(run.attack))
    both = {"text": pair_words.verdict(run), "tone": pair_words.tone(run, run.beside)}
    return {
        "row": _row(run.beside),
        "since": since,
        "frames": frames(run.beside, since),
        "verdict": _verdict(run.beside),
        "both": both,
    }


class Messages:
    """A reel in parts, for a page that a run is streamed to: each message holds the frames that are new, from
    the index `since` on, and of all else what has changed. A page that misses one (a browser that gets two at
    once may hear of the second only) sees the gap, and asks for the whole reel."""

    ALWAYS = ("run", "since", "frames", "done", "map", "beside")

    def __init__(self, name: str, study: Study | None = None):
        self.name, self.study = name, study
        self._known: dict[str, Any] = {}
        self._frames = self._beside = 0

    def next(self, run: Run, note: str = "", done: bool = False) -> dict[str, Any]:
        """What is new since the last message."""
        found = reel(run, self.study, note, done, self.name, self._frames, self._beside)
        self._frames += len(found["frames"])
        if other := found["beside"]:
            self._beside = other["since"] + len(other["frames"])
        known = self._known
        new = {k: v for k, v in found.items() if k in self.ALWAYS or k not in known or known[k] != v}
        known |= {k: v for k, v in new.items() if k not in self.ALWAYS}
        return new


def page() -> dict[str, Any]:
    """What the page's script has to know whatever the run: sizes, names, and all that it says by itself."""
    return {
        "side": PHOTO_SIDE,
        "rows": SHOWN_LABELS,
        "acts": list(words.ACTS),
        "pictures": list(words.PICTURES),
        "plot": {"width": WIDTH, "height": HEIGHT, "places": PLACES, "rows": ROWS},
        "words": dict(PAGE_WORDS),
        "terms": glossary.for_script(),
    }


@lru_cache(maxsize=32)
def _photo_url(photo: bytes, side: int) -> str:
    picture = to_image(torch.frombuffer(bytearray(photo), dtype=torch.float32).view(3, side, side))
    exact = as_url(picture, lossless=True, method=1)
    return exact if len(exact) <= LOSSLESS_PHOTO else as_url(picture, quality=95)


def photo_url(photo: torch.Tensor) -> str:
    """The photo [3,P,P] as an address that holds it, to be shown: without loss unless that is much too long,
    as of noise. Pictures to take away do not come from it."""
    return _photo_url(photo.numpy().tobytes(), photo.shape[-1])


def frames(run: Run, since: int = 0, pictures: bool = True) -> list[dict[str, Any]]:
    """One frame for each moment so far, in order, from the index `since` on. pictures: with perturbations."""
    return [*islice(_frames(run, since if pictures else len(run.moments)), since, None)]


def _frames(run: Run, since: int) -> Iterator[dict[str, Any]]:
    """All frames; perturbations from the index `since` on."""
    count = 0

    def framed(found: Iterable[_Frame]) -> Iterator[dict[str, Any]]:
        nonlocal count
        for frame in found:
            yield _written(run, frame, packed=count >= since)
            count += 1

    attack = _attack_grid(run)
    yield from framed([_Frame(0, run.start, _saying("opening", run), attack)])
    if not run.control:
        yield from framed(_attack_frames(run, attack))
    if run.attack_finished or run.control:
        yield from framed([_Frame(2, run.before_defence, _saying("testing", run), attack)])
    yield from framed(_defence_frames(run))


@dataclass(frozen=True)
class _Frame:
    """A moment of an act and how it is told. say: in each depth; before: the moments before it in its act
    that are on the same grid; weights: see packed; answer [K]: to be shown instead of the bare model's."""

    act: int
    moment: Moment
    say: Callable[[Depth], str]
    grid: Grid
    step: int = 0
    of: int = 0
    before: tuple[Moment, ...] = ()
    weights: list[float] | None = None
    answer: torch.Tensor | None = None


def _saying(name: str, *given: Any) -> Callable[[Depth], str]:
    """What a depth says of a moment; name: of its function, which is given this."""
    return lambda depth: getattr(depth, name)(*given)


def _attack_grid(run: Run) -> Grid:
    row, settings = ATTACKS[run.settings.attack], run.settings
    if row.visible:
        return Grid.of(1.0)  # from black to white
    return Grid.of(
        settings.eps, settings.eps if row.single_step else 0 if row.own_step_size else settings.step_size
    )


def _attack_frames(run: Run, grid: Grid) -> Iterator[_Frame]:
    for step, moment in enumerate(run.attack):
        say = _saying("attacking", run, moment, step)
        yield _Frame(1, moment, say, grid, step, run.attack_steps, run.attack[:step])


def _defence_frames(run: Run) -> Iterator[_Frame]:
    steps, grids = run.defence_steps, defence_grids(run)
    for step, (moment, grid) in enumerate(zip(run.counterattack, grids, strict=True)):
        before = tuple(m for m, its in zip(run.defence[:step], grids) if its == grid)
        if moment is not run.final:
            say = _saying("countering", run, moment, step)
            yield _Frame(3, moment, say, grid, step, steps, before)
            continue
        weights = final_weights(run)
        weights = weights if weights and len(weights) == len(before) else None
        say = _saying("outcome", run)
        yield _Frame(3, moment, say, grid, steps + 1, steps, before, weights, run.defended)


def _written(run: Run, frame: _Frame, packed: bool) -> dict[str, Any]:
    """A frame as JSON; packed: with its perturbation."""
    moment, grid, act = frame.moment, frame.grid, frame.act
    shown = moment.probabilities if frame.answer is None else frame.answer
    values, order = shown.topk(min(SHOWN_LABELS, len(run.settings.labels)))
    told = packed and act in (1, 3)
    return {
        "act": act,
        "step": frame.step,
        "of": frame.of,
        "say": frame.say(DEPTHS[USUAL]),
        "depths": {key: frame.say(depth) for key, depth in DEPTHS.items() if key != USUAL},
        "by": (None, "attack", None, words.adding(run))[act],
        "scale": grid.scale * 255,
        "levels": grid.levels,
        "stride": grid.stride,
        "weights": frame.weights,
        "delta": told_beyond(moment, grid, frame.before, frame.weights) if told else "",
        "drift": round(run.drift(moment), 5),
        "push": round(run.push(moment), 5) if act == 3 else None,
        "strip": strip(moment.features[0]),
        "bars": "" if frame.answer is None else words.not_as_seen(run),
        "top": [[i, round(p, 5)] for i, p in zip(order.tolist(), values.tolist())],
    }


def _signals(run: Run) -> dict[str, Any]:
    """Both signals of the clean and the attacked picture, the one that gates first."""
    names, attacked = in_gate_order(run.signal), run.attacked_signals
    return {
        "names": [SIGNAL_NAMES[name] for name in names],
        "clean": [run.clean_signals[name] for name in names],
        "attacked": [attacked[name] for name in names] if attacked and not run.control else None,
    }


def _nudges(run: Run) -> dict[str, list[list[Any]]]:
    """The small changes that the test makes: [name, drift, label] of each, on the pictures it has seen."""
    found = {"clean": run.clean_signals}
    if run.attacked_signals and not run.control:
        found["attacked"] = run.attacked_signals
    return {
        picture: [[n.name, round(n.drift, 3), n.label] for n in signals.nudges]
        for picture, signals in found.items()
    }


def path_map(run: Run) -> dict[str, Any]:
    """The run's path in the embedding, in two dimensions: those in which its unit features move most from the
    clean picture's (by singular value decomposition), turned so that the attack goes to the right and the
    counterattack up.

    points [T,2], one for each frame, the clean picture at the origin; kept: the share of the squared movement
    that the two dimensions hold; labels: for the labels that matter here [index, x, y], the direction in
    which a label's text lies from the mean of all labels, the longest of length one.
    """
    attack, defence = () if run.control else run.attack, run.counterattack
    unit = F.normalize(torch.cat([m.features for m in run.moments]).double().cpu(), dim=-1)
    moves = unit - unit[0]
    basis = torch.linalg.svd(moves, full_matrices=False).Vh
    basis = F.pad(basis[:2], (0, 0, 0, max(0, 2 - len(basis))))
    points = moves @ basis.T
    ends = points[len(attack) if attack else -1, 0], points[-1, 1]
    turn = torch.tensor([-1.0 if end < 0 else 1.0 for end in ends], dtype=torch.float64)
    text = run.text.double().cpu()
    towards = (text - text.mean(0)) @ basis.T * turn
    chosen = dict.fromkeys(
        i
        for m in (run.start, *attack[-1:], *defence[-1:])
        for i in m.probabilities.topk(min(2, len(text))).indices.tolist()
    )
    if run.settings.target is not None:
        chosen[run.settings.target] = None
    longest = towards[list(chosen)].norm(dim=-1).max().clamp_min(1e-12)
    whole = moves.pow(2).sum().item()
    return {
        "points": [[round(v, 5) for v in p] for p in (points * turn).tolist()],
        "labels": [[i, *(round(v, 4) for v in (towards[i] / longest).tolist())] for i in chosen],
        "kept": round(points.pow(2).sum().item() / whole, 4) if whole else 1.0,
    }
