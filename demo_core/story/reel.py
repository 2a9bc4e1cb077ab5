"""A Run as a reel: the frames that a page plays, scrubs and draws by itself, as plain JSON.

    python -m demo_core.story.reel        makes the finished runs in assets/runs anew

A reel holds one frame for each moment of the run's four acts (picture, attack, test, counterattack). A
perturbation becomes whole numbers of at most 127 (see Grid): precise enough to look at. For exact floats
there is `demo_core.takeaway`. A frame holds only what the frames of its act before it do not tell (see
Grid.packed), and a message during a run only what earlier ones did not (see Messages).
"""

from __future__ import annotations

import argparse
import base64
import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import islice

import numpy as np
import torch
import torch.nn.functional as F

from demo_core import story
from demo_core.attacks import ATTACKS
from demo_core.clip import ZeroShotCLIP
from demo_core.counterattack import step_weights
from demo_core.defenses import TAU
from demo_core.drift import Study
from demo_core.examples import EXAMPLES
from demo_core.models import ASSETS, fit_of, load, profile_of, study_of, surrogate_of
from demo_core.pictures import as_url, open_picture, to_image, to_photo
from demo_core.plots import (
    SIGNAL_NAMES,
    drift_backdrop,
    drift_top,
    in_gate_order,
    signal_backdrop,
    signal_tops,
)
from demo_core.story import Moment, Run, words
from demo_core.story.scenes import SCENES, Scene, scene_of

FOLDER = ASSETS / "runs"
ACTS = ("The picture", "The attack", "The test", "The counterattack")
SHOWN_LABELS = 6
LOSSLESS_PHOTO = 450_000  # characters of a photo's address, beyond which it is sent with (unseen) losses
FINEST, COARSEST = 127, 96  # how many whole numbers a budget is divided into: they are sent as signed bytes


def reel(
    run: Run, study: Study | None = None, note: str = "", done: bool = True, name: str = "", since: int = 0
) -> dict:
    """The run so far. study: the model's, behind the signals; note: a few words on device and speed; done:
    nothing more will come; name: another for every press of a button, by which a page tells late frames from
    its own; since: the first frame that it holds."""
    return {
        "run": name,
        "live": True,
        "labels": list(run.settings.labels),
        "size": run.pixels.shape[-1],
        "acts": list(ACTS),
        "control": run.control,
        "since": since,
        "frames": frames(run, since),
        "signals": _signals(run),
        "map": path_map(run) if done else None,
        "budgets": [run.settings.eps * 255, run.profile.budget.eps * 255],
        "verdict": {"text": words.verdict(run), "tone": words.tone(run), "note": note},
        "said": described(run),
        "done": done,
        "photo": photo_url(run.photo),
        **backdrops(run, study),
    }


class Messages:
    """A reel in parts, for a page that a run is streamed to: each message holds the frames that are new, from
    the index `since` on, and of all else what has changed. A page that misses one (a browser that gets two at
    once may hear of the second only) sees the gap, and asks for the whole reel."""

    ALWAYS = ("run", "since", "frames", "done", "map")

    def __init__(self, name: str, study: Study | None = None):
        self.name, self.study = name, study
        self._known: dict = {}
        self._frames = 0

    def next(self, run: Run, note: str = "", done: bool = False) -> dict:
        """What is new since the last message."""
        found = reel(run, self.study, note, done, self.name, self._frames)
        self._frames += len(found["frames"])
        new = {k: v for k, v in found.items() if k in self.ALWAYS or self._known.get(k) != v}
        self._known |= {k: v for k, v in new.items() if k not in self.ALWAYS}
        return new


def backdrops(run: Run, study: Study | None) -> dict:
    """The plots' axes, which do not depend on what the run finds unless it goes off them."""
    eps = run.settings.eps * 255
    drift = drift_backdrop(run.attack_steps, run.profile.budget.steps, run.control, drift_top(run))
    signal = signal_backdrop(run.profile.gate, run.profile.threshold, study, eps, signal_tops(run))
    return {"drift": asdict(drift), "signal": asdict(signal)}


