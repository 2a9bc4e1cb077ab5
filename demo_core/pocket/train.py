"""Train the embedded CLIP on the photographs of Tiny ImageNet.

    python -m demo_core.pocket.train --data DIR --out assets/pocket

Works on a CPU (bfloat16 where it helps) and on a GPU, where the pictures live as one uint8 tensor. After every epoch
a checkpoint is written to --work and the weights so far to --out; the same command resumes a run that was stopped.

The objective is CLIP's (Radford et al., 2021) with class-level targets: every step writes one fresh caption for each
class and for a sample of hypernyms, encodes them, and pulls each picture to the captions that are true of it
against all captions that are not (UniCL, Yang et al., CVPR 2022). Pictures and captions meet at one learned prototype
a word instead of at each other: while the pictures say nothing yet, the cheapest way down for the text tower is to
make all captions alike, and it does not come back from there. Captions are learned quickly, so only every fourth step
reads them; when the pictures are done, the text tower alone is drawn onto the prototypes, which costs two minutes and
is worth four points of accuracy.

    python -m demo_core.pocket.train --data DIR --start assets/pocket --out DIR2 --epochs 20    # train on
    python -m demo_core.pocket.train --data DIR --start assets/pocket --out assets/pocket-tecoa --adversarial-eps 1 \
        --epochs 2 --small-epochs 0 --lr 3e-4 --work runs/tecoa                                 # the hardened twin

With --adversarial-eps the image tower alone is fine-tuned, on pictures that PGD-2 has attacked a moment before, against
the frozen text features: TeCoA (text-guided contrastive adversarial training, Mao et al., ICLR 2023).
"""
from __future__ import annotations

import argparse
import gzip
import json
import math
import random
import shutil
from pathlib import Path

import torch
import torch.nn.functional as F
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.tokenizer import SimpleTokenizer, default_bpe
from safetensors.torch import save_file
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from demo_core.ascent import last
from demo_core.attacks import pgd
from demo_core.clip import (
    CLASSES_FILE, CONFIG_FILE, IMAGE_FILE, MERGES_FILE, TEXT_FILE, build_embedded, embedded_tokenizer, load_embedded,
)
from demo_core.pocket.captions import Vocabulary, captions, read_vocabulary
from demo_core.pocket.photographs import augment, load_split

HYPERNYMS_PER_STEP = 48
CAPTIONS_EVERY = 4  # steps, while pictures and captions meet at prototypes
EVAL_TEMPLATE = "a photo of a {}."


def write_config(out: Path, merges: int, logit_scale: float) -> None:
    """The open_clip JSON config and the first `merges` merges of open_clip's own BPE vocabulary."""
    out.mkdir(parents=True, exist_ok=True)
    lines = gzip.open(default_bpe()).read().decode("utf-8").split("\n")
    with gzip.GzipFile(out / MERGES_FILE, "wb", mtime=0) as file:
        file.write("\n".join(lines[: merges + 1]).encode("utf-8"))
    config = {
        "embed_dim": 256,
        "vision_cfg": {"timm_model_name": "pocket_vit", "timm_pool": "avg", "timm_proj": "linear", "image_size": 64},
        "text_cfg": {"context_length": 20, "vocab_size": 512 + merges + 2, "width": 192, "heads": 3, "layers": 2},
        "init_logit_scale": logit_scale,
        "custom_text": True,
    }
    preprocess = {"mean": list(OPENAI_DATASET_MEAN), "std": list(OPENAI_DATASET_STD)}
    (out / CONFIG_FILE).write_text(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}, indent=2) + "\n")


def normalise(x: torch.Tensor) -> torch.Tensor:
    """What the image tower sees of pixels in [0, 1]."""
    mean, std = (torch.tensor(v, device=x.device).view(1, 3, 1, 1) for v in (OPENAI_DATASET_MEAN, OPENAI_DATASET_STD))
    return ((x - mean) / std).contiguous(memory_format=torch.channels_last)


