"""The attacker who knows the defence: one class, for the Lab, the Arena, the programs and the benchmark."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from demo_core.ascent import Dice, Step
from demo_core.attacks import Attack, Classify
from demo_core.clip import Passes, ZeroShotCLIP
from demo_core.defenses.averages import log_mean
from demo_core.defenses.profile import Profile
from demo_core.defenses.table import Defence, Defense
from demo_core.evasion import Unsuspected, beyond
from demo_core.moments import exhausted, step_by_step
from demo_core.stand_in import counted, label_features

# (attack, what it is made on) -> its steps, from the same start each time
Craft = Callable[[Attack, Classify], Iterator[Step]]

PLAIN, THROUGH, EOT, GATE, SURROGATE = "plain", "through", "eot", "gate", "surrogate"
DRAWS = 4  # of a defence that draws, to judge a perturbation by


def through(
    defense: Defence, clip: ZeroShotCLIP, text: torch.Tensor, dice: Dice = None, samples: int = 1
) -> Classify:
    """What an adaptive attacker attacks in place of the bare classifier: pixels [B,3,H,W] -> defended logits
    [B,K].

    Gate and counterattack run for real at every step, and count as a constant shift in the backward pass
    (BPDA) where `defense` does not unroll them; views of the pixels are differentiated through. Every call
    draws afresh: he knows the code but not the dice, and over the steps he averages over them; with samples >
    1 within each step too (EOT, Athalye et al., ICML 2018). Give it to any adaptable row of ATTACKS.

    defense: a row of DEFENSES on a model's profile, or one of its surrogates.
    """

    def classify(pixels: torch.Tensor) -> torch.Tensor:
        drawn = [exhausted(defense(clip, pixels, text, dice)).logits for _ in range(samples)]
        return drawn[0] if samples == 1 else log_mean(torch.stack(drawn))

    return classify


@dataclass(frozen=True)
class Attacker:
    """Someone who has the model and a defence's code and settings, but not its dice. He makes the attack in
    several ways and keeps, for each picture, the strongest of what came of them:

    plain, on the bare model; through the defence (BPDA); eot, the same with `samples` draws a step, where the
    row draws and more than one is asked for; gate, with its signal kept clean, where the row has a gate that
    can be differentiated; surrogate 1 ..., through what else the row names. A black box tries the first three
    alone.

    Which is strongest he finds on draws of his own, DRAWS of them where the row draws: what makes more of its
    answers wrong (targeted: the target) beats what makes fewer, and among equals the one with the higher loss
    wins. So as far as his own draws tell he is never weaker than the plain attacker.

    row: the defence, on a model's profile; attack, steps: what he makes; cap: the most passes through the
    image tower that he may spend on a picture, None for no end. What he leaves out for it is `left_out`; the
    plain way and the main one always stay.
    """

    clip: ZeroShotCLIP
    text: torch.Tensor
    row: Defense
    profile: Profile
    attack: Attack
    steps: int
    samples: int = 1
    cap: int | None = None

    @property
    def main(self) -> str:
        """The way that is shown step by step."""
        return EOT if self.samples > 1 and not self.row.exact else THROUGH

    @property
    def all_ways(self) -> tuple[str, ...]:
        """Every way that there is, the most worthwhile first."""
        gate = self.row.signal is not None and self.row.gate(self.profile) is not None
        more = [GATE] * gate + [f"{SURROGATE} {i + 1}" for i in range(len(self.row.surrogates))]
        less = [THROUGH] if self.main == EOT else []
        return (PLAIN, self.main, *([] if self.attack.rule.black_box else more), *less)

    @property
    def ways(self) -> tuple[str, ...]:
        """Those that he can pay for."""
        if self.cap is None:
            return self.all_ways
        kept, spent = [], 0
        for way in self.all_ways:
            cost = self.cost_of(way)
            if way in (PLAIN, self.main) or spent + cost <= self.cap:
                kept.append(way)
                spent += cost
        return tuple(kept)

    @property
    def left_out(self) -> tuple[str, ...]:
        """Those that he cannot."""
        ways = self.ways
        return tuple(way for way in self.all_ways if way not in ways)

    @property
    def cost(self) -> int:
        """The most passes, forward and backward together, that he spends on a picture."""
        return sum(map(self.cost_of, self.ways))

    def made(self, way: str) -> int:
        """Of one way alone: from passes counted before models that stand in."""
        steps = 1 if self.attack.single_step else self.steps
        each = self._counted(way, gradient=not self.attack.rule.black_box)
        return steps * each.total + (each.forward if way == GATE else 0)

    def cost_of(self, way: str) -> int:
        """Of one way and the judging of what comes of it."""
        return self.made(way) + self.row.rerolls(DRAWS) * self.answer

    @property
    def held(self) -> int:
        """The most passes that he goes back through at once for a picture, which is what takes memory."""
        gradient = not self.attack.rule.black_box
        return max(self._counted(way, gradient).backward for way in self.ways)

    @property
    def answer(self) -> int:
        """The most passes, forward and backward together, of one answer of the row."""
        return self._counted(THROUGH, gradient=False).total

    def run(
        self,
        craft: Craft,
        pixels: torch.Tensor,
        labels: torch.Tensor,
        dice: Dice = None,
        watch: Callable[[Classify], Classify] = lambda classify: classify,
    ) -> Iterator[Step | None]:
        """The steps of his main way on pixels [B,3,H,W] with labels [B], the last of which holds the
        strongest perturbation of each picture.

        craft: makes the attack's steps; watch: is put around what the main way is made on. None stands for a
        step that nobody is shown, of another way or of the judging: whoever asked can stop there.
        """
        deltas = []
        for way in self.ways:
            if way != self.main:
                tried = yield from step_by_step(self._made(way, craft, pixels, labels, dice))
                deltas.append(tried.delta)
        for step in craft(self.attack, watch(self._target(self.main, dice))):
            if step.output is None:
                best = yield from self._strongest([step.delta, *deltas], pixels, labels, dice)
                step = replace(step, delta=best)
            yield step

    def _made(
        self, way: str, craft: Craft, pixels: torch.Tensor, labels: torch.Tensor, dice: Dice
    ) -> Iterator[Step]:
        if way != GATE:
            return craft(self.attack, self._target(way, dice))
        unsuspected = self._unsuspected(dice)
        return unsuspected.best(craft(unsuspected.attack, unsuspected.classify), pixels, labels)

    def _target(self, way: str, dice: Dice) -> Classify:
        """What he makes the attack on, pixels [B,3,H,W] -> logits [B,K]; for GATE see `_unsuspected`."""
        if way == PLAIN:
            return lambda pixels: self.clip.logits(self.clip.encode(pixels), self.text)
        on = self.row.on(self.profile)
        if way.startswith(SURROGATE):
            on = self.row.surrogates_on(self.profile)[int(way.split()[-1]) - 1]
        return through(on, self.clip, self.text, dice, self._draws(way))

    def _unsuspected(self, dice: Dice) -> Unsuspected:
        gate, reads = self.row.gate(self.profile), self.row.signal_on(self.profile)
        assert gate is not None and reads is not None  # else this is none of his ways
        ungated = through(self.row.ungated_on(self.profile), self.clip, self.text, dice)
        return Unsuspected(self.attack, ungated, lambda x: beyond(gate, reads(self.clip, x, dice)))

    def _strongest(
        self, deltas: list[torch.Tensor], pixels: torch.Tensor, labels: torch.Tensor, dice: Dice
    ) -> Generator[None, None, torch.Tensor]:
        """Returns the strongest perturbation of each picture; see `stronger`. All meet the same draws."""
        draws = self.row.rerolls(DRAWS)
        rolled = _copied(dice)
        answers = []
        for delta in deltas:
            again = _copied(rolled)
            for _ in range(draws):
                with torch.no_grad():
                    answers.append(
                        through(self.row.on(self.profile), self.clip, self.text, again)(pixels + delta)
                    )
                yield None
        logits = torch.stack(answers).unflatten(0, (len(deltas), draws))
        return stronger(logits, labels, deltas, self.attack.targeted)

    def _counted(self, way: str, gradient: bool = True) -> Passes:
        """The most passes of one step of a way, or of one answer without a gradient."""
        him = replace(self, samples=1, text=label_features())
        once = counted(
            (self.row, str(self.row.config(self.profile)), self.attack, way),
            lambda clip, pixels: replace(him, clip=clip)._spend(pixels, way, gradient),
            self.clip.original is not None,
            gradient,
        )
        draws = self._draws(way)
        return Passes(once.forward * draws, once.backward * draws)

    def _draws(self, way: str) -> int:
        """Of one step of a way."""
        many = way == EOT or (way.startswith(SURROGATE) and not self.row.exact)
        return self.samples if many else 1

    def _spend(self, pixels: torch.Tensor, way: str, gradient: bool) -> None:
        """One step of a way, or one answer; gradient: with the passes back."""
        dice = torch.Generator().manual_seed(0)
        unsuspected = self._unsuspected(dice) if way == GATE else None
        logits = (unsuspected.classify if unsuspected else self._target(way, dice))(pixels)
        if gradient:
            objective = (unsuspected or self.attack).objective
            objective(logits, logits.argmax(1)).sum().backward()


def _copied(dice: Dice) -> Dice:
    """Dice that will roll what these would have."""

    def copy(die: torch.Generator) -> torch.Generator:
        return torch.Generator(die.device).set_state(die.get_state())

    if dice is None or isinstance(dice, torch.Generator):
        return dice and copy(dice)
    return [copy(die) for die in dice]


def stronger(
    logits: torch.Tensor, labels: torch.Tensor, deltas: list[torch.Tensor], targeted: bool = False
) -> torch.Tensor:
    """Of N perturbations of each picture, deltas N x [B,3,H,W], the one [B,3,H,W] that does most to the
    defended answers, logits [N,D,B,K] on D draws: the most draws whose answer is not the label [B] (targeted:
    is), and of those with as many the highest mean cross-entropy of the label (targeted: the lowest); the
    first of several such. Against some defences the gradient through them misleads, and the attack on the
    bare model is the better one."""
    at = labels.expand(logits.shape[:-1])
    is_label = (logits.argmax(-1) == at).double().mean(1)
    loss = F.cross_entropy(logits.double().movedim(-1, 1), at, reduction="none").mean(1)
    if targeted:
        is_label, loss = 1 - is_label, -loss
    fewest = is_label <= is_label.amin(0)
    best = loss.masked_fill(~fewest, float("-inf")).argmax(0)
    return torch.stack(deltas)[best, torch.arange(len(labels), device=best.device)]
