"""Put an embedded model's figures into its card and the project's README, recomputed from what was recorded.

    python -m demo_core.pocket.card

Reads, for every embedded model: measured.json (demo_core.pocket.measure), its records (demo_core.benchmark) and the
study (demo_core.pocket.study). Writes between the marks of each document and nowhere else; and the chart of each model's
largest table.
"""
from __future__ import annotations

import json
import statistics
from pathlib import Path

from demo_core.clip import ASSETS, MEASURED_FILE, MODELS, study_of
from demo_core.drift import CLEAN_PILE, NOISE_STRENGTHS, STUDY_VIEWS, Study
from demo_core.examples import EXAMPLES
from demo_core.report import drawn, shipped, shipped_markdown, table

EMBEDDED = [key for key, row in MODELS.items() if row.folder]
BEGIN, END = "<!-- figures -->", "<!-- /figures -->"


def recognition_markdown(report: dict) -> str:
    """measured.json as a table."""
    def mean(words: dict[str, float]) -> str:
        worst = min(words, key=words.get)
        return f"{statistics.mean(words.values()):.1f} % (lowest: {worst}, {words[worst]:.0f} %)"

    right = [example for example in EXAMPLES if report["photographs"].get(example.title) == example.expected]
    return "\n".join([
        f"| zero-shot top-1 | {report['pictures']:,} validation pictures |", "|---|---|",
        f"| all 200 names | {report['zero_shot_top1_200_names']:.1f} % |",
        *(f"| the list “{name}” (10 names, {row['pictures']:,} pictures) | {row['top1']:.1f} % |"
          for name, row in report["presets"].items()),
        f"| {len(report['open_vocabulary'])} everyday words that are no class names, each against nine others |"
        f" {mean(report['open_vocabulary'])} |",
        f"| {len(report['unread_words'])} words that it never read ({', '.join(report['unread_words'])}), likewise |"
        f" {mean(report['unread_words'])} |",
        f"| the app’s example photographs, each with the list it is offered with | {len(right)} of {len(EXAMPLES)} |",
        f"| one forward and backward pass, batch 1, two CPU cores | {report['milliseconds_forward_backward']:.1f} ms |",
    ])


def aucs_markdown(study: Study) -> str:
    """A study's AUCs as a table, with the attack's eps over the median flip eps."""
    lines = ["| attack | eps / median flip eps | encoder | " + " | ".join(f"noise {s}/255" for s in NOISE_STRENGTHS)
             + " | " + " | ".join(STUDY_VIEWS) + " |", "|---" * (3 + len(NOISE_STRENGTHS) + len(STUDY_VIEWS)) + "|"]
    for encoder in dict.fromkeys(row.encoder for row in study.rows):
        for pile, eps in study.piles.items():
            if pile != CLEAN_PILE:
                values = [study.find("noise", encoder=encoder, strength=s)[pile].auc for s in NOISE_STRENGTHS]
                values += [study.find(view, encoder=encoder)[pile].auc for view in STUDY_VIEWS]
                lines.append(f"| {pile} | {eps / study.median_flip_eps:.1f} | {encoder} | "
                             + " | ".join(f"{v:.2f}" for v in values) + " |")
    return "\n".join(lines)


def figures(key: str) -> str:
    """Everything measured of a model of the table, as the Markdown that stands in the documents."""
    folder, study = ASSETS / MODELS[key].folder, study_of(key)
    return "\n".join([
        recognition_markdown(json.loads((folder / MEASURED_FILE).read_text())),
        "", "Accuracy in percent over all 200 names, ± half the bootstrap 95 % interval:", "",
        shipped_markdown(key),
        "", f"AUC, the chance that a clean picture’s embedding drifts further than an attacked one’s ({study.pictures:,}"
        f" pictures, attacked from the predicted label; PGD-10 flips half of them at an eps of {study.median_flip_eps:.2f}/255):",
        "", aucs_markdown(study),
    ])


def overview() -> str:
    """The project's README: what defences do to each embedded model."""
    parts = []
    for key in EMBEDDED:
        row, study = MODELS[key], study_of(key)
        report = json.loads((ASSETS / row.folder / MEASURED_FILE).read_text())
        parts.append(f"### {row.title}\n\nTop-1 over 200 names {report['zero_shot_top1_200_names']:.1f} % (10,000 pictures); PGD-10"
                     f" flips half of the pictures at an eps of {study.median_flip_eps:.2f}/255.\n\n"
                     f"![Accuracy of every defence under every attack that met all pictures; the table below has the numbers]({chart(key).relative_to(ASSETS.parent).as_posix()})\n\n"
                     + shipped_markdown(key, folded=True))
    return "\n\n".join(parts)


def chart(key: str) -> Path:
    """Where the chart of a model's largest table lies."""
    return ASSETS / MODELS[key].folder / "accuracy.png"


def insert(document: Path, text: str) -> None:
    """Replace what stands between the two marks of a Markdown document. Raises ValueError where it has none."""
    before, rest = document.read_text().split(BEGIN)
    document.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")


def documents() -> dict[Path, str]:
    """Every document that holds figures, and what stands between its marks."""
    cards = {ASSETS / MODELS[key].folder / "README.md": figures(key) for key in EMBEDDED}
    return cards | {ASSETS.parent / "README.md": overview()}


def main() -> None:
    for document, text in documents().items():
        insert(document, text)
    for key in EMBEDDED:
        records = next(iter(shipped(key).values()))
        drawn(table(records)).savefig(chart(key))


if __name__ == "__main__":
    main()
