"""Fine-tune the hardened twin: the locked tower again, adversarially and without labels.

    python -m demo_core.embedded.twin --photographs imagenet-photos.zip --small train-0.zip --out
    assets/embedded

FARE (Schlarmann et al., ICML 2024, eq. 3): for each picture the attacker looks for the perturbation that
moves the embedding farthest from the *locked* tower's clean one, and the twin learns to bring it back there,
min E max ‖φ_twin(x+δ) − φ_locked(x)‖². No label is used and the embedding stays where it was, so the text
tower serves both. Batch norms keep the locked tower's statistics. One learning-rate schedule over --minutes
or --steps, whichever ends first; a checkpoint every minute, from which the same command goes on.
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from demo_core.ascent import Budget, ascend, last, random_start
from demo_core.embedded.photographs import cut_out, read_archive
from demo_core.photo import IMAGE_SIZE, MEAN, STD, locked_weights, read_projection, trunk

TWIN_FILE = "twin.safetensors"
SHARP_SIDE = 256  # pixels a side that the sharp photographs are kept at, to cut from


class Embedder(nn.Module):
    """pixels [B,3,S,S] in [0,1] -> raw embedding [B,D]."""

    def __init__(
        self,
        net: nn.Module,
        projection: torch.Tensor,
        bf16: bool = False,
        layout: torch.memory_format = torch.channels_last,
    ):
        super().__init__()
        self.bf16, self.layout = bf16, layout
        self.net = net.to(memory_format=layout)
        self.register_buffer("projection", projection)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        normalised = ((pixels - self.mean) / self.std).contiguous(memory_format=self.layout)
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=self.bf16):
            features = self.net(normalised)
        return features.float() @ self.projection


def adversarial(
    twin: Embedder,
    pixels: torch.Tensor,
    anchor: torch.Tensor,
    eps: float,
    steps: int,
    generator: torch.Generator,
) -> torch.Tensor:
    """pixels + the perturbation [B,3,S,S] within eps that moves the twin's embedding far from `anchor`
    [B,D]."""
    path = ascend(
        twin,
        lambda features: (features - anchor).pow(2).sum(-1),
        pixels,
        random_start(pixels, eps, generator),
        Budget(eps, eps * 2 / (steps + 1), steps),
    )
    return pixels + last(path).delta


def settings_in(args: argparse.Namespace) -> dict[str, str]:
    """What a checkpoint must have been made with, for the training to go on from it."""
    free = ("device", "work", "out", "minutes", "save_every")
    return {k: str(v) for k, v in vars(args).items() if k not in free}


def resume(
    checkpoint: Path,
    settings: dict[str, str],
    twin: Embedder,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
    device: torch.device,
) -> tuple[int, float]:
    """Put all back as the checkpoint has it, where there is one; (steps done, seconds spent). Exits where it
    was made with other settings."""
    if not checkpoint.exists():
        return 0, 0.0
    state = torch.load(checkpoint, map_location=device, weights_only=True)
    if state["settings"] != settings:
        raise SystemExit(f"{checkpoint} was made with other settings: choose another --work, or delete it.")
    twin.load_state_dict(state["twin"])
    optimizer.load_state_dict(state["optimizer"])
    generator.set_state(state["generator"].cpu())
    return state["step"], state["spent"]


def drawn(sharp: torch.Tensor, small: torch.Tensor, batch: int, generator: torch.Generator) -> torch.Tensor:
    """Cut-outs [batch,3,S,S] of pictures drawn at random, half of them of the sharp ones."""
    few = batch // 2
    chosen = torch.randint(len(sharp), (few,), generator=generator)
    others = torch.randint(len(small), (batch - few,), generator=generator)
    return torch.cat(
        [
            cut_out(sharp[chosen], IMAGE_SIZE, generator),
            cut_out(small[others], IMAGE_SIZE, generator, smallest=0.6),
        ]
    )


def loss_of(
    twin: Embedder,
    pixels: torch.Tensor,
    anchor: torch.Tensor,
    args: argparse.Namespace,
    generator: torch.Generator,
) -> torch.Tensor:
    """How far attacked pictures [B,3,S,S] lie from where the locked tower has them, `anchor` [B,D]; and clean
    ones, where they are given a weight."""
    moved = adversarial(twin, pixels, anchor, args.eps / 255, args.attack_steps, generator)
    loss = (twin(moved) - anchor).pow(2).sum(-1).mean()
    if args.clean_weight:
        loss = loss + args.clean_weight * (twin(pixels) - anchor).pow(2).sum(-1).mean()
    return loss


def train(args: argparse.Namespace) -> None:
    device = torch.device(args.device)
    torch.backends.cudnn.benchmark = True
    projection = read_projection(args.out)
    layout = torch.contiguous_format if args.channels_first else torch.channels_last
    locked = Embedder(trunk(locked_weights()), projection, args.bf16, layout).to(device).requires_grad_(False)
    twin = copy.deepcopy(locked).requires_grad_(True)
    twin.eval()  # batch norms keep their statistics; their scales and shifts are trained
    sharp = read_archive(args.photographs, SHARP_SIDE).pictures.to(device)
    small = torch.cat([read_archive(path, 64, args.small_limit).pictures for path in args.small]).to(device)
    weights = list(twin.net.parameters())
    optimizer = torch.optim.AdamW(weights, lr=args.lr, weight_decay=1e-4)
    generator = torch.Generator().manual_seed(args.seed)
    settings, checkpoint = settings_in(args), args.work / f"twin-{args.eps:g}.pt"
    step, spent = resume(checkpoint, settings, twin, optimizer, generator, device)
    began = saved = time.monotonic()

    def progress() -> float:
        """How much of the schedule has passed, 0 to 1."""
        return max(step / args.steps, (spent + time.monotonic() - began) / (args.minutes * 60))

    while (done := progress()) < 1:
        for group in optimizer.param_groups:
            group["lr"] = args.lr * min(1, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * done))
        pixels = drawn(sharp, small, args.batch, generator)
        with torch.no_grad():
            anchor = locked(pixels)
        loss = loss_of(twin, pixels, anchor, args, generator)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 10.0)
        optimizer.step()
        step += 1
        if step % 25 == 0:
            length = anchor.pow(2).sum(-1).mean()
            print(f"step {step}, {done:.0%}: loss {loss.item():.3f}, squared length {length:.1f}", flush=True)
        if time.monotonic() - saved > args.save_every:
            saved = time.monotonic()
            checkpoint.parent.mkdir(parents=True, exist_ok=True)
            state = {
                "twin": twin.state_dict(),
                "optimizer": optimizer.state_dict(),
                "step": step,
                "spent": spent + saved - began,
                "generator": generator.get_state(),
                "settings": settings,
            }
            torch.save(state, checkpoint)
    save_tower(twin, args.out / args.name)
    print(f"{step} steps of {args.batch} pictures, eps {args.eps:g}/255: {args.out / args.name}")


def save_tower(twin: Embedder, path: Path) -> None:
    """Write the twin's own weights in half precision."""
    found = twin.net.state_dict().items()
    save_file({k: v.half().cpu().contiguous() for k, v in found if v.is_floating_point()}, path)


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--photographs", type=Path, required=True, help="a zip of photographs, a folder a class"
    )
    parser.add_argument("--small", type=Path, nargs="+", required=True, help="zips of Tiny ImageNet")
    parser.add_argument(
        "--small-limit", type=int, default=20_000, help="pictures taken of each (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, required=True, help="the folder of the embedded model's assets")
    parser.add_argument("--name", default=TWIN_FILE, help="the file written there (default: %(default)s)")
    parser.add_argument("--work", type=Path, default=Path("runs/embedded"), help="where the checkpoint lies")
    parser.add_argument(
        "--eps", type=float, default=1.0, help="the attacker's budget, in 1/255 (default: %(default)s)"
    )
    parser.add_argument("--attack-steps", type=int, default=3, help="his steps (default: %(default)s)")
    parser.add_argument(
        "--clean-weight",
        type=float,
        default=0.5,
        help="of the same loss on clean pictures (default: %(default)s)",
    )
    parser.add_argument("--steps", type=int, default=4000, help="of training (default: %(default)s)")
    parser.add_argument(
        "--minutes", type=float, default=60.0, help="of training at most (default: %(default)s)"
    )
    parser.add_argument(
        "--save-every", type=float, default=60.0, help="seconds between checkpoints (default: %(default)s)"
    )
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bf16", action="store_true", help="features in bfloat16: faster on some GPUs")
    parser.add_argument(
        "--channels-first", action="store_true", help="another memory layout: faster on some GPUs"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args(argv)


if __name__ == "__main__":
    train(parse())
