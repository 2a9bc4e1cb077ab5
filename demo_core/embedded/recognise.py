"""What the embedded model's text tower recognises: top-1 by the sets' own names, by everyday words, and of
classes that a second tower has never been told of.

    python -m demo_core.embedded.recognise --photographs FOLDER --tower assets/embedded python -m
    demo_core.embedded.recognise --photographs FOLDER --held-out-tower runs/held-out --hold-out 100 --seed 1

FOLDER holds an archive a set: CIFAR10.zip, ImageNet.zip, ... Writes recognition.json into the tower's folder;
all figures are per cent.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES

from demo_core.benchmark.official import classes as official_classes
from demo_core.benchmark.official import plain
from demo_core.embedded.kept import kept_in
from demo_core.embedded.photographs import read_archive
from demo_core.embedded.teacher import PictureSide, picture_side, pooled_features
from demo_core.embedded.vocabulary import held_out, imagenet_labels
from demo_core.texts import TextTower, Tokenizer, load_texts, words_of

TEMPLATE = "a photo of a {}."
PROMPTS = {
    "OxfordPets": "A photo of a {}, a type of pet.",
    "Flowers102": "A photo of a {}, a type of flower.",
}
PROMPT = "This is a photo of a {}."  # of the other sets, as in demo_core.benchmark.datasets
UNSEEN_SETS = ("ImageNet", "imagenet-photos")  # that show classes held out of the text tower's training
SETS = ("CIFAR10", "CIFAR100", "OxfordPets", "Caltech101", "Flowers102")
RESULT_FILE = "recognition.json"

CATS = (
    "Abyssinian Bengal Birman Bombay British_Shorthair Egyptian_Mau Maine_Coon Persian Ragdoll Russian_Blue"
    " Siamese Sphynx"
).split()
# word -> what it must not stand against, and the pictures it names: (set, its classes; "*" is all of them).
# Words that name a class of ImageNet are left out when it is measured.
EVERYDAY: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "cat": ("cat", (("CIFAR10", "cat"), ("OxfordPets", "cats"))),
    "kitten": ("cat", (("OxfordPets", "cats"),)),
    "kitty": ("cat", (("OxfordPets", "cats"),)),
    "dog": ("dog", (("CIFAR10", "dog"), ("OxfordPets", "dogs"))),
    "puppy": ("dog", (("OxfordPets", "dogs"),)),
    "doggy": ("dog", (("OxfordPets", "dogs"),)),
    "bird": ("bird", (("CIFAR10", "bird"),)),
    "horse": ("horse", (("CIFAR10", "horse"),)),
    "pony": ("horse", (("CIFAR10", "horse"),)),
    "deer": ("deer", (("CIFAR10", "deer"),)),
    "frog": ("frog", (("CIFAR10", "frog"),)),
    "car": ("car", (("CIFAR10", "automobile"), ("Caltech101", "car_side"))),
    "automobile": ("car", (("CIFAR10", "automobile"), ("Caltech101", "car_side"))),
    "truck": ("truck car", (("CIFAR10", "truck"),)),
    "lorry": ("truck car", (("CIFAR10", "truck"),)),
    "airplane": ("plane", (("CIFAR10", "airplane"), ("Caltech101", "airplanes"))),
    "aeroplane": ("plane", (("CIFAR10", "airplane"), ("Caltech101", "airplanes"))),
    "jet": ("plane", (("CIFAR10", "airplane"), ("Caltech101", "airplanes"))),
    "ship": ("boat", (("CIFAR10", "ship"),)),
    "boat": ("boat", (("CIFAR10", "ship"), ("Caltech101", "ketch ferry"))),
    "sailboat": ("boat", (("Caltech101", "ketch schooner"),)),
    "flower": ("flower", (("Flowers102", "*"),)),
    "blossom": ("flower", (("Flowers102", "*"),)),
    "fruit": ("fruit", (("CIFAR100", "apple pear orange"),)),
    "bridge": ("bridge", (("CIFAR100", "bridge"),)),
    "guitar": ("guitar", (("Caltech101", "electric_guitar"),)),
    "mug": ("mug", (("Caltech101", "cup"),)),
    "motorbike": ("motorbike", (("Caltech101", "Motorbikes"),)),
    "motorcycle": ("motorbike", (("CIFAR100", "motorcycle"), ("Caltech101", "Motorbikes"))),
    "bicycle": ("bicycle", (("CIFAR100", "bicycle"),)),
    "bike": ("bicycle motorbike", (("CIFAR100", "bicycle"),)),
    "bus": ("bus", (("CIFAR100", "bus"),)),
    "train": ("train", (("CIFAR100", "train"),)),
    "chair": ("chair", (("CIFAR100", "chair"), ("Caltech101", "chair windsor_chair"))),
    "sofa": ("chair", (("CIFAR100", "couch"),)),
    "bed": ("bed", (("CIFAR100", "bed"),)),
    "lamp": ("lamp", (("CIFAR100", "lamp"), ("Caltech101", "lamp"))),
    "clock": ("clock", (("CIFAR100", "clock"),)),
    "phone": ("phone", (("CIFAR100", "telephone"), ("Caltech101", "cellphone"))),
    "bottle": ("bottle", (("CIFAR100", "bottle"),)),
    "bear": ("bear", (("CIFAR100", "bear"),)),
    "butterfly": ("butterfly", (("CIFAR100", "butterfly"), ("Caltech101", "butterfly"))),
    "elephant": ("elephant", (("CIFAR100", "elephant"), ("Caltech101", "elephant"))),
    "rabbit": ("rabbit", (("CIFAR100", "rabbit"),)),
    "snake": ("snake", (("CIFAR100", "snake"),)),
    "spider": ("spider", (("CIFAR100", "spider"),)),
    "turtle": ("turtle", (("CIFAR100", "turtle"),)),
    "lizard": ("lizard", (("CIFAR100", "lizard"),)),
    "cow": ("cow", (("CIFAR100", "cattle"),)),
    "house": ("house", (("CIFAR100", "house"),)),
    "tree": ("tree", (("CIFAR100", "maple_tree oak_tree pine_tree"),)),
    "piano": ("piano", (("Caltech101", "grand_piano"),)),
    "camera": ("camera", (("Caltech101", "camera"),)),
    "watch": ("clock", (("Caltech101", "watch"),)),
    "helicopter": ("plane", (("Caltech101", "helicopter"),)),
    "crab": ("crab", (("Caltech101", "crab"),)),
    "crocodile": ("crocodile", (("Caltech101", "crocodile"),)),
    "fish": ("fish", (("CIFAR100", "aquarium_fish trout flatfish"),)),
    "dolphin": ("fish", (("Caltech101", "dolphin"),)),
    "headphones": ("phone", (("Caltech101", "headphone"),)),
    "rose": ("flower", (("Flowers102", "rose"),)),
    "fungus": ("mushroom", (("CIFAR100", "mushroom"),)),
}


class Pictures:
    """The sets' pictures as pooled features of the locked tower, from a folder of archives `<set>.zip`; they
    are kept in the folder `work`."""

    def __init__(self, folder: Path, work: Path):
        self.folder, self.work = folder, work
        self._read: dict[str, tuple[torch.Tensor, torch.Tensor, list[str]]] = {}

    def features_of(self, name: str) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
        """Features [N,1280], labels [N] and the classes' raw names. Raises FileNotFoundError."""
        archive = self.folder / f"{name}.zip"

        def read() -> tuple[torch.Tensor, torch.Tensor, list[str]]:
            print(f"reading {archive}", flush=True)
            photographs = read_archive(archive)
            return pooled_features(photographs), photographs.labels, list(photographs.classes)

        if name not in self._read:
            self._read[name] = kept_in(self.work / f"features-{name}.pt", read, archive)
        return self._read[name]