def objective(logits: torch.Tensor, labels: torch.Tensor, covers: torch.Tensor) -> torch.Tensor:
    """Logits [B, C + H] against C class captions and H hypernym captions; covers [H, C]: which class is what.

    The classes compete by cross-entropy. A hypernym competes with every class and hypernym that is not true of it.
    """
    classes = covers.shape[1]
    by_class = F.cross_entropy(logits[:, :classes], labels, label_smoothing=0.1)
    true = covers.T[labels]  # [B, H]
    picture, hypernym = true.nonzero(as_tuple=True)
    if len(picture) == 0:
        return by_class
    false_class = logits[picture, :classes].masked_fill(covers[hypernym], -math.inf)
    false_hypernym = logits[picture, classes:].masked_fill(true[picture], -math.inf)
    rivals = torch.cat([false_class, false_hypernym], 1).logsumexp(1)
    return by_class + 0.5 * F.softplus(rivals - logits[picture, classes + hypernym]).mean()


@torch.no_grad()
def accuracy(model: torch.nn.Module, tokenizer, names: list[str], pictures: torch.Tensor, labels: torch.Tensor) -> float:
    """Zero-shot top-1 in percent over all names."""
    device = next(model.parameters()).device
    text = model.encode_text(tokenizer([EVAL_TEMPLATE.format(n) for n in names]).to(device), normalize=True)
    hits = 0
    for x, y in zip(pictures.split(500), labels.split(500)):
        with torch.autocast(device.type, torch.bfloat16):
            features = model.encode_image(normalise(x.float() / 255), normalize=True)
        hits += ((features.float() @ text.T).argmax(1) == y).sum().item()
    return 100 * hits / len(labels)


def report(moment: str, model: torch.nn.Module, tokenizer, vocabulary: Vocabulary, pictures: torch.Tensor,
           labels: torch.Tensor) -> None:
    top1 = accuracy(model, tokenizer, vocabulary.names, pictures, labels)
    print(f"{moment}: zero-shot top-1 over {len(vocabulary.names)} names {top1:.2f} %", flush=True)


