"""What Auto-PGD (Croce & Hein, ICML 2020) adds to the loop of ascent.py: its loss and its rule of steps."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from demo_core.ascent import Step, project


def margin(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The logit of the label [B], and the highest of the others [B]: the same where there is no other."""
    correct = logits.gather(1, labels[:, None])[:, 0]
    if logits.shape[1] == 1:
        return correct, correct
    is_label = F.one_hot(labels, logits.shape[1]).bool()
    return correct, logits.masked_fill(is_label, float("-inf")).max(1).values


def dlr(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The difference of logits ratio [B] (Croce & Hein, ICML 2020, eq. 6): -(z_y - max_{i≠y} z_i) / (z_1st -
    z_3rd), which no rescaling of the logits changes. With fewer than three labels there is no third: plain
    -(z_y - max z_i)."""
    correct, best_wrong = margin(logits, labels)
    if logits.shape[1] < 3:
        return best_wrong - correct
    highest = logits.topk(3).values
    return (best_wrong - correct) / (highest[:, 0] - highest[:, 2] + 1e-12)


class AutoStep:
    """The rule of APGD (Croce & Hein, ICML 2020, algorithm 1): momentum, and a step size that is halved, with
    a return to the best point so far, where a stretch of steps brought too little. Every picture has a step
    size of its own."""

    def __init__(self, pixels: torch.Tensor, labels: torch.Tensor, eps: float, steps: int):
        self.pixels, self.labels, self.eps = pixels, labels, eps
        self.size = torch.full_like(pixels[:, :1, :1, :1], 2 * eps)
        self.check, self.shrink, self.shortest = (
            max(int(share * (steps - 1)), 1) for share in (0.22, 0.03, 0.06)
        )
        self.since = 0
        self.values: list[torch.Tensor] = []
        self.fooling = torch.zeros_like(pixels)  # read where something fooled

    def see(self, step: Step) -> None:
        """Keep the best point, and the last one that fools."""
        output, objective = step.output, step.objective
        assert output is not None and objective is not None  # only the last step, not seen here, has none
        wrong = (output.argmax(1) != self.labels).view(-1, 1, 1, 1)
        if not self.values:
            self.best, self.best_value, self.best_at_check = (
                step.delta.clone(),
                objective.clone(),
                objective.clone(),
            )
            self.was_halved = torch.ones_like(wrong)
            self.fooled, self.fooling = wrong, step.delta.clone()
        better = objective > self.best_value
        self.best = torch.where(better.view(-1, 1, 1, 1), step.delta, self.best)
        self.best_value = torch.maximum(self.best_value, objective)
        self.fooled, self.fooling = self.fooled | wrong, torch.where(wrong, step.delta, self.fooling)
        self.better = better
        self.values.append(objective)

    def __call__(self, step: Step, gradient: torch.Tensor) -> torch.Tensor:
        self.see(step)
        delta, first = step.delta, len(self.values) == 1
        if first:
            self.best_gradient, self.previous = gradient, delta
        self.best_gradient = torch.where(self.better.view(-1, 1, 1, 1), gradient, self.best_gradient)
        if not first:
            self.since += 1
            if self.since == self.check:
                delta, gradient = self._look_back(delta, gradient)
        momentum = delta - self.previous if not first else torch.zeros_like(delta)
        self.previous, keep = delta, 1.0 if first else 0.75
        ahead = project(delta + self.size * gradient.sign(), self.pixels, self.eps)
        return delta + (ahead - delta) * keep + momentum * (1 - keep)

    def _look_back(self, delta: torch.Tensor, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        recent = torch.stack(self.values[-self.check - 1 :])
        rises = (recent[1:] > recent[:-1]).sum(0)
        stuck = (rises <= 0.75 * self.check).view(-1, 1, 1, 1)
        stuck |= ~self.was_halved & (self.best_at_check >= self.best_value).view(-1, 1, 1, 1)
        self.was_halved, self.best_at_check = stuck, self.best_value.clone()
        self.size = torch.where(stuck, self.size / 2, self.size)
        self.since, self.check = 0, max(self.check - self.shrink, self.shortest)
        return torch.where(stuck, self.best, delta), torch.where(stuck, self.best_gradient, gradient)

    @property
    def result(self) -> torch.Tensor:
        """The last point that fooled the model, else the best."""
        return torch.where(self.fooled, self.fooling, self.best)
