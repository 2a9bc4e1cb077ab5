"""A Run as a reel: the frames that a page plays, scrubs and draws by itself, as plain JSON.

    python -m demo_core.reel        makes the finished runs in assets/runs anew

A reel holds one frame for each moment of the run's four acts (picture, attack, test, counterattack). Perturbations are
whole numbers from -127 to 127 in units of their budget, three a pixel, in base64: precise enough to look at. For exact
floats there is `demo_core.takeaway`.
"""
from __future__ import annotations

import argparse
import base64
import gzip
import json
from dataclasses import asdict
from functools import lru_cache

import torch
import torch.nn.functional as F

from demo_core import story
from demo_core.attacks import ATTACKS
from demo_core.clip import ASSETS, MODELS, ZeroShotCLIP, load, study_of, surrogate_of
from demo_core.defenses import TAU
from demo_core.drift import Study
from demo_core.examples import EXAMPLES
from demo_core.pictures import as_url, open_picture, to_image, to_photo
from demo_core.plots import SIGNAL_NAMES, drift_backdrop, drift_top, in_gate_order, signal_backdrop, signal_tops
from demo_core.scenes import SCENES, Scene, scene_of
from demo_core.story import Moment, Run

FOLDER = ASSETS / "runs"
ACTS = ("The picture", "The attack", "The test", "The counterattack")
SHOWN_LABELS = 6


def reel(run: Run, study: Study | None = None, note: str = "", done: bool = True, name: str = "") -> dict:
    """The run so far. study: the model's, behind the signals; note: a few words on device and speed; done: nothing more
    will come; name: another for every press of a button, by which a page tells late frames from its own."""
    return {
        "run": name, "live": True, "labels": list(run.settings.labels), "size": run.pixels.shape[-1], "acts": list(ACTS), "control": run.control,
        "frames": frames(run), "signals": _signals(run), "map": path_map(run) if done else None,
        "budgets": [run.settings.eps * 255, run.profile.ttc.eps * 255],
        "verdict": {"text": story.verdict(run), "tone": tone(run), "note": note},
        "said": described(run), "done": done, "photo": photo_url(run.photo), **backdrops(run, study),
    }


def backdrops(run: Run, study: Study | None) -> dict:
    """The plots' axes, which do not depend on what the run finds unless it goes off them."""
    eps = run.settings.eps * 255
    return {"drift": asdict(drift_backdrop(run.attack_steps, run.profile.ttc.steps, run.control, drift_top(run))),
            "signal": asdict(signal_backdrop(run.profile.gate, run.profile.threshold, study, eps, signal_tops(run)))}


@lru_cache(maxsize=4)
def _photo_url(photo: bytes, side: int) -> str:
    return as_url(to_image(torch.frombuffer(bytearray(photo), dtype=torch.float32).view(3, side, side)), lossless=True, method=0)


def photo_url(photo: torch.Tensor) -> str:
    """The photo [3,P,P], without loss, as an address that holds it."""
    return _photo_url(photo.numpy().tobytes(), photo.shape[-1])


def tone(run: Run) -> str:
    """Whether things stand well: "good", "bad", or "wait" where that is not yet known."""
    found = run.defended if run.defended is not None else run.attacked
    if found is None:
        return "wait"
    if run.label(found) != run.label(run.clean):
        return "bad"
    return "good" if run.defended is not None else "wait"