@lru_cache(maxsize=32)
def _photo_url(photo: bytes, side: int) -> str:
    picture = to_image(torch.frombuffer(bytearray(photo), dtype=torch.float32).view(3, side, side))
    exact = as_url(picture, lossless=True, method=1)
    return exact if len(exact) <= LOSSLESS_PHOTO else as_url(picture, quality=95)


def photo_url(photo: torch.Tensor) -> str:
    """The photo [3,P,P] as an address that holds it, to be shown: without loss unless that is much too long,
    as of noise. Pictures to take away do not come from it."""
    return _photo_url(photo.numpy().tobytes(), photo.shape[-1])


@dataclass(frozen=True)
class Grid:
    """How the perturbations of an act are written: whole numbers from -levels to levels for -scale to scale
    (in pixel units). stride: by how many of them one step of a signed attack moves a value; 0: its steps are
    of no one size."""

    scale: float
    levels: int = FINEST
    stride: int = 0

    @staticmethod
    def of(scale: float, step_size: float = 0.0) -> Grid:
        """The finest grid on which a step is a whole number, or nearly: then of a step there is hardly more
        to tell than its sign."""
        if scale <= 0 or step_size <= 0:
            return Grid(scale)
        share = step_size / scale
        levels = min(range(FINEST, COARSEST, -1), key=lambda n: round(abs(share * n - round(share * n)), 6))
        return Grid(scale, levels, round(min(share, 2) * levels))

    def values(self, delta: torch.Tensor) -> np.ndarray:
        """A perturbation [1,3,S,S] as int16 [3,S,S]."""
        whole = np.floor(delta[0].cpu().double().numpy() / max(self.scale, 1e-8) * self.levels + 0.5)
        return whole.clip(-self.levels, self.levels).astype(np.int16)

    def packed(
        self, values: np.ndarray, before: np.ndarray | None = None, expected: np.ndarray | None = None
    ) -> str:
        """What values [3,S,S] tell beyond those of the step before, or beyond what is expected: deflated, in
        base64.

        By plain differences, in signed bytes that wrap around. After a signed step: first a bit for each
        value, whether it went a stride up or down (the budget bounding it), eight to a byte, then the
        differences from that, nearly all of them zero. The bits are a step's whole content, so shorter it
        hardly gets.
        """
        bits = b""
        if expected is None:
            expected = 0 if before is None else before
            if before is not None and self.stride:
                up = (values > before) | ((values == before) & (before > 0))
                expected = before + np.where(up, self.stride, -self.stride)
                expected = expected.clip(-self.levels, self.levels)
                bits = np.packbits(up).tobytes()
        deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        told = bits + (values - expected).astype(np.int8).tobytes()
        return base64.b64encode(deflate.compress(told) + deflate.flush()).decode()


def weighted(weights: list[float], steps: list[np.ndarray]) -> np.ndarray:
    """What the weighted sum of an act's steps [3,S,S] should be, as int16; computed as the page does, to the
    last bit."""
    total = np.zeros(steps[0].shape)
    for weight, values in zip(weights, steps, strict=True):
        total += weight * values
    return np.floor(total + 0.5).astype(np.int16)


def frames(run: Run, since: int = 0, pictures: bool = True) -> list[dict]:
    """One frame for each moment so far, in order, from the index `since` on. pictures: with perturbations."""
    return [*islice(_frames(run, since if pictures else len(run.moments)), since, None)]


