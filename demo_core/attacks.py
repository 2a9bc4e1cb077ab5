"""Attacks: ATTACKS, the table that everything else iterates over. A row is an objective, a start and a step
rule over the one loop of ascent.py.

All but the patch are l-inf attacks in pixel units on `classify`, which maps pixels [B,3,H,W] in [0,1] to
logits [B,K].
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from demo_core.apgd import AutoStep, dlr, margin
from demo_core.ascent import Advance, Budget, Dice, Step, ascend, random_start
from demo_core.clip import Template, ZeroShotCLIP
from demo_core.patch import painted, painting, square_mask
from demo_core.square import squares, stripes

Classify = Callable[[torch.Tensor], torch.Tensor]
# (logits [B,K], labels [B]) -> what is raised [B]
Objective = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
# (pixels [B,3,H,W], eps, dice) -> delta [B,3,H,W]
Start = Callable[[torch.Tensor, float, Dice], torch.Tensor]
PATCH = 0.15  # the side of a patch, as a share of the picture's


# ------------------------------------------------------------------------------------------- objectives


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Of the true labels [B]: an attack without a target raises it."""
    return F.cross_entropy(logits, labels, reduction="none")


def towards(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Minus the cross-entropy of the targets [B] (Kurakin et al., 2017)."""
    return -F.cross_entropy(logits, targets, reduction="none")


def clipped_margin(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """-relu(correct - best_wrong + 50) [B], the loss of Carlini & Wagner (IEEE S&P 2017). With one label
    there is no wrong one, and nothing to raise."""
    correct, best_wrong = margin(logits, labels)
    return -F.relu(correct - best_wrong + 50)


def lead(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """How far the best wrong logit leads [B], over 0 where the answer is wrong: the margin loss of the Square
    attack (Andriushchenko et al., ECCV 2020)."""
    correct, best_wrong = margin(logits, labels)
    return best_wrong - correct


# ------------------------------------------------------------------------------------------- starts


def usual_step_size(eps: float) -> float:
    """Of an attack of this eps, in its unit, 1/255: the 1 of the paper's protocol, or eps where that is less;
    a quarter of eps where ten such steps would not cross the ball."""
    return max(min(1.0, eps), eps / 4)


def unmoved(pixels: torch.Tensor, eps: float, dice: Dice = None) -> torch.Tensor:
    """The picture itself."""
    return torch.zeros_like(pixels)


# ------------------------------------------------------------------------------------------- step rules


@dataclass(frozen=True)
class Goal:
    """What an attack is about: raise `objective` with `labels` [B] on `classify` at pixels [B,3,H,W]. dice:
    what a method draws from on its way; patch: the share of the side that a patch may have."""

    classify: Classify
    objective: Objective
    pixels: torch.Tensor
    labels: torch.Tensor
    dice: Dice = None
    patch: float = PATCH

    def ascent(self, start: torch.Tensor, budget: Budget, advance: Advance | None = None) -> Iterator[Step]:
        """The loop, on this."""
        return ascend(
            self.classify,
            lambda logits: self.objective(logits, self.labels),
            self.pixels,
            start,
            budget,
            advance=advance,
        )


Walk = Callable[[Goal, torch.Tensor, Budget], Iterator[Step]]


@dataclass(frozen=True)
class StepRule:
    """How an attack goes from its start. walk: (goal, start [B,3,H,W], budget) -> its steps; takes_steps,
    takes_step_size: whether the attacker chooses them, or the method; black_box: it sees answers and no
    gradient, a step is a query, and the point that it holds need not be the one it asked about last."""

    walk: Walk
    takes_steps: bool = True
    takes_step_size: bool = True
    black_box: bool = False


def _leap(goal: Goal, start: torch.Tensor, budget: Budget) -> Iterator[Step]:
    return goal.ascent(start, Budget(budget.eps, budget.eps, 1))


def _automatic(goal: Goal, start: torch.Tensor, budget: Budget) -> Iterator[Step]:
    advance = AutoStep(goal.pixels, goal.labels, budget.eps, budget.steps)
    for step in goal.ascent(start, budget, advance):
        yield step if step.output is not None or not advance.values else Step(step.index, advance.result)


def _put_on(goal: Goal, start: torch.Tensor, budget: Budget) -> Iterator[Step]:
    once = Budget(budget.eps, budget.eps, 1)
    return goal.ascent(torch.zeros_like(start), once, lambda step, gradient: start)


def _search(goal: Goal, start: torch.Tensor, budget: Budget) -> Iterator[Step]:
    return squares(
        goal.classify,
        lambda logits: goal.objective(logits, goal.labels),
        goal.pixels,
        start,
        budget.eps,
        budget.steps,
        goal.dice,
    )


def _paint(goal: Goal, start: torch.Tensor, budget: Budget) -> Iterator[Step]:
    mask = square_mask(goal.pixels, goal.patch, goal.dice)
    return goal.ascent(
        painted(goal.pixels, mask, goal.dice), Budget(1.0, 0.0, budget.steps), painting(mask, budget.steps)
    )


# Steps of the sign of the gradient, of a size that is chosen (Madry et al., ICLR 2018).
SIGNED = StepRule(Goal.ascent)
# One of them, of the full size eps.
LEAP = StepRule(_leap, takes_steps=False, takes_step_size=False)
# Auto-PGD's, which find their size themselves; the last item holds the last point that fooled, else the best.
AUTOMATIC = StepRule(_automatic, takes_step_size=False)
# No gradient: the start, put on in one step.
PUT_ON = StepRule(_put_on, takes_steps=False, takes_step_size=False)
# Random squares, each kept where it helps.
RANDOM_SQUARES = StepRule(_search, takes_step_size=False, black_box=True)
# Signed steps in a square that is drawn first, of a size that follows from their number.
PAINTED = StepRule(_paint, takes_step_size=False)


# ------------------------------------------------------------------------------------------- the table


@dataclass(frozen=True)
class Attack:
    """A row of the table. targeted: `labels` are what the attacker wants, not what is true; transfer: it is
    crafted on another model; control: it is no attack; visible: it keeps to a patch, whose size he chooses,
    and not to eps; usual_steps: how many steps it needs to be itself; source: of the method, empty where it
    has none of its own."""

    title: str
    help: str
    objective: Objective = cross_entropy
    start: Start = random_start
    rule: StepRule = SIGNED
    targeted: bool = False
    transfer: bool = False
    control: bool = False
    visible: bool = False
    usual_steps: int = 10
    source: str = ""

    def run(
        self,
        classify: Classify,
        pixels: torch.Tensor,
        labels: torch.Tensor,
        *,
        eps: float,
        step_size: float = 0.0,
        steps: int = 1,
        start: torch.Tensor | None = None,
        generator: Dice = None,
        patch: float = PATCH,
    ) -> Iterator[Step]:
        """The attack on pixels [B,3,H,W] with labels [B], step by step: steps + 1 items, the first its start.

        eps, step_size: in pixel units. step_size and steps are not used where the method sets them. start:
        the first perturbation, already inside the budget and the pixel range; without one, the row's own,
        drawn from `generator` where it is random. patch: the side of a visible patch, as a share of the
        picture's, which has a start of its own.
        """
        if start is None:
            start = self.start(pixels, eps, generator)
        goal = Goal(classify, self.objective, pixels, labels, generator, patch)
        return self.rule.walk(goal, start, Budget(eps, step_size, steps))

    @property
    def single_step(self) -> bool:
        """Whether step size and steps are fixed by the method."""
        return not self.rule.takes_steps

    @property
    def own_step_size(self) -> bool:
        """Whether the step size alone is."""
        return self.rule.takes_steps and not self.rule.takes_step_size

    @property
    def adaptable(self) -> bool:
        """Whether an attacker who knows the defence can make it through the defence."""
        return not (self.transfer or self.control)


ATTACKS: dict[str, Attack] = {
    "pgd": Attack(
        "PGD",
        "Many small steps that make the model's first guess ever less likely.",
        source="Madry et al., ICLR 2018",
    ),
    "fgsm": Attack(
        "FGSM",
        "One single step of the full size eps.",
        start=unmoved,
        rule=LEAP,
        source="Goodfellow et al., ICLR 2015",
    ),
    "targeted_pgd": Attack(
        "Targeted PGD",
        "Many small steps towards a label of your choice.",
        towards,
        targeted=True,
        source="Kurakin et al., 2017",
    ),
    "cw": Attack(
        "CW",
        "Many small steps that widen the lead of the best wrong label.",
        clipped_margin,
        source="the loss of Carlini & Wagner, IEEE S&P 2017",
    ),
    "apgd_ce": Attack(
        "APGD-CE",
        "PGD that finds its step size itself, a part of AutoAttack. Give it some tens of steps.",
        rule=AUTOMATIC,
        usual_steps=50,
        source="Croce & Hein, ICML 2020, algorithm 1",
    ),
    "apgd_dlr": Attack(
        "APGD-DLR",
        "The same on a loss that no scaling of the logits weakens.",
        dlr,
        rule=AUTOMATIC,
        usual_steps=50,
        source="Croce & Hein, ICML 2020, algorithm 1 and eq. 6",
    ),
    "square": Attack(
        "Square",
        "A black box: random squares, each kept where it helps; a step is a question. Give it hundreds.",
        lead,
        stripes,
        RANDOM_SQUARES,
        usual_steps=200,
        source="Andriushchenko et al., ECCV 2020",
    ),
    "patch": Attack(
        "Patch",
        "A small square that anyone can see, of any colours. No defence here claims to stop it.",
        start=unmoved,
        rule=PAINTED,
        visible=True,
        source="after Brown et al., 2017",
    ),
    "transfer": Attack(
        "Transfer",
        "PGD on another model: its attack is carried over to this one.",
        transfer=True,
        source="PGD of Madry et al., ICLR 2018",
    ),
    "noise": Attack(
        "Random noise", "No attack, the control: noise of the same size.", rule=PUT_ON, control=True
    ),
}

# The names that scripts use.
pgd, cw, apgd_ce, apgd_dlr = (ATTACKS[key].run for key in ("pgd", "cw", "apgd_ce", "apgd_dlr"))


def seen_by(surrogate: ZeroShotCLIP, labels: tuple[str, ...], template: Template) -> Classify:
    """Logits of another model for pixels of any size: what a transfer attack is made on."""
    classify, side = surrogate.classifier(labels, template), surrogate.image_size

    def resized(pixels: torch.Tensor) -> torch.Tensor:
        if pixels.shape[-1] != side:
            pixels = F.interpolate(pixels, (side, side), mode="bilinear", antialias=True, align_corners=False)
        return classify(pixels)

    return resized