def frames(run: Run) -> list[dict]:
    """One frame for each moment so far, in order."""
    eps, budget = run.settings.eps, run.profile.noise_eps if run.engaged is False else run.profile.ttc.eps
    by = "counterattack" if run.engaged else "probing noise" if run.profile.gate == TAU else ""
    clean, found = run.label(run.clean), []

    def add(act: int, moment: Moment, say: str, step: int, of: int, scale: float, answer: torch.Tensor | None = None) -> None:
        values, order = (moment.probabilities if answer is None else answer).topk(min(SHOWN_LABELS, len(run.settings.labels)))
        found.append({
            "act": act, "step": step, "of": of, "say": say, "scale": scale * 255, "by": (None, "attack", None, by)[act],
            "delta": packed(moment.delta, scale) if act in (1, 3) else "",
            "drift": round(run.drift(moment), 5), "push": round(run.push(moment), 5) if act == 3 else None,
            "top": [[i, round(p, 5)] for i, p in zip(order.tolist(), values.tolist())]})

    add(0, run.start, f"CLIP compares the picture with {len(run.settings.labels)} labels and finds “{clean}” likeliest"
        f" ({_percent(run.clean)}).{' It is not sure.' if run.clean.max() < 0.5 else ''}", 0, 0, eps)
    if not run.control:
        for step, moment in enumerate(run.attack):
            add(1, moment, _attack_words(run, moment, step), step, run.attack_steps, eps)
    if run.attack_finished or run.control:
        add(2, run.before_defence, _test_words(run), 0, 0, eps)
    for step, moment in enumerate(run.defence):
        add(3, moment, f"Step {step} of {run.profile.ttc.steps}: the same frozen model pushes the picture’s embedding away from where"
            f" {'it was' if run.control else 'the attacker left it'}. It says “{run.label(moment.probabilities)}”"
            f" ({_percent(moment.probabilities)}).", step, run.profile.ttc.steps, budget)
    if run.final is not None:
        add(3, run.final, story.outcome(run), run.profile.ttc.steps + 1, run.profile.ttc.steps, budget, run.defended)
    return found


def packed(delta: torch.Tensor, scale: float) -> str:
    """A perturbation [1,3,S,S] as bytes [S,S,3] in base64, -127 to 127 standing for -scale to scale."""
    levels = (delta[0].cpu() / max(scale, 1e-8) * 127).round().clamp(-127, 127).to(torch.int8)
    return base64.b64encode(levels.permute(1, 2, 0).contiguous().numpy().tobytes()).decode()


def _percent(probabilities: torch.Tensor) -> str:
    return f"{probabilities.max().item() * 100:.0f} %"


def _attack_words(run: Run, moment: Moment, step: int) -> str:
    row, eps = ATTACKS[run.settings.attack], f"{run.settings.eps * 255:g}/255"
    hidden = run.settings.eps * 255 <= 4.5  # on pictures as small as the pocket model's, more can be seen
    which = "towards the target" if row.targeted else "the wrong way"
    says = f"“{run.label(moment.probabilities)}” ({_percent(moment.probabilities)})"
    if step == run.attack_steps and run.attack_finished:
        if run.label(moment.probabilities) == run.label(run.clean):
            return f"No pixel moved by more than {eps}, and CLIP still says {says}."
        return f"No pixel moved by more than {eps}{', too little to see,' if hidden else ''} and CLIP says {says} instead of “{run.label(run.clean)}”."
    if step == 0 and not row.single_step:
        return f"{row.title} starts from random noise{' too faint to see' if hidden else ''}, at most {eps} a pixel. CLIP says {says}."
    return f"Step {step} of {run.attack_steps}: every pixel is pushed a little further {which}, never beyond {eps}. CLIP says {says}."


def _test_words(run: Run) -> str:
    value, line = story.told_apart(run.tested[run.profile.gate], run.profile.threshold)
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
    return {"names": [SIGNAL_NAMES[name] for name in names], "threshold": run.profile.threshold,
            "clean": [run.clean_signals[name] for name in names],
            "attacked": [run.attacked_signals[name] for name in names] if run.attack_finished and not run.control else None}


