"""A run as files: pictures, an animation for slides, the figure, and the numbers, exactly."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont

from demo_core.defenses.drift import Study
from demo_core.pictures import enlarged, perturb, to_image
from demo_core.plots import ATTACKED, CLEAN, DEFENDED, as_file
from demo_core.story import Moment, Run
from demo_core.story.gate_words import in_tenths
from demo_core.story.reel import frames, path_map
from demo_core.story.run_figure import run_figure
from demo_core.story.settings import as_given
from demo_core.story.summary import alone
from demo_core.story.words import ACTS, verdict

SLIDE = (800, 450)
HOLD, PAUSE = 160, 1800  # milliseconds of a frame, and of the last one of an act


class NotThere(ValueError):
    """The run does not hold what was asked for. The message is one sentence that says what to do."""


def _png(picture: Callable[[Run], Image.Image]) -> Callable[[Run, Study | None], bytes]:
    def saved(run: Run, study: Study | None = None) -> bytes:
        file = io.BytesIO()
        picture(run).save(file, "PNG")
        return file.getvalue()

    return saved


def clean_picture(run: Run) -> Image.Image:
    """The clean picture, as the model is given it."""
    return to_image(run.photo)


def attacked_picture(run: Run) -> Image.Image:
    """The attacked picture: saved without loss and uploaded again, it still fools the model. Raises
    NotThere."""
    if run.attack_delta is None:
        raise NotThere("There is no attacked picture in this run: press Attack first.")
    return to_image(perturb(run.photo, run.attack_delta))


def defended_picture(run: Run) -> Image.Image:
    """The picture after the defence. Raises NotThere."""
    if run.final is None:
        raise NotThere("There is no defended picture in this run: press Counterattack first.")
    return to_image(perturb(run.photo, run.before_defence.delta + run.final.delta))


def numbers(run: Run) -> dict[str, Any]:
    """Settings, and for every frame the drift, the push and all probabilities; pictures are in the NPZ. Of a
    second row what it made of the same picture, under `beside`."""
    return {
        "settings": as_given(run.settings),
        "profile": asdict(run.profile),
        "control": run.control,
        "signals": {
            "clean": asdict(run.clean_signals),
            "attacked": asdict(run.attacked_signals) if run.attacked_signals else None,
        },
        "clean": run.clean.tolist(),
        "attack": [_moment(run, m) for m in run.attack],
        **_defence(run),
        "map": path_map(run),
        "beside": {"defense": run.beside.settings.defense} | _defence(run.beside) if run.beside else None,
    }


def _defence(run: Run) -> dict[str, Any]:
    return {
        "verdict": verdict(run),
        "engaged": run.engaged,
        "defended": run.defended.tolist() if run.defended is not None else None,
        "counterattack": [_moment(run, m) | {"push": run.push(m)} for m in run.counterattack],
    }


def _moment(run: Run, moment: Moment) -> dict[str, Any]:
    return {
        "drift": run.drift(moment),
        "probabilities": moment.probabilities.tolist(),
        "milliseconds": moment.milliseconds,
    }


def run_json(run: Run, study: Study | None = None) -> bytes:
    return json.dumps(numbers(run), ensure_ascii=False, indent=1).encode()


def run_npz(run: Run, study: Study | None = None) -> bytes:
    """Exact float32 arrays: photo [3,P,P], pixels [1,3,S,S], and for each act deltas [T,3,S,S], features
    [T,D] and probabilities [T,K]; text features [K,D]. Of a second row what it made of the same picture,
    under names that begin with `beside_`."""
    arrays: dict[str, Any] = {
        "photo": run.photo,
        "pixels": run.pixels,
        "text": run.text,
        "clean_features": run.start.features,
        "clean_probabilities": run.clean,
    }
    arrays |= _stacked("attack", run.attack) | _of_defence(run)
    if run.beside:
        arrays |= {f"beside_{name}": array for name, array in _of_defence(run.beside).items()}
    file = io.BytesIO()
    plain: dict[str, Any] = {
        name: np.asarray(a if isinstance(a, np.ndarray) else a.cpu()) for name, a in arrays.items()
    }
    np.savez_compressed(file, **plain)
    return file.getvalue()


def _of_defence(run: Run) -> dict[str, Any]:
    answer = {} if run.defended is None else {"answer": run.defended}
    ended = [run.final] if run.final else []
    return _stacked("counterattack", run.defence) | _stacked("defended", ended) | answer


def _stacked(name: str, moments: Sequence[Moment]) -> dict[str, np.ndarray]:
    """The arrays of an act; none of one without moments."""
    found = {}
    for field in ("delta", "features", "probabilities") if moments else ():
        rows = [getattr(m, field).cpu().numpy() for m in moments]
        found[f"{name}_{field}"] = np.stack(rows) if field == "probabilities" else np.concatenate(rows)
    return found


def _figure(run: Run, study: Study | None, kind: str) -> bytes:
    return as_file(run_figure(run, path_map(run), study), kind)


def run_svg(run: Run, study: Study | None = None) -> bytes:
    return _figure(run, study, "svg")


def run_pdf(run: Run, study: Study | None = None) -> bytes:
    return _figure(run, study, "pdf")


def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(str(folder / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf")), size)


def _wrapped(draw: ImageDraw.ImageDraw, words: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    lines = [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".strip()
        if draw.textlength(longer, font=font) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return "\n".join(lines)


def run_gif(run: Run, study: Study | None = None) -> bytes:
    """The run as an animation for slides: the picture, the perturbation, what CLIP says, and the story."""
    found, settings = frames(run), alone(run)
    slides = []
    for frame, moment in zip(found, run.moments, strict=True):
        slide = Image.new("RGB", SLIDE, "white")
        draw, act = ImageDraw.Draw(slide), frame["act"]
        colour = (CLEAN, ATTACKED, ATTACKED, DEFENDED)[act]
        seen = (
            run.photo
            + F.interpolate(
                (moment.delta + (run.before_defence.delta if act == 3 else 0)).cpu(), run.photo.shape[-1]
            )[0]
        )
        picture = Image.fromarray((seen.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy())
        slide.paste(picture.resize((320, 320), Image.Resampling.BOX), (24, 24))
        budget = frame["scale"] / 255
        slide.paste(enlarged(moment.delta, budget).resize((150, 150), Image.Resampling.NEAREST), (626, 24))
        draw.text((626, 180), f"perturbation, ±{budget * 255:g}/255", "black", _font(11))
        draw.text((366, 24), ACTS[act], colour, _font(21, bold=True))
        draw.text((366, 54), _wrapped(draw, settings, _font(11), 240), "black", _font(11))
        for row, (index, share) in enumerate(frame["top"][:5]):
            y = 84 + row * 36
            draw.text((366, y), run.settings.labels[index][:24], "black", _font(14, bold=row == 0))
            draw.rectangle((366, y + 19, 366 + 200 * share, y + 26), fill=colour)
            draw.text((572, y + 14), in_tenths(share), "black", _font(12))
        font = _font(16)
        draw.multiline_text(
            (24, 362), _wrapped(draw, frame["say"], font, SLIDE[0] - 48), "black", font, spacing=5
        )
        slides.append(slide.quantize(128, dither=Image.Dither.NONE))
    last_of_act = [
        i + 1 == len(found) or found[i + 1]["act"] != frame["act"] for i, frame in enumerate(found)
    ]
    file = io.BytesIO()
    slides[0].save(
        file,
        "GIF",
        save_all=True,
        append_images=slides[1:],
        loop=0,
        optimize=False,
        duration=[PAUSE if last else HOLD for last in last_of_act],
    )
    return file.getvalue()


@dataclass(frozen=True)
class Takeaway:
    """title: what the button says; file: its name; make: (run, study) -> bytes, or NotThere; alone: whether
    of two defences side by side it shows the first one only."""

    title: str
    file: str
    make: Callable[[Run, Study | None], bytes]
    alone: bool = False


TAKEAWAYS: dict[str, Takeaway] = {
    "clean": Takeaway("Clean picture (PNG)", "clean.png", _png(clean_picture)),
    "attacked": Takeaway("Attacked picture (PNG)", "attacked.png", _png(attacked_picture)),
    "defended": Takeaway("Defended picture (PNG)", "defended.png", _png(defended_picture), alone=True),
    "gif": Takeaway("Animation for slides (GIF)", "run.gif", run_gif, alone=True),
    "svg": Takeaway("Figure (SVG)", "run.svg", run_svg, alone=True),
    "pdf": Takeaway("Figure (PDF)", "run.pdf", run_pdf, alone=True),
    "json": Takeaway("Numbers (JSON)", "run.json", run_json),
    "npz": Takeaway("Exact floats (NPZ)", "run.npz", run_npz),
}
