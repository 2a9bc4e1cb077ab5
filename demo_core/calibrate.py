"""Measure the gates of the table on a model of one's own: how far its embedding drifts on photographs, clean
and attacked.

    python -m demo_core.calibrate --model vit-b-32 --pictures folder

Writes study.json and study.svg into the model's folder in the cache ($CLIP_CACHE_DIR); from then on the page,
also one that runs already, draws what was measured behind each run, and says which gates can be trusted on
this model. Nothing is trained and no threshold is moved. The attacks are PGD from the model's own prediction,
so that no true label leaks. False stability (Xing et al., CVPR 2025) is an AUC near 1: attacked pictures
drift less under noise than clean ones. Beside every AUC stands the attack's eps over the median flip eps: how
far past the decision boundary the attack may go.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import torch
from tqdm import tqdm

from demo_core.ascent import last, uniform
from demo_core.attacks import pgd
from demo_core.benchmark.folders import LayoutError, pictures_in
from demo_core.benchmark.piles import held
from demo_core.benchmark.trials import Trial
from demo_core.benchmark.whole import WholePile, auc
from demo_core.clip import ZeroShotCLIP
from demo_core.defenses import DEFENSES, TAU, VIEW_DRIFT, Profile, view_drift, view_features
from demo_core.defenses.drift import (
    CLEAN_PILE,
    GROWTH,
    LEVELS,
    NOISE_STRENGTHS,
    ORIGINAL,
    OWN,
    TAU_STRENGTH,
    Row,
    Study,
    growth,
    noise_drifts,
    view_drifts,
)
from demo_core.examples import EXAMPLES
from demo_core.labels import PRESETS
from demo_core.models import (
    MODELS,
    REFUSALS,
    ModelUnavailable,
    add_model_options,
    keep_study,
    load,
    named_model,
    profile_of,
)
from demo_core.moments import exhausted
from demo_core.pictures import PictureError, open_picture, to_photo, to_pixels
from demo_core.plots import as_file, study_figure
from demo_core.stand_in import each_counted
from demo_core.story.trust import verdicts
from demo_core.story.trust_words import said

Encode = Callable[[torch.Tensor], torch.Tensor]
Measures = dict[tuple[str, float], torch.Tensor]  # (probe, strength) -> [N]
Steps = Generator[Study | None, None, Study]
ATTACKS = ((1, 10), (4, 10), (8, 10))  # eps in 1/255, steps
FEW = ATTACKS[:2]  # of somebody who waits for them
FLIP_GRID = tuple(2.0**k for k in range(-5, 4))  # in 1/255
WORDS = tuple(dict.fromkeys(word for words in PRESETS.values() for word in words))
GATED = {  # what gates of the table read beside both signals, and a row that reads it
    gate.signal: key
    for key, row in DEFENSES.items()
    if row.signal and (gate := row.gate(Profile())) and gate.signal not in (TAU, VIEW_DRIFT)
}


def drifts_of(encode: Encode, x: torch.Tensor, unit: torch.Tensor) -> Measures:
    """Relative drift [B] of every picture [B,3,S,S], by probe; tau is the drift under the noise that defines
    it."""
    views = view_features(encode, x)
    over_noise = noise_drifts(encode, x, unit, views[0])
    found: Measures = {("noise", s): drift for s, drift in zip(NOISE_STRENGTHS, over_noise, strict=True)}
    found |= {
        (TAU, 0): found["noise", TAU_STRENGTH],
        (VIEW_DRIFT, 0): view_drift(views),
        (GROWTH, 0): growth(over_noise),
    }
    return found | {(name, 0): drift for name, drift in view_drifts(encode, x, views).items()}


def gates_of(clip: ZeroShotCLIP, x: torch.Tensor, profile: Profile, seed: int) -> Measures:
    """What the other gates of the table read [B] of every picture [B,3,S,S], on dice of the seed."""
    found: Measures = {}
    for name, key in GATED.items():
        signal = DEFENSES[key].signal_on(profile)
        assert signal is not None  # GATED has none without
        found[name, 0] = signal(clip, x, torch.Generator().manual_seed(seed))
    return found


@torch.no_grad()
def _measured(whole: WholePile, number: int, x: torch.Tensor, encoder: str, profile: Profile) -> Measures:
    clip = whole.clip
    encode = clip.original.encode if encoder == ORIGINAL and clip.original else clip.encode
    unit = uniform(x.shape, torch.Generator().manual_seed(3000 + number)).to(x.device)
    found = drifts_of(encode, x, unit)
    if encoder == (ORIGINAL if clip.original else OWN):
        found |= gates_of(clip, x, profile, 4000 + number)
    return {key: values.cpu() for key, values in found.items()}


def _flip_levels(
    whole: WholePile, rows: torch.Tensor, predicted: torch.Tensor
) -> Generator[None, None, torch.Tensor]:
    """Returns for each picture [N] the first place of FLIP_GRID at which PGD-10 (step eps/4, from the picture
    itself) changes its prediction [N]; the grid's length where none does. rows: of the pile."""
    levels = torch.full((len(rows),), len(FLIP_GRID))
    for level, eps in enumerate(FLIP_GRID):
        standing = (levels > level).nonzero()[:, 0]
        if len(standing):
            stand = _stand(whole, rows[standing], predicted[standing], eps)
            levels[standing[~stand]] = level
            yield
    return levels