def path_map(run: Run) -> dict:
    """The run's path in the embedding, in two dimensions: those in which its unit features move most from the clean
    picture's (by singular value decomposition), turned so that the attack goes to the right and the counterattack up.

    points [T,2], one for each frame, the clean picture at the origin; kept: the share of the squared movement that the
    two dimensions hold; labels: for the labels that matter here [index, x, y], the direction in which a label's text
    lies from the mean of all labels, the longest of length one.
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
    chosen = dict.fromkeys(i for m in (run.start, *attack[-1:], *defence[-1:]) for i in m.probabilities.topk(min(2, len(text))).indices.tolist())
    if run.settings.target is not None:
        chosen[run.settings.target] = None
    longest = towards[list(chosen)].norm(dim=-1).max().clamp_min(1e-12)
    whole = moves.pow(2).sum().item()
    return {"points": [[round(v, 5) for v in p] for p in (points * turn).tolist()],
            "labels": [[i, *(round(v, 4) for v in (towards[i] / longest).tolist())] for i in chosen],
            "kept": round(points.pow(2).sum().item() / whole, 4) if whole else 1.0}


def described(run: Run) -> dict:
    """What the plots show, in words."""
    drift = [f"{name} from {values[0]:.2f} to {values[-1]:.2f} over {len(values) - 1} steps" for name, values in
             (("attack", run.attack_drift if not run.control else ()), ("counterattack", run.defence_drift)) if values]
    signals = [f"{name}: tau {found.tau:.3f}, view drift {found.view_drift:.3f}" for name, found in
               (("clean", run.clean_signals), ("attacked", None if run.control else run.attacked_signals)) if found]
    return {"drift": f"Relative drift of the embedding from the clean picture. {'; '.join(drift) or 'Nothing has moved yet'}.",
            "signal": f"Stability signals. {'; '.join(signals)}. The gate’s threshold is {run.profile.threshold:.3f}.",
            "map": "The path of the embedding in two dimensions: " + ("out by the attack, then the way of the counterattack."
                                                                      if run.attack else "it has not moved.")}


def made(scene: Scene, clip: ZeroShotCLIP | None = None) -> Run:
    """The scene's run, from beginning to end. Raises LabelError or ModelUnavailable."""
    clip = clip or load(scene.model)
    run = story.begin(clip, to_photo(open_picture(scene.example.path)), scene.settings, clip.profile)
    surrogate = load(surrogate_of(scene.model)) if ATTACKS[scene.attack].transfer else None
    return list(story.whole(clip, run, surrogate, control=scene.control))[-1]


def finished_scenes() -> dict[Scene, str]:
    """The scenes whose runs come with the demo, and the names of their files."""
    named = {preset.scene: f"preset-{key}" for key, preset in SCENES.items()}
    return named | {scene_of(e.title): e.title.replace(" ", "-") for e in EXAMPLES if scene_of(e.title) not in named}


@lru_cache(maxsize=64)
def stored(scene: Scene) -> dict | None:
    """The finished reel of a scene that came with the demo; None where it did not, or where its photograph is missing."""
    name = finished_scenes().get(scene)
    path = FOLDER / f"{name}.json.gz"
    if name is None or not path.exists():
        return None
    found = json.loads(gzip.decompress(path.read_bytes()))
    row, steps, control, tops = MODELS[scene.model], found.pop("steps"), found["control"], found.pop("tops")
    return found | {
        "photo": photo_url(to_photo(open_picture(scene.example.path))),
        "drift": asdict(drift_backdrop(*steps, control, tops[0])),
        "signal": asdict(signal_backdrop(row.profile.gate, row.profile.threshold, study_of(scene.model), scene.eps, tuple(tops[1])))}


def store(scene: Scene, run: Run) -> None:
    """Keep a run's reel, without what is there anyway: the photograph and the axes."""
    kept = {key: value for key, value in reel(run).items() if key not in ("photo", "drift", "signal")}
    kept |= {"steps": [run.attack_steps, run.profile.ttc.steps], "tops": [drift_top(run), signal_tops(run)]}
    kept["run"], kept["live"] = finished_scenes()[scene], False
    kept["verdict"]["note"] = "a finished run that came with the demo"
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{finished_scenes()[scene]}.json.gz").write_bytes(
        gzip.compress(json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode(), mtime=0))


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    for scene, name in finished_scenes().items():
        run = made(scene)
        store(scene, run)
        print(f"{name}: {story.verdict(run)}")


if __name__ == "__main__":
    main()