def _frames(run: Run, since: int) -> Iterator[dict]:
    """All frames; perturbations from the index `since` on."""
    row, settings, budget = ATTACKS[run.settings.attack], run.settings, run.profile.budget
    step_size = settings.eps if row.single_step else 0 if row.own_step_size else settings.step_size
    attack = Grid.of(settings.eps, step_size)
    defence = Grid.of(run.profile.noise_eps if run.engaged is False else budget.eps, budget.step_size)
    by = "counterattack" if run.engaged else "probing noise" if run.profile.gate == TAU else ""
    count, labels = 0, settings.labels

    def frame(
        act: int,
        moment: Moment,
        say: str,
        step: int = 0,
        of: int = 0,
        grid: Grid = attack,
        before: tuple[Moment, ...] = (),
        answer: torch.Tensor | None = None,
    ) -> dict:
        """before: the moments before it in its act; answer [K]: to be shown instead of the bare model's."""
        nonlocal count
        weights = step_weights(budget).tolist() if moment is run.final and before else None
        delta, count = "", count + 1
        if act in (1, 3) and count > since:
            last = grid.values(before[-1].delta) if before else None
            expected = weighted(weights, [grid.values(m.delta) for m in before]) if weights else None
            delta = grid.packed(grid.values(moment.delta), last, expected)
        shown = moment.probabilities if answer is None else answer
        values, order = shown.topk(min(SHOWN_LABELS, len(labels)))
        return {
            "act": act,
            "step": step,
            "of": of,
            "say": say,
            "by": (None, "attack", None, by)[act],
            "scale": grid.scale * 255,
            "levels": grid.levels,
            "stride": grid.stride,
            "weights": weights,
            "delta": delta,
            "drift": round(run.drift(moment), 5),
            "push": round(run.push(moment), 5) if act == 3 else None,
            "top": [[i, round(p, 5)] for i, p in zip(order.tolist(), values.tolist())],
        }

    doubt = words.caveat(run) or ("It is not sure." if run.unsure else "")
    doubt = f" {doubt}" if doubt else ""
    yield frame(
        0,
        run.start,
        f"CLIP compares the picture with {len(labels)} labels and finds"
        f" “{run.label(run.clean)}” likeliest ({_percent(run.clean)}).{doubt}",
    )
    for step, moment in enumerate(() if run.control else run.attack):
        said = _attack_words(run, moment, step)
        yield frame(1, moment, said, step, run.attack_steps, attack, run.attack[:step])
    if run.attack_finished or run.control:
        yield frame(2, run.before_defence, _test_words(run))
    where = "it was" if run.control else "the attacker left it"
    for step, moment in enumerate(run.defence):
        said = (
            f"Step {step} of {budget.steps}: the same frozen model pushes the picture’s embedding away from"
            f" where {where}. It says “{run.label(moment.probabilities)}” ({_percent(moment.probabilities)})."
        )
        yield frame(3, moment, said, step, budget.steps, defence, run.defence[:step])
    if run.final is not None:
        yield frame(
            3,
            run.final,
            words.outcome(run),
            budget.steps + 1,
            budget.steps,
            defence,
            run.defence,
            run.defended,
        )


def _percent(probabilities: torch.Tensor) -> str:
    return f"{probabilities.max().item() * 100:.0f} %"


def _attack_words(run: Run, moment: Moment, step: int) -> str:
    row, eps = ATTACKS[run.settings.attack], f"{run.settings.eps * 255:g}/255"
    hidden = run.settings.eps * 255 <= 4.5  # of more, a keen eye sees something in smooth places
    which = "towards the target" if row.targeted else "the wrong way"
    says = f"“{run.label(moment.probabilities)}” ({_percent(moment.probabilities)})"
    if step == run.attack_steps and run.attack_finished:
        if run.label(moment.probabilities) == run.label(run.clean):
            return f"No pixel moved by more than {eps}, and CLIP still says {says}."
        unseen = ", too little to see," if hidden else ""
        return (
            f"No pixel moved by more than {eps}{unseen} and CLIP says {says} instead of"
            f" “{run.label(run.clean)}”."
        )
    if step == 0 and not row.single_step:
        faint = " too faint to see" if hidden else ""
        return f"{row.title} starts from random noise{faint}, at most {eps} a pixel. CLIP says {says}."
    return (
        f"Step {step} of {run.attack_steps}: every pixel is pushed a little further {which}, never beyond"
        f" {eps}. CLIP says {says}."
    )


def _test_words(run: Run) -> str:
    value, line = words.told_apart(run.tested[run.profile.gate], run.profile.threshold)
    engages = bool(run.profile.engages(torch.tensor(run.tested[run.profile.gate])))
    if run.profile.gate == TAU:
        what = f"A little noise moves its embedding by {value} of its length"
        why = f"below {line} it is suspiciously still" if engages else f"not below {line}, so it looks clean"
    else:
        what = f"Nudged by one pixel or mirrored, its embedding moves by {value} of its length"
        why = f"over {line} it is suspiciously unsteady" if engages else f"not over {line}, so it looks clean"
    return f"Does it hold still? {what}: {why}."