def _stand(whole: WholePile, rows: torch.Tensor, predicted: torch.Tensor, eps: float) -> torch.Tensor:
    x, y = whole.pictures[rows].to(whole.clip.device), predicted.to(whole.clip.device)
    eps, start = eps / 255, torch.zeros_like(x)
    steps = pgd(whole.bare, x, y, eps=eps, step_size=eps / 4, steps=10, start=start)
    with torch.no_grad():
        return (whole.bare(x + last(steps).delta).argmax(1) == y).cpu()


def median_flip_eps(levels: torch.Tensor) -> float:
    """The eps, in 1/255, at which half the predictions have changed: read off FLIP_GRID, between whose points
    it is interpolated on the logarithm. levels [N]: see _flip_levels."""
    before = 0.0
    for level, eps in enumerate(FLIP_GRID):
        flipped = (levels <= level).float().mean().item()
        if flipped >= 0.5:
            part = (0.5 - before) / (flipped - before) if level else 1.0
            return round(eps * 2 ** (part - 1), 4)
        before = flipped
    return math.inf


@dataclass
class _Gathered:
    """What was measured of the pictures so far, batch by batch: by encoder and pile, with its eps; and their
    flip levels."""

    measures: dict[tuple[str, str, float], list[Measures]] = field(default_factory=dict)
    levels: list[torch.Tensor] = field(default_factory=list)

    def add(self, encoder: str, pile: str, eps: float, found: Measures) -> None:
        self.measures.setdefault((encoder, pile, eps), []).append(found)

    def study(self, title: str, labels: int) -> Study:
        rows: list[Row] = []
        clean: dict[str, Measures] = {}
        for (encoder, pile, eps), batches in sorted(
            self.measures.items(), key=lambda item: item[0][0] != OWN
        ):
            found = {key: torch.cat([batch[key] for batch in batches]) for key in batches[0]}
            rows += _rows(pile, eps, encoder, clean.get(encoder), found)
            clean.setdefault(encoder, found)
        levels = torch.cat(self.levels)
        return Study(title, len(levels), labels, median_flip_eps(levels), rows)


def _rows(pile: str, eps: float, encoder: str, clean: Measures | None, found: Measures) -> Iterable[Row]:
    for (probe, strength), values in found.items():
        quantiles = [round(q, 5) for q in values.quantile(torch.tensor(LEVELS)).tolist()]
        higher = round(auc(clean[probe, strength], values), 4) if clean else None
        yield Row(pile, eps, encoder, probe, strength, quantiles, higher)


def studied(
    whole: WholePile,
    title: str,
    profile: Profile = Profile(),
    attacks: tuple[tuple[float, int], ...] = ATTACKS,
) -> Steps:
    """The study of the pile's pictures, which is returned too. Yields after each piece of the work, at most
    as often as `most_steps` says, so that whoever asked can end it there: None, and after each batch the
    study of the pictures so far."""
    gathered, found = _Gathered(), None
    for number, rows in enumerate(torch.arange(len(whole.pictures)).split(whole.batch)):
        yield from _measure(whole, number, rows, profile, attacks, gathered)
        found = gathered.study(title, whole.text.shape[0])
        yield found
    assert found is not None  # no pile is empty
    return found


def _measure(
    whole: WholePile,
    number: int,
    rows: torch.Tensor,
    profile: Profile,
    attacks: tuple[tuple[float, int], ...],
    gathered: _Gathered,
) -> Iterator[None]:
    """A batch of the pile, clean and under each attack."""
    batch = whole.pile.load(rows)
    piles = {CLEAN_PILE: (0.0, whole.pictures[rows].to(whole.clip.device))}
    for eps, steps in attacks:
        attacked = whole.attacked(Trial("pgd", eps, steps, predicted=True), batch)
        piles[f"PGD-{steps}, eps {eps:g}/255"] = (eps, attacked)
        yield
    for encoder in (OWN, ORIGINAL) if whole.clip.original else (OWN,):
        for pile, (eps, x) in piles.items():
            gathered.add(encoder, pile, eps, _measured(whole, number, x, encoder, profile))
            yield
    predicted = whole.predict(whole.pictures[rows])
    gathered.levels.append((yield from _flip_levels(whole, rows, predicted)))