def save_weights(model: torch.nn.Module, out: Path, vocabulary: Vocabulary, text: bool = True) -> None:
    """The image tower, the class names, and with `text` the text tower, into the folder `out`."""
    for module, name in ((model.visual, IMAGE_FILE), (model.text, TEXT_FILE))[: 1 + text]:
        save_file({k: v.detach().cpu().to(torch.float16).contiguous() for k, v in module.state_dict().items()}, out / name)
    config = json.loads((out / CONFIG_FILE).read_text())
    config["model_cfg"]["init_logit_scale"] = round(model.logit_scale.item(), 6)
    (out / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n")
    classes = [{"wnid": w, "name": n} for w, n in zip(vocabulary.wnids, vocabulary.names)]
    (out / CLASSES_FILE).write_text("[\n" + ",\n".join(f"  {json.dumps(c)}" for c in classes) + "\n]\n")


def prototypes_of(model: torch.nn.Module, chosen: list[int], classes: int) -> torch.Tensor:
    """Unit prototypes of all classes and of the chosen hypernyms."""
    return F.normalize(model.prototypes[[*range(classes), *(classes + i for i in chosen)]], dim=-1)


def speak(model: torch.nn.Module, tokenizer, vocabulary: Vocabulary, chosen: list[int], rng: random.Random
          ) -> torch.Tensor:
    """Unit text features of one fresh caption for each class and for each chosen hypernym."""
    device, words = model.prototypes.device, list(vocabulary.hypernyms)
    spoken = [rng.choice(s) if rng.random() < 0.5 else s[0] for s in vocabulary.synonyms]
    tokens = tokenizer(captions(spoken + [words[i] for i in chosen], rng)).to(device)
    with torch.autocast(device.type, torch.bfloat16):
        return model.encode_text(tokens, normalize=True).float()


@torch.no_grad()
def begin_with(model: torch.nn.Module, folder: Path, tokenizer, words: list[str]) -> None:
    """Take the weights of an embedded model; what its text tower says of each word becomes the word's prototype."""
    trained = load_embedded(folder).model
    model.visual.load_state_dict(trained.visual.state_dict())
    model.text.load_state_dict(trained.text.state_dict())
    model.logit_scale.copy_(trained.logit_scale)
    tokens = tokenizer([EVAL_TEMPLATE.format(word) for word in words])
    model.prototypes.copy_(model.encode_text(tokens.to(model.prototypes.device), normalize=True))


def fit_text(model: torch.nn.Module, tokenizer, vocabulary: Vocabulary, steps: int, seed: int) -> None:
    """Draw the text tower onto the finished prototypes: raise the cosine of every caption and its word's prototype."""
    rng, classes, words = random.Random(f"{seed}-text"), len(vocabulary.names), len(vocabulary.hypernyms)
    optimizer = torch.optim.AdamW(model.text.parameters(), lr=5e-4, betas=(0.9, 0.98), weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: min(1.0, (s + 1) / 50) * 0.5 * (1 + math.cos(math.pi * s / steps)))
    model.train()
    for _ in tqdm(range(steps), desc="fitting the text tower", mininterval=5):
        chosen = rng.sample(range(words), min(HYPERNYMS_PER_STEP, words))
        anchors = prototypes_of(model, chosen, classes).detach()
        loss = (1 - (speak(model, tokenizer, vocabulary, chosen, rng) * anchors).sum(-1)).mean()
        loss.backward()
        optimizer.step(), optimizer.zero_grad(set_to_none=True), schedule.step()
    model.eval()


def instance_loss(features: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """NT-Xent (Chen et al., SimCLR, ICML 2020) over unit features [2N,D] whose rows i and i + N are two crops of one
    picture: each must find its other crop among all."""
    n = len(features) // 2
    logits = (scale * features @ features.T).fill_diagonal_(-math.inf)
    other = torch.arange(2 * n, device=features.device).roll(n)
    return F.cross_entropy(logits, other)


def prepare(args: argparse.Namespace, vocabulary: Vocabulary) -> tuple[torch.nn.Module, SimpleTokenizer]:
    """The model to train, with a prototype for every class and hypernym, and its tokenizer; its config is written."""
    words = [*vocabulary.names, *vocabulary.hypernyms]
    if args.start:
        args.out.mkdir(parents=True, exist_ok=True)
        for name in (CONFIG_FILE,) if args.adversarial_eps else (CONFIG_FILE, MERGES_FILE):
            if args.start != args.out:
                shutil.copy(args.start / name, args.out / name)
    else:
        write_config(args.out, args.merges, math.log(1 / 0.07))
    tokenizer = embedded_tokenizer(args.start or args.out)
    model = build_embedded(args.out).to(args.device, memory_format=torch.channels_last)
    model.prototypes = torch.nn.Parameter(torch.randn(len(words), 256, device=args.device) / 16)
    if args.start:
        begin_with(model, args.start, tokenizer, words)
    if args.adversarial_eps:
        model.requires_grad_(False)
        model.visual.requires_grad_(True)
    return model, tokenizer


def train(args: argparse.Namespace) -> None:
    torch.manual_seed(args.seed)
    torch.set_float32_matmul_precision("high")
    device = torch.device(args.device)
    vocabulary = read_vocabulary(args.data)
    pictures, labels = (t.to(device) for t in load_split(args.data, "train", vocabulary.wnids, args.work))
    val_pictures, val_labels = (t.to(device) for t in load_split(args.data, "val", vocabulary.wnids, args.work))
    words, classes = list(vocabulary.hypernyms), len(vocabulary.names)
    covers = torch.zeros(len(words), classes, dtype=torch.bool, device=device)
    for row, members in enumerate(vocabulary.hypernyms.values()):
        covers[row, members] = True

    model, tokenizer = prepare(args, vocabulary)
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW([{"params": [p for p in trainable if p.ndim > 1], "weight_decay": 0.05},
                                   {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0}],
                                  lr=args.lr, betas=(0.9, 0.98), fused=True)
    per_epoch = len(labels) // args.batch
    total, warmup = args.epochs * per_epoch, 200
    # Later epochs count more (cosine), and the average over the last few hundred steps is what is shipped.
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: min(1.0, (s + 1) / warmup) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * s / total))))
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.998))

    def encode(pixels: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device.type, torch.bfloat16):
            return model.encode_image(normalise(pixels), normalize=True).float()

    first, checkpoint = 0, args.work / "checkpoint.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        if state["settings"] != settings_of(args):
            raise SystemExit(f"{checkpoint} was made with other settings: choose another --work, or delete it.")
        model.load_state_dict(state["model"]), averaged.load_state_dict(state["averaged"])
        optimizer.load_state_dict(state["optimizer"]), schedule.load_state_dict(state["schedule"])
        first = state["epoch"]
        print(f"resuming after epoch {first}")

    for epoch in range(first, args.epochs):
        side = args.small_side if epoch < args.small_epochs else 64
        rng = random.Random(f"{args.seed}-{epoch}")
        generator = torch.Generator(device).manual_seed(args.seed * 1000 + epoch)
        noise = torch.Generator().manual_seed(args.seed * 1000 + epoch)
        order = torch.randperm(len(labels), generator=generator, device=device)
        model.train()
        bar = tqdm(range(per_epoch), desc=f"epoch {epoch + 1}/{args.epochs} at {side} px", mininterval=5)
        for step in bar:
            batch = order[step * args.batch:(step + 1) * args.batch]
            if args.instance_weight:
                batch = batch[: args.batch // 2].repeat(2)  # two crops of each picture
            pixels = augment(pictures[batch], side, generator, mild=epoch >= args.epochs - args.mild_epochs)
            chosen = rng.sample(range(len(words)), min(HYPERNYMS_PER_STEP, len(words)))
            scale = model.logit_scale.exp()
            anchors = prototypes_of(model, chosen, classes)
            if args.adversarial_eps:
                eps = args.adversarial_eps / 255
                attack = pgd(lambda x: scale * encode(x) @ anchors[:classes].T, pixels, labels[batch], eps=eps,
                             step_size=eps, steps=2, generator=noise)
                pixels = pixels + last(attack).delta
            image = encode(pixels)
            loss = objective(scale * image @ anchors.T, labels[batch], covers[chosen])
            if args.instance_weight:
                loss = loss + args.instance_weight * instance_loss(image, scale)
            if step % CAPTIONS_EVERY == 0 and not args.adversarial_eps:
                text = speak(model, tokenizer, vocabulary, chosen, rng)
                loss = loss + F.cross_entropy(scale * text @ anchors.T, torch.arange(len(anchors), device=device))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trainable, 1.0)
            optimizer.step(), optimizer.zero_grad(set_to_none=True), schedule.step()
            with torch.no_grad():
                model.logit_scale.clamp_(max=math.log(100))
            averaged.update_parameters(model)
            if step % 20 == 0:
                bar.set_postfix(loss=f"{loss.item():.3f}", scale=f"{model.logit_scale.exp().item():.1f}")
        averaged.eval()
        report(f"epoch {epoch + 1}", averaged.module, tokenizer, vocabulary, val_pictures, val_labels)
        save_weights(averaged.module, args.out, vocabulary, text=not args.adversarial_eps)
        partial = checkpoint.with_suffix(".part")
        torch.save({"model": model.state_dict(), "averaged": averaged.state_dict(), "optimizer": optimizer.state_dict(),
                    "schedule": schedule.state_dict(), "epoch": epoch + 1, "settings": settings_of(args)}, partial)
        partial.rename(checkpoint)

    if not args.adversarial_eps:
        fit_text(averaged.module, tokenizer, vocabulary, args.text_steps, args.seed)
        report("done", averaged.module, tokenizer, vocabulary, val_pictures, val_labels)
        save_weights(averaged.module, args.out, vocabulary)


