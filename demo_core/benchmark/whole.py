"""A Bench that works through a whole pile, and what is counted on one."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from scipy.stats import mannwhitneyu
from tqdm import tqdm

from demo_core.benchmark.piles import Pile
from demo_core.benchmark.run import Bench
from demo_core.benchmark.trials import Trial
from demo_core.clip import ZeroShotCLIP
from demo_core.defenses import OwnConfig, judging
from demo_core.moments import exhausted

BATCH = 25


def auc(high: torch.Tensor, low: torch.Tensor) -> float:
    """The chance that a value of `high` exceeds one of `low`: the area under the ROC curve."""
    return float(mannwhitneyu(high.numpy(), low.numpy()).statistic) / (len(high) * len(low))


def percent(right: torch.Tensor) -> float:
    return round(100 * right.float().mean().item(), 2)


class WholePile(Bench):
    """A Bench that works through its whole pile, batch by batch, in float32."""

    def __init__(self, clip: ZeroShotCLIP, pile: Pile, batch: int = BATCH):
        super().__init__(clip, pile, tile=None)
        everything = pile.load(torch.arange(len(pile.indices)))
        self.pictures, self.labels, self.batch = everything.pictures.float() / 255, everything.labels, batch

    def batches(self, pictures: torch.Tensor, title: str = "") -> Iterator[tuple[int, torch.Tensor]]:
        """(number, pixels [B,3,S,S] on the model's device) of each batch; title: of a bar, where one is
        shown."""
        parts = pictures.split(self.batch)
        for i, part in enumerate(tqdm(parts, desc=title, leave=False, mininterval=5, disable=not title)):
            yield i, part.to(self.clip.device)

    def under(self, trial: Trial) -> torch.Tensor:
        """All pictures [N,3,S,S] under this attack."""
        parts = torch.arange(len(self.labels)).split(self.batch)
        return torch.cat([self.attacked(trial, self.pile.load(part)).cpu() for part in parts])

    @torch.no_grad()
    def predict(self, pictures: torch.Tensor, config: OwnConfig = OwnConfig()) -> torch.Tensor:
        """What these looks, or the model alone where it has none, say of the pictures as they are
        [N]."""
        answers = []
        for _, x in self.batches(pictures):
            everyone = torch.ones(len(x), dtype=torch.bool, device=x.device)
            answers.append(
                exhausted(judging(self.clip, x, self.text, config, everyone)).logits.argmax(1).cpu()
            )
        return torch.cat(answers)