def most_steps(whole: WholePile, attacks: tuple[tuple[float, int], ...] = ATTACKS) -> int:
    """Of how many pieces the work of `studied` is, where the model stands at every eps."""
    encoders = 2 if whole.clip.original else 1
    batches = math.ceil(len(whole.pictures) / whole.batch)
    return batches * (1 + len(attacks) + encoders * (1 + len(attacks)) + len(FLIP_GRID))


def usual_cost(
    profile: Profile, tuned: bool, attacks: tuple[tuple[float, int], ...] = ATTACKS
) -> tuple[float, float]:
    """Passes forward and back of the study of one picture: midway between a model that stands at every eps
    and one that falls at the least, counted before models that stand in."""

    def study(clip: ZeroShotCLIP, noise: torch.Tensor) -> None:
        pictures = (noise.detach() * 255).byte()
        whole = WholePile(clip, held(pictures, torch.zeros(len(pictures), dtype=torch.long), WORDS), 1)
        exhausted(studied(whole, "", profile, attacks))

    found = each_counted(study, tuned, gradient=True)
    return fmean(p.forward for p in found), fmean(p.backward for p in found)


# ---------------------------------------------------------------- pictures of one's own


def whole_pile_of(
    clip: ZeroShotCLIP, template: str, paths: Iterable[str | Path], batch: int = 1
) -> WholePile:
    """The pictures at these paths, as the Lab takes them, before the words of its lists. Raises
    PictureError."""
    side = clip.image_size
    pixels = torch.cat([to_pixels(to_photo(open_picture(path), side), side) for path in paths])
    whole, nobody = (pixels * 255).round().byte(), torch.zeros(len(pixels), dtype=torch.long)
    return WholePile(clip, held(whole, nobody, WORDS, template=template), batch)


def example_pictures() -> list[str]:
    """What is measured on where nobody names a folder."""
    return [example.path for example in EXAMPLES]


def _readable(folder: Path, most: int) -> list[Path]:
    """Pictures of a folder, evenly chosen. Raises LayoutError where it has none that can be read."""
    if not folder.is_dir():
        raise LayoutError(f"there is no folder {folder}")
    found, paths = [], pictures_in(folder)
    for path in paths[:: max(1, len(paths) // most)][:most]:
        try:
            open_picture(path)
            found.append(path)
        except PictureError as error:
            print(f"Left out: {path} ({error})", flush=True)
    if len(found) < 2:
        raise LayoutError(f"fewer than two pictures of {folder} can be read")
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_model_options(parser)
    parser.add_argument(
        "--pictures", type=Path, help="a folder of photographs; else those that come with the demo"
    )
    parser.add_argument("--limit", type=int, default=40, help="at most so many (default: %(default)s)")
    return parser.parse_args()


def calibrate(key: str, paths: Iterable[str | Path]) -> Study:
    """Measure a model of the table on these pictures, and keep its study where the page looks for it. Raises
    ModelUnavailable or PictureError."""
    row = MODELS[key]
    whole = whole_pile_of(load(key), row.template, paths, batch=8)
    found = exhausted(_shown(studied(whole, row.title, profile_of(key)), most_steps(whole)))
    path = keep_study(key, found)
    path.with_suffix(".svg").write_bytes(as_file(study_figure(found), "svg"))
    print(f"Written: {path} and {path.with_suffix('.svg').name} beside it.", flush=True)
    return found


def _shown(steps: Steps, most: int) -> Steps:
    """The same, with a bar on a terminal."""
    with tqdm(desc="measuring", total=most, leave=False) as bar:
        while True:
            try:
                yield next(steps)
            except StopIteration as end:
                return end.value
            bar.update()


def main() -> None:
    given = _arguments()
    try:
        key = named_model(given)
        if key is None:
            raise ModelUnavailable("Name a model with --model, or a file with --checkpoint.")
        paths = _readable(given.pictures, given.limit) if given.pictures else example_pictures()
        found = calibrate(key, paths)
    except LayoutError as error:
        raise SystemExit(f"Nothing was measured: {error}; name a folder with photographs.") from None
    except (*REFUSALS, PictureError) as error:
        raise SystemExit(str(error)) from None
    print("\n".join(said(found, verdicts(found, profile_of(key)))))


if __name__ == "__main__":
    main()
