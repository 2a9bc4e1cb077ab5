"""The words the embedded CLIP is trained with: class names, their synonyms, everyday hypernyms, and templates.

Class names and synonyms come from the data set's own `words.txt` (WordNet synsets). The hypernyms below are what
people really type ("cat", not "tabby"); each is listed with the first name of every class it covers.
"""
from __future__ import annotations

import random
import re
from dataclasses import dataclass
from pathlib import Path

TEMPLATES = (
    "a photo of a {}.", "a photo of the {}.", "a photo of {}.", "this is a photo of a {}.", "a picture of a {}.",
    "an image of a {}.", "a good photo of a {}.", "a bad photo of a {}.", "a close-up photo of a {}.",
    "a small photo of a {}.", "a cropped photo of a {}.", "a bright photo of a {}.", "a dark photo of a {}.",
    "a blurry photo of a {}.", "a low resolution photo of a {}.", "a photo of one {}.", "a photo of my {}.",
    "a photo of a {} outdoors.", "a photo of a {} indoors.", "there is a {} in the picture.", "a {} in a photo.",
    "the {}.", "a {}.", "{}", "{}.",
)

# The first name in words.txt is not always the one people use; the preferred name must itself be a listed synonym.
PREFERRED = {
    "beacon": "lighthouse", "beach wagon": "station wagon", "bannister": "handrail", "jinrikisha": "rickshaw",
    "hog": "pig", "lesser panda": "red panda", "ice lolly": "popsicle", "pop bottle": "soda bottle",
    "pay-phone": "pay phone", "gasmask": "gas mask", "teddy": "teddy bear", "alp": "alp", "potpie": "pot pie",
    "projectile": "missile", "organ": "pipe organ", "confectionery": "candy store", "butcher shop": "butcher shop",
    "cash machine": "cash machine", "monarch": "monarch butterfly", "tabby": "tabby cat", "cougar": "cougar",
    "bighorn": "bighorn sheep", "computer keyboard": "computer keyboard", "mantis": "mantis",
}

# Shown and trained beside the data set's synonyms where those lack the plain word.
EXTRA_SYNONYMS = {
    "espresso": ["coffee", "a cup of coffee"], "Arabian camel": ["camel"], "African elephant": ["elephant"],
    "European fire salamander": ["salamander"], "American alligator": ["alligator", "crocodile"],
    "American lobster": ["lobster"], "spiny lobster": ["lobster"], "king penguin": ["penguin"],
    "black stork": ["stork"], "boa constrictor": ["boa"], "German shepherd": ["shepherd dog"],
    "standard poodle": ["poodle"], "monarch": ["orange butterfly"], "sulphur butterfly": ["yellow butterfly"],
    "computer keyboard": ["keyboard"], "triumphal arch": ["arch"], "bullet train": ["high-speed train"],
    "projectile": ["rocket"], "cash machine": ["ATM machine"], "gasmask": ["gas mask"], "pay-phone": ["pay phone", "telephone"],
    "potpie": ["pot pie"], "refrigerator": ["fridge"], "limousine": ["limo"], "sports car": ["race car"],
    "magnetic compass": ["compass"], "military uniform": ["soldier"], "ice cream": ["ice cream cone"],
    "comic book": ["comics"], "bell pepper": ["pepper"], "brain coral": ["coral"], "spider web": ["cobweb"],
    "pill bottle": ["medicine bottle"], "frying pan": ["pan"], "swimming trunks": ["swim shorts"],
    "rocking chair": ["chair"], "dining table": ["table"], "plate": ["dish"], "altar": ["church"],
    "police van": ["police car"], "seashore": ["beach"], "lakeside": ["lake"], "alp": ["mountain"],
    "candle": ["candlelight"], "water jug": ["jug"], "sewing machine": ["sewing machine"], "torch": ["flame"],
}