def settings_of(args: argparse.Namespace) -> dict:
    names = ("start", "adversarial_eps", "instance_weight", "epochs", "small_epochs", "small_side", "mild_epochs", "batch", "lr", "seed", "merges")
    return {name: str(getattr(args, name)) for name in names}


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the unzipped tiny-imagenet-200 folder")
    parser.add_argument("--out", type=Path, required=True, help="where the weights go, e.g. assets/pocket")
    parser.add_argument("--work", type=Path, default=Path("runs/pocket"), help="decoded pictures and the checkpoint")
    parser.add_argument("--start", type=Path, help="go on from these weights, e.g. assets/pocket")
    parser.add_argument("--adversarial-eps", type=float, default=0.0,
                        help="in 1/255: fine-tune the image tower by TeCoA; needs --start")
    parser.add_argument("--instance-weight", type=float, default=0.0,
                        help="of a loss between two crops of each picture (for the study of false stability)")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--small-epochs", type=int, default=6, help="the first epochs run on smaller pictures")
    parser.add_argument("--small-side", type=int, default=48, help="pixels a side of those")
    parser.add_argument("--text-steps", type=int, default=800, help="steps that fit the text tower in the end")
    parser.add_argument("--mild-epochs", type=int, default=6, help="the last epochs see nearly whole pictures")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float, default=8e-4)
    parser.add_argument("--merges", type=int, default=6000, help="BPE merges kept of open_clip's 48,894")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args(argv)
    if args.adversarial_eps and not args.start:
        parser.error("--adversarial-eps fine-tunes a trained model: name its folder with --start.")
    return args


if __name__ == "__main__":
    train(parse())
