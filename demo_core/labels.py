"""Candidate labels: what a person types becomes a clean list, and PRESETS, the lists on offer."""
from __future__ import annotations

MAX_LABELS = 1000
DEFAULT_TEMPLATE = "a photo of a {}."

# Words that the embedded model was trained with; what it does not know ("astronaut") it cannot recognise. Within a
# list the words are of one level ("cat" beside "lion" would win: it stands for more pictures). Which words made it
# into a list was decided on training pictures.
PRESETS: dict[str, tuple[str, ...]] = {
    "Kinds of things": ("animal", "vehicle", "food", "drink", "tower", "bridge", "clothes", "furniture", "landscape",
                        "ball"),
    "Everyday": ("cat", "dog", "bird", "butterfly", "car", "train", "bridge", "tower", "fruit", "spider"),
    "Animals": ("lion", "tabby cat", "golden retriever", "brown bear", "king penguin", "African elephant", "goldfish",
                "bullfrog", "monarch butterfly", "ladybug"),
    "Food and drink": ("coffee", "pizza", "orange", "cauliflower", "lemon", "mushroom", "bell pepper", "pretzel",
                       "guacamole", "pomegranate"),
    "Vehicles": ("sports car", "go-kart", "school bus", "bullet train", "tractor", "gondola", "rocket", "lifeboat",
                 "trolleybus", "rickshaw"),
    "Sights": ("lighthouse", "suspension bridge", "barn", "triumphal arch", "beach", "mountain", "coral reef",
               "water tower", "cliff dwelling", "maypole"),
}
DEFAULT_PRESET = "Kinds of things"


class LabelError(ValueError):
    """Labels or a template cannot be used. The message is one sentence that says what to do."""


def list_labels(text: str) -> tuple[str, ...]:
    """One label a line, its spaces tidied; empty lines and repeated labels (whatever their case) are dropped."""
    unique: dict[str, str] = {}
    for line in (text or "").splitlines():
        if line.strip():
            unique.setdefault(" ".join(line.split()).casefold(), " ".join(line.split()))
    return tuple(unique.values())


def parse_labels(text: str) -> tuple[str, ...]:
    """list_labels, or LabelError where these are fewer than two or more than 1,000."""
    unique = list_labels(text)
    if len(unique) < 2:
        raise LabelError("Write at least two different labels, one a line: with fewer there is nothing to choose from.")
    if len(unique) > MAX_LABELS:
        raise LabelError(f"{len(unique):,} labels are too many: keep at most {MAX_LABELS:,}.")
    return unique


def check_template(template: str) -> str:
    """The template, or LabelError where it has no single {} for the label."""
    template = (template or "").strip()
    if template.count("{}") != 1:
        raise LabelError("The prompt template needs {} once, where the label goes, as in “a photo of a {}.”")
    return template