GROUPS = {
    "fish": "goldfish", "amphibian": "European fire salamander|bullfrog|tailed frog", "frog": "bullfrog|tailed frog",
    "toad": "bullfrog|tailed frog",
    "reptile": "American alligator|boa constrictor", "snake": "boa constrictor",
    "spider": "black widow|tarantula",
    "bird": "goose|black stork|king penguin|albatross",
    "seabird": "king penguin|albatross", "sea creature": "jellyfish|brain coral|sea slug|dugong|sea cucumber|coral reef|American lobster|spiny lobster|goldfish",
    "shellfish": "American lobster|spiny lobster",
    "cat": "tabby|Persian cat|Egyptian cat", "kitty": "tabby|Persian cat|Egyptian cat",
    "house cat": "tabby|Persian cat|Egyptian cat", "pet cat": "tabby|Persian cat|Egyptian cat",
    "big cat": "cougar|lion", "wild cat": "cougar|lion", "wildcat": "cougar|lion",
    "dog": "Chihuahua|Yorkshire terrier|golden retriever|Labrador retriever|German shepherd|standard poodle",
    "doggy": "Chihuahua|Yorkshire terrier|golden retriever|Labrador retriever|German shepherd|standard poodle",
    "pet dog": "Chihuahua|Yorkshire terrier|golden retriever|Labrador retriever|German shepherd|standard poodle",
    "pet": "Chihuahua|Yorkshire terrier|golden retriever|Labrador retriever|German shepherd|standard poodle|tabby|Persian cat|Egyptian cat|guinea pig|goldfish",
    "retriever": "golden retriever|Labrador retriever", "bear": "brown bear", "rodent": "guinea pig", "hamster": "guinea pig",
    "insect": "ladybug|fly|bee|grasshopper|walking stick|cockroach|mantis|dragonfly|monarch|sulphur butterfly",
    "bug": "ladybug|fly|bee|grasshopper|walking stick|cockroach|mantis|dragonfly|centipede|scorpion",
    "beetle": "ladybug", "butterfly": "monarch|sulphur butterfly", "worm": "centipede|slug", "fossil": "trilobite",
    "monkey": "orangutan|chimpanzee|baboon", "ape": "orangutan|chimpanzee", "primate": "orangutan|chimpanzee|baboon",
    "sheep": "bighorn", "cow": "ox", "cattle": "ox|bison", "buffalo": "bison", "deer": "gazelle", "antelope": "gazelle",
    "farm animal": "hog|ox|goose|bighorn",
    "wild animal": "cougar|lion|brown bear|bison|gazelle|African elephant|baboon|chimpanzee|orangutan|lesser panda|bighorn|koala",
    "mammal": "dugong|cougar|lion|brown bear|bison|gazelle|African elephant|baboon|chimpanzee|orangutan|lesser panda|bighorn|koala|guinea pig|hog|ox|Arabian camel|tabby|Persian cat|Egyptian cat|Chihuahua|Yorkshire terrier|golden retriever|Labrador retriever|German shepherd|standard poodle",
    "animal": "goldfish|European fire salamander|bullfrog|tailed frog|American alligator|boa constrictor|scorpion|black widow|tarantula|goose|koala|jellyfish|snail|slug|American lobster|spiny lobster|black stork|king penguin|albatross|dugong|Chihuahua|Yorkshire terrier|golden retriever|Labrador retriever|German shepherd|standard poodle|tabby|Persian cat|Egyptian cat|cougar|lion|brown bear|ladybug|fly|bee|grasshopper|mantis|dragonfly|monarch|sulphur butterfly|guinea pig|hog|ox|bison|bighorn|gazelle|Arabian camel|orangutan|chimpanzee|baboon|African elephant|lesser panda",
    "car": "beach wagon|convertible|limousine|sports car", "automobile": "beach wagon|convertible|limousine|sports car",
    "van": "moving van|police van", "truck": "moving van|police van|tractor", "lorry": "moving van",
    "bus": "school bus|trolleybus", "tram": "trolleybus", "train": "bullet train|freight car", "railway": "bullet train|freight car",
    "boat": "gondola|lifeboat", "ship": "lifeboat", "racing car": "go-kart|sports car",
    "vehicle": "beach wagon|bullet train|convertible|freight car|go-kart|gondola|jinrikisha|lifeboat|limousine|moving van|police van|school bus|sports car|tractor|trolleybus",
    "bridge": "steel arch bridge|suspension bridge|viaduct", "aqueduct": "viaduct",
    "tower": "beacon|water tower|obelisk", "monument": "obelisk|triumphal arch|brass", "column": "obelisk|pole|flagpole",
    "building": "barn|cliff dwelling|beacon|thatch|triumphal arch|water tower", "house": "barn|thatch|cliff dwelling",
    "hut": "thatch", "fence": "picket fence", "shop": "barbershop|butcher shop|confectionery",
    "store": "barbershop|butcher shop|confectionery", "rocket launch": "projectile", "weapon": "cannon|projectile",
    "bottle": "beer bottle|pill bottle|pop bottle|water jug", "container": "barrel|bucket|chest|pill bottle|water jug|beaker",
    "furniture": "desk|dining table|rocking chair|chest", "lamp": "lampshade|torch|candle",
    "clothes": "academic gown|apron|bikini|cardigan|fur coat|kimono|military uniform|miniskirt|poncho|swimming trunks|vestment",
    "clothing": "academic gown|apron|bikini|cardigan|fur coat|kimono|military uniform|miniskirt|poncho|swimming trunks|vestment",
    "dress": "kimono|miniskirt|vestment|academic gown", "sweater": "cardigan", "coat": "fur coat|cardigan",
    "jacket": "cardigan|military uniform", "swimsuit": "bikini|swimming trunks", "uniform": "military uniform",
    "hat": "sombrero", "glasses": "sunglasses", "shoe": "sandal", "shoes": "sandal", "stocking": "sock|Christmas stocking",
    "bag": "backpack", "ball": "basketball|rugby ball|volleyball|punching bag", "sport": "basketball|rugby ball|volleyball|scoreboard",
    "musical instrument": "oboe|organ|drumstick", "clock": "stopwatch|hourglass|parking meter", "watch": "stopwatch",
    "machine": "cash machine|sewing machine|lawn mower|space heater|CD player", "phone": "pay-phone|iPod|remote control",
    "music player": "iPod|CD player", "electronics": "iPod|CD player|remote control|computer keyboard",
    "tool": "broom|plunger|nail|wooden spoon|reel|syringe|lawn mower", "kitchenware": "frying pan|wok|teapot|wooden spoon|plate|water jug",
    "cookware": "frying pan|wok", "spoon": "wooden spoon", "cup": "espresso", "mug": "espresso", "drink": "espresso|pop bottle|beer bottle",
    "food": "guacamole|ice cream|ice lolly|pretzel|mashed potato|cauliflower|bell pepper|mushroom|orange|lemon|banana|pomegranate|meat loaf|pizza|potpie|plate",
    "meal": "mashed potato|meat loaf|pizza|potpie|plate|guacamole", "dessert": "ice cream|ice lolly", "pie": "potpie|pizza",
    "fruit": "orange|lemon|banana|pomegranate", "vegetable": "cauliflower|bell pepper|mushroom|mashed potato",
    "bread": "pretzel|meat loaf", "nut": "acorn", "plant": "acorn|mushroom|cauliflower",
    "toy": "teddy", "book": "comic book", "fire": "candle|torch", "sea": "seashore|coral reef|cliff|lifeboat", "ocean": "seashore|coral reef|cliff",
    "mountains": "alp", "snow": "alp", "landscape": "alp|cliff|lakeside|seashore", "coastline": "seashore|cliff",
    "nature": "alp|cliff|lakeside|seashore|coral reef", "water": "lakeside|seashore|fountain|dam",
    "mask": "gasmask|snorkel", "diver": "snorkel", "street": "trolleybus|parking meter|school bus|police van",
}