def _signals(run: Run) -> dict:
    """Both signals of the clean and the attacked picture, the one that gates first."""
    names = in_gate_order(run.profile.gate)
    return {
        "names": [SIGNAL_NAMES[name] for name in names],
        "threshold": run.profile.threshold,
        "clean": [run.clean_signals[name] for name in names],
        "attacked": [run.attacked_signals[name] for name in names]
        if run.attack_finished and not run.control
        else None,
    }


def path_map(run: Run) -> dict:
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


def described(run: Run) -> dict:
    """What the plots show, in words."""
    drift = [
        f"{name} from {values[0]:.2f} to {values[-1]:.2f} over {len(values) - 1} steps"
        for name, values in (
            ("attack", run.attack_drift if not run.control else ()),
            ("counterattack", run.defence_drift),
        )
        if values
    ]
    signals = [
        f"{name}: tau {found.tau:.3f}, view drift {found.view_drift:.3f}"
        for name, found in (
            ("clean", run.clean_signals),
            ("attacked", None if run.control else run.attacked_signals),
        )
        if found
    ]
    return {
        "drift": f"Relative drift of the embedding from the clean picture. {'; '.join(drift) or 'Nothing has moved yet'}.",
        "signal": f"Stability signals. {'; '.join(signals)}. The gate’s threshold is {run.profile.threshold:.3f}.",
        "map": "The path of the embedding in two dimensions: "
        + ("out by the attack, then the way of the counterattack." if run.attack else "it has not moved."),
    }


def made(scene: Scene, clip: ZeroShotCLIP | None = None) -> Run:
    """The scene's run, from beginning to end. Raises LabelError or ModelUnavailable."""
    clip = clip or load(scene.model)
    run = story.begin(
        clip,
        to_photo(open_picture(scene.example.path)),
        scene.settings,
        profile_of(scene.model),
        fit_of(scene.model),
    )
    surrogate = load(surrogate_of(scene.model)) if ATTACKS[scene.attack].transfer else None
    return list(story.whole(clip, run, surrogate, control=scene.control))[-1]


def finished_scenes() -> dict[Scene, str]:
    """The scenes whose runs come with the demo, and the names of their files."""
    named = {preset.scene: f"preset-{key}" for key, preset in SCENES.items()}
    return named | {
        scene_of(e.title): e.title.replace(" ", "-") for e in EXAMPLES if scene_of(e.title) not in named
    }


@lru_cache(maxsize=64)
def stored(scene: Scene) -> dict | None:
    """The finished reel of a scene that came with the demo; None where it did not, or where its photograph is
    missing."""
    name = finished_scenes().get(scene)
    path = FOLDER / f"{name}.json.gz"
    if name is None or not path.exists():
        return None
    found = json.loads(gzip.decompress(path.read_bytes()))
    profile, steps, tops = profile_of(scene.model), found.pop("steps"), found.pop("tops")
    gate, study = (profile.gate, profile.threshold), study_of(scene.model)
    return found | {
        "photo": photo_url(to_photo(open_picture(scene.example.path))),
        "drift": asdict(drift_backdrop(*steps, found["control"], tops[0])),
        "signal": asdict(signal_backdrop(*gate, study, scene.eps, tuple(tops[1]))),
    }


def store(scene: Scene, run: Run) -> None:
    """Keep a run's reel, without what is there anyway: the photograph and the axes."""
    kept = {key: value for key, value in reel(run).items() if key not in ("photo", "drift", "signal")}
    kept |= {
        "steps": [run.attack_steps, run.profile.budget.steps],
        "tops": [drift_top(run), signal_tops(run)],
    }
    kept["run"], kept["live"] = finished_scenes()[scene], False
    kept["verdict"]["note"] = "a finished run that came with the demo"
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{finished_scenes()[scene]}.json.gz").write_bytes(
        gzip.compress(json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode(), mtime=0)
    )


def main() -> None:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    for scene, name in finished_scenes().items():
        run = made(scene)
        store(scene, run)
        print(f"{name}: {words.verdict(run)}")


if __name__ == "__main__":
    main()