def names_of(set_name: str, classes: Sequence[str]) -> list[str]:
    """A set's class names as they are asked for (see demo_core.benchmark.datasets)."""
    if set_name == "Flowers102":
        return [plain(row.folder) for row in official_classes(set_name)]
    if set_name == "Caltech101":
        return ["person" if name in ("Faces", "Faces_easy") else name.replace("_", " ") for name in classes]
    return [plain(name) for name in classes]


class Recogniser:
    """A text tower over the locked picture side."""

    def __init__(self, tower: TextTower, tokenizer: Tokenizer, side: PictureSide):
        self.tower, self.tokenizer, self.side = tower, tokenizer, side

    @torch.no_grad()
    def say(self, names: Sequence[str], template: str = TEMPLATE) -> torch.Tensor:
        return F.normalize(
            self.tower(self.tokenizer([template.replace("{}", name) for name in names])), dim=-1
        )

    def top1(
        self, features: torch.Tensor, labels: torch.Tensor, names: Sequence[str], template: str
    ) -> float:
        """Per cent. Classes of one name count as one."""
        first = torch.tensor([names.index(name) for name in names])
        found = (self.side.embed(features) @ self.say(names, template).T).argmax(1)
        return 100 * (first[found] == first[labels]).float().mean().item()


def imagenet_of(pictures: Pictures, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Features and labels among ImageNet's 1,000 of a set whose folders are synsets' ids."""
    features, labels, classes = pictures.features_of(name)
    return features, imagenet_labels(classes)[labels]


def by_names(recogniser: Recogniser, pictures: Pictures) -> dict:
    """Every set by its own names, in the plain template and in the set's own prompt."""
    result = {}
    for name in SETS:
        features, labels, classes = pictures.features_of(name)
        names = names_of(name, classes)
        result[name] = {
            template: recogniser.top1(features, labels, names, template)
            for template in (TEMPLATE, PROMPTS.get(name, PROMPT), "{}")
        } | {"pictures": len(labels)}
    features, labels = imagenet_of(pictures, "ImageNet")
    result["ImageNet"] = {
        template: recogniser.top1(features, labels, list(IMAGENET_CLASSNAMES), template)
        for template in (TEMPLATE, PROMPT, "{}")
    } | {"pictures": len(labels)}
    found = (recogniser.side.embed(features) @ recogniser.side.prototypes.T).argmax(1)
    result["ImageNet"]["by the prototypes"] = 100 * (found == labels).float().mean().item()
    return result


def everyday(recogniser: Recogniser, pictures: Pictures, draws: int = 5) -> dict:
    """Each everyday word against nine others, drawn `draws` times."""
    listed = {" ".join(words_of(name)) for name in IMAGENET_CLASSNAMES}
    words = [word for word in EVERYDAY if word not in listed]
    rng, result = random.Random(0), {}
    for word in words:
        group, sources = EVERYDAY[word]
        parts = []
        for name, chosen in sources:
            features, labels, classes = pictures.features_of(name)
            picked = {"*": classes, "cats": CATS, "dogs": [c for c in classes if c not in CATS]}.get(
                chosen, chosen.split()
            )
            parts.append(features[torch.isin(labels, torch.tensor([classes.index(c) for c in picked]))])
        embedded = recogniser.side.embed(torch.cat(parts))
        others = [other for other in words if not set(EVERYDAY[other][0].split()) & set(group.split())]
        hits = [
            ((embedded @ recogniser.say([word, *rng.sample(others, 9)]).T).argmax(1) == 0)
            .float()
            .mean()
            .item()
            for _ in range(draws)
        ]
        result[word] = 100 * sum(hits) / draws
    return {"mean": sum(result.values()) / len(result), "words": result}


def unseen(recogniser: Recogniser, pictures: Pictures, unknown: list[int]) -> dict:
    """Classes that the tower was never told of: among themselves, and among ten of them at a time."""
    texts, result = recogniser.say([IMAGENET_CLASSNAMES[label] for label in unknown]), {}
    groups = torch.tensor(random.Random(0).sample(range(len(unknown)), len(unknown))).split(10)
    for name in UNSEEN_SETS:
        features, labels = imagenet_of(pictures, name)
        rows = torch.isin(labels, torch.tensor(unknown))
        where = torch.tensor([unknown.index(label) for label in labels[rows].tolist()])
        logits = recogniser.side.embed(features[rows]) @ texts.T
        of_ten = 0
        for group in groups:
            inside = torch.isin(where, group)
            of_ten += (group[logits[inside][:, group].argmax(1)] == where[inside]).sum().item()
        result[name] = {
            "all": 100 * (logits.argmax(1) == where).float().mean().item(),
            "of ten": 100 * of_ten / len(where),
            "classes": len(unknown),
            "pictures": len(where),
        }
    return result


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--photographs", type=Path, required=True, help="a folder of the sets' archives, <set>.zip"
    )
    parser.add_argument(
        "--work", type=Path, default=Path("runs/embedded"), help="where the sets' features are kept"
    )
    parser.add_argument(
        "--tower", type=Path, default=Path("assets/embedded"), help="also where the figures go"
    )
    parser.add_argument("--held-out-tower", type=Path, help="a tower trained with --hold-out")
    parser.add_argument("--hold-out", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    pictures, side, path = Pictures(args.photographs, args.work), picture_side(), args.tower / RESULT_FILE
    result = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if args.held_out_tower:
        recogniser = Recogniser(*load_texts(args.held_out_tower), side)
        found = unseen(recogniser, pictures, held_out(args.hold_out, args.seed))
        result.setdefault("unseen classes", {})[f"seed {args.seed}"] = found
        print(json.dumps(found, indent=1))
    else:
        recogniser = Recogniser(*load_texts(args.tower), side)
        result |= {
            "by names": by_names(recogniser, pictures),
            "everyday words": everyday(recogniser, pictures),
        }
        print(json.dumps({key: result[key] for key in ("by names", "everyday words")}, indent=1))
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