@dataclass(frozen=True)
class Vocabulary:
    """What there is to say about a picture of each class.

    wnids: the C class ids, in the order of the labels; names: the C names shown and evaluated with;
    synonyms: for each class every name it may be called by; hypernyms: word -> the class indices it covers.
    """

    wnids: list[str]
    names: list[str]
    synonyms: list[list[str]]
    hypernyms: dict[str, list[int]]


def read_vocabulary(data_dir: Path) -> Vocabulary:
    """Read `wnids.txt` and `words.txt`. Raises FileNotFoundError where either is missing."""
    wnids = sorted((data_dir / "wnids.txt").read_text().split())
    words = dict(line.split("\t") for line in (data_dir / "words.txt").read_text().strip().splitlines())
    listed = [[part.strip() for part in words[w].split(",")] for w in wnids]
    index = {synonyms[0]: i for i, synonyms in enumerate(listed)}
    names = [PREFERRED.get(s[0], s[0]) for s in listed]
    latin = re.compile(r"^[A-Z][a-z]+ [a-z]+$")  # "Carassius auratus": nobody types it, and it costs tokens
    english = ("lady beetle", "bighorn", "sheep", "bear", "cat", "dog", "retriever", "terrier", "poodle", "elephant",
               "camel", "alligator", "lobster", "penguin", "salamander", "stocking", "shepherd")
    synonyms = [
        [name] + [s for s in listed_i + EXTRA_SYNONYMS.get(listed_i[0], [])
                  if s != name and (not latin.match(s) or s.endswith(english))]
        for name, listed_i in zip(names, listed)
    ]
    hypernyms = {word: [index[m] for m in members.split("|") if m in index] for word, members in GROUPS.items()}
    hypernyms = {word: members for word, members in hypernyms.items() if members}
    # A word that several classes list ("wagon", "lobster") says which of them are meant, not which one.
    owners: dict[str, list[int]] = {}
    for i, names_i in enumerate(synonyms):
        for word in dict.fromkeys(names_i):
            owners.setdefault(word, []).append(i)
    shared = {w: who for w, who in owners.items() if len(who) > 1 or w in hypernyms}
    for word, who in shared.items():
        hypernyms[word] = sorted({*hypernyms.get(word, []), *who})
    synonyms = [[name] + [s for s in dict.fromkeys(names_i) if s != name and s not in shared]
                for name, names_i in zip(names, synonyms)]
    return Vocabulary(wnids, names, synonyms, hypernyms)


def article(text: str) -> str:
    """'a orange' -> 'an orange', as people write."""
    return re.sub(r"\b([Aa]) (?=[aeiouAEIOU])", r"\1n ", text)


def captions(words: list[str], rng: random.Random) -> list[str]:
    """One caption a word, each in a template of its own."""
    return [article(rng.choice(TEMPLATES).format(word)) for word in words]
