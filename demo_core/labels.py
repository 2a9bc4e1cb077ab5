"""Candidate labels: what a person types becomes a clean list, and PRESETS, the lists on offer."""

from __future__ import annotations

import unicodedata

from demo_core.limits import LIMITS

DEFAULT_TEMPLATE = "a photo of a {}."

# Things that the embedded model was shown photographs of. Within a list the words are of one level: "cat"
# beside "lion" would win, as it stands for more pictures.
PRESETS: dict[str, tuple[str, ...]] = {
    "Everyday": (
        "cat",
        "dog",
        "bird",
        "car",
        "bicycle",
        "cup of coffee",
        "flower",
        "chair",
        "house",
        "clock",
    ),
    "Animals": (
        "lion",
        "tiger",
        "cheetah",
        "tabby cat",
        "golden retriever",
        "brown bear",
        "zebra",
        "African elephant",
        "goldfish",
        "bald eagle",
    ),
    "Dogs and cats": (
        "tabby cat",
        "Persian cat",
        "Siamese cat",
        "golden retriever",
        "beagle",
        "pug",
        "poodle",
        "dalmatian",
        "husky",
        "chihuahua",
    ),
    "Food and drink": (
        "espresso",
        "tea",
        "pizza",
        "cheeseburger",
        "ice cream",
        "red wine",
        "strawberry",
        "banana",
        "pretzel",
        "soup",
    ),
    "Vehicles": (
        "motorcycle",
        "bicycle",
        "sports car",
        "school bus",
        "fire engine",
        "steam locomotive",
        "airliner",
        "sailboat",
        "rocket",
        "tractor",
    ),
    "Sights": (
        "tower",
        "pagoda",
        "castle",
        "lighthouse",
        "suspension bridge",
        "palace",
        "church",
        "windmill",
        "fountain",
        "beach",
    ),
    "Plants": (
        "dahlia",
        "daisy",
        "sunflower",
        "rose",
        "mushroom",
        "corn",
        "tulip",
        "fern",
        "acorn",
        "cactus",
    ),
    "Clothes": (
        "spacesuit",
        "military uniform",
        "suit",
        "kimono",
        "wedding dress",
        "swimsuit",
        "jeans",
        "raincoat",
        "cloak",
        "pyjamas",
    ),
    "At home": (
        "rocking chair",
        "sofa",
        "refrigerator",
        "toaster",
        "bookcase",
        "table lamp",
        "bathtub",
        "teapot",
        "wall clock",
        "vacuum cleaner",
    ),
    "Music": (
        "acoustic guitar",
        "grand piano",
        "violin",
        "drum",
        "saxophone",
        "harp",
        "flute",
        "trombone",
        "accordion",
        "cello",
    ),
}
DEFAULT_PRESET = "Everyday"


class LabelError(ValueError):
    """Labels or a template cannot be used. The message is one sentence that says what to do."""


def visible(text: str) -> str:
    """A text as it is read: one spelling of each letter (NFC), without what cannot be seen (byte-order marks,
    zero-width spaces, control characters but for ends of lines and tabs) or be sent (lone surrogates)."""
    unseen = ("Cc", "Cf", "Cs")
    return "".join(
        letter
        for letter in unicodedata.normalize("NFC", text)
        if letter in "\n\r\t" or unicodedata.category(letter) not in unseen
    )


def shortened(text: str, most: int = 40) -> str:
    """A text as it is quoted in a sentence."""
    return text if len(text) <= most else text[:most] + " …"


def list_labels(text: str) -> tuple[str, ...]:
    """One label a line, or on a single line between commas, its spaces tidied; empty ones and repeated labels
    (whatever their case) are dropped."""
    unique: dict[str, str] = {}
    lines = [line for line in visible(text or "").splitlines() if line.strip()]
    for line in lines[0].split(",") if len(lines) == 1 else lines:
        if line.strip():
            unique.setdefault(" ".join(line.split()).casefold(), " ".join(line.split()))
    return tuple(unique.values())


def parse_labels(text: str) -> tuple[str, ...]:
    """list_labels, or LabelError where these are fewer than two, too many, or one is too long."""
    unique = list_labels(text)
    if len(unique) < 2:
        raise LabelError(
            "Write at least two different labels, one a line: with fewer there is nothing to choose from."
        )
    if len(unique) > LIMITS.labels:
        raise LabelError(f"{len(unique):,} labels are too many: keep at most {LIMITS.labels:,}.")
    if longest := next((label for label in unique if len(label) > LIMITS.label_characters), None):
        raise LabelError(
            f"“{shortened(longest)}” has {len(longest):,} characters: keep each label to at most"
            f" {LIMITS.label_characters}."
        )
    return unique


def check_template(template: str) -> str:
    """The template, or LabelError where it has no single {} for the label."""
    template = visible(template or "").strip()
    if len(template) > LIMITS.label_characters:
        raise LabelError(f"Keep the prompt template to at most {LIMITS.label_characters} characters.")
    if template.count("{}") != 1:
        raise LabelError("The prompt template needs {} once, where the label goes, as in “a photo of a {}.”")
    return template
