"""Put the embedded models' figures into their card and the project's README, recomputed from what was
recorded.

    python -m demo_core.embedded.card

Reads recognition.json (demo_core.embedded.recognise) and, for each model, measured.json (.measure),
study.json (.study), its records (.judge) and, where there are some, its uploads.json (.uploads). Writes
between the marks of each document and nowhere else, and the chart of each model.
"""

from __future__ import annotations

import json
import statistics
from itertools import product
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from demo_core.benchmark.charts import CAPTIONS, curve_chart, drawn
from demo_core.benchmark.published import BACKBONES, counterparts, figure_of, published_of
from demo_core.benchmark.report import shipped_markdown
from demo_core.benchmark.summary import Summary
from demo_core.benchmark.tables import UNIT, curves, table
from demo_core.benchmark.trials import CLEAN, Trial, attack_title
from demo_core.defenses import CONTROL, DEFENSES, VIEW_DRIFT, title_of
from demo_core.defenses.drift import CLEAN_PILE, GROWTH, NOISE_STRENGTHS, STUDY_VIEWS, Study
from demo_core.embedded.measure import MEASURED_FILE
from demo_core.embedded.overview import CURVES, FEW, JUDGED_ON, KEYS, heads, overview, passes, recorded
from demo_core.embedded.recognise import RESULT_FILE
from demo_core.embedded.uploads import NO_DOUBT, NO_LABEL_FITS, SENSIBLE, UNSURE, UPLOADS_FILE, WRONG
from demo_core.models import ASSETS, ATTACKERS_FILE, EMBEDDED, MODELS, folder_of, profile_of, study_of
from demo_core.plots import curve_figure

BOTH_MET = (CLEAN, "pgd@1", "pgd@4")  # what papers and the embedded models met alike
BEGIN, END = "<!-- figures -->", "<!-- /figures -->"
DOCUMENTS = (EMBEDDED / "README.md", ASSETS.parent / "README.md")


def measured(key: str) -> dict:
    return json.loads((folder_of(key) / MEASURED_FILE).read_text(encoding="utf-8"))


def recognition_markdown() -> str:
    """What the models recognise: the sets' own names, everyday words, and classes that were held out."""
    reports = {key: measured(key)["sets"] for key in KEYS}
    found = json.loads((EMBEDDED / RESULT_FILE).read_text(encoding="utf-8"))
    lines = [
        "| zero-shot top-1, all names of the set | pictures | names | "
        + " | ".join(MODELS[k].title for k in KEYS)
        + " | own label among ten or not: AUC |",
        "|---" * (4 + len(KEYS)) + "|",
    ]
    for name, row in reports[KEYS[0]].items():
        cells = " | ".join(
            f"{reports[key][name]['top1']:.1f} %" if name in reports[key] else "" for key in KEYS
        )
        lines.append(f"| {name} | {row['pictures']:,} | {row['names']} | {cells} | {row['fit_auc']:.3f} |")
    lines += ["", "| words, through the locked tower | top-1 |", "|---|---|"]
    words = found["everyday words"]["words"]
    worst = sorted(words, key=words.get)[:3]
    lines.append(
        f"| {len(words)} everyday words that name no class, each against nine others |"
        f" {statistics.mean(words.values()):.1f} % (lowest: "
        + ", ".join(f"{w} {words[w]:.0f} %" for w in worst)
        + ") |"
    )
    for seed, sets in found.get("unseen classes", {}).items():
        for name, row in sets.items():
            lines.append(
                f"| {row['classes']} classes held out of the training with all their names ({seed}), on"
                f" {row['pictures']:,} pictures of {name}: among ten, among all {row['classes']} |"
                f" {row['of ten']:.1f} %, {row['all']:.1f} % |"
            )
    return "\n".join(lines)


def aucs_markdown(study: Study) -> str:
    """A study's AUCs as a table, with the attack's eps over the median flip eps."""
    probes = [VIEW_DRIFT, GROWTH, *STUDY_VIEWS]
    lines = [
        "| attack | eps / median flip eps | encoder | "
        + " | ".join(f"noise {s:g}/255" for s in NOISE_STRENGTHS)
        + " | "
        + " | ".join(name.replace("_", " ") for name in probes)
        + " |",
        "|---" * (3 + len(NOISE_STRENGTHS) + len(probes)) + "|",
    ]
    for encoder in dict.fromkeys(row.encoder for row in study.rows):
        for pile, eps in study.piles.items():
            if pile != CLEAN_PILE:
                values = [study.find("noise", encoder=encoder, strength=s)[pile].auc for s in NOISE_STRENGTHS]
                values += [study.find(probe, encoder=encoder)[pile].auc for probe in probes]
                lines.append(
                    f"| {pile} | {eps / study.median_flip_eps:.1f} | {encoder} | "
                    + " | ".join(f"{v:.2f}" for v in values)
                    + " |"
                )
    return "\n".join(lines)


def kept(key: str) -> str:
    """In one sentence a set: how much of the clean accuracy the default defence keeps."""
    found = table(recorded(key))["accuracy"].sort_index()
    lines = []
    for dataset in found.index.unique("dataset"):
        clean = found[dataset, "none", CLEAN]
        mine = found[dataset, "default"].drop(CLEAN)
        lines.append(
            f"- {dataset}: clean {clean:.1f} % undefended,"
            f" {found[dataset, 'default', CLEAN]:.1f} % defended; "
            + "; ".join(
                f"{attack_title(attack)} {value:.1f} % ({100 * value / clean:.0f} % of the clean accuracy,"
                f" undefended {found[dataset, 'none', attack]:.1f} %)"
                for attack, value in mine.items()
            )
        )
    return "\n".join(lines)


def uploads_markdown(key: str) -> str:
    """What the page said of photographs that nobody chose; nothing where that was not tried."""
    path = folder_of(key) / UPLOADS_FILE
    if not path.exists():
        return ""
    found = json.loads(path.read_text(encoding="utf-8"))

    def line(kind: str, title: str, rows: list[dict]) -> str:
        doubts = [sum(row["doubt"] == doubt for row in rows) for doubt in (NO_LABEL_FITS, UNSURE, NO_DOUBT)]
        green = sum(row["tone"] == "good" for row in rows)
        return f"| {kind} | {title} | {len(rows)} | " + " | ".join(map(str, [*doubts, green])) + " |"

    sets = ", ".join(dict.fromkeys(row["set"] for row in found))
    kinds = {kind: [row for row in found if row["kind"] == kind] for kind in (SENSIBLE, WRONG)}
    first = {
        title: [row for row in kinds[SENSIBLE] if (row["first"] == row["truth"]) is right]
        for title, right in (("right", True), ("wrong", False))
    }
    again = sum(row["defended"] == row["truth"] for row in first["right"])
    return "\n".join(
        [
            f"Photographs that nobody chose ({sets}), uploaded with ten labels, attacked (PGD-10, 4/255) and"
            " counterattacked; green is what the page says where a right label is back, and it is told no"
            f" right label of an upload. Of the {len(first['right'])} that were recognised, {again} were so"
            " after the counterattack:",
            "",
            "| labels | first answer | uploads | “None of these labels seems to fit” | “CLIP was not sure” |"
            " no doubt | green |",
            "|---" * 7 + "|",
            *(line(SENSIBLE, title, rows) for title, rows in first.items()),
            line(WRONG, "wrong", kinds[WRONG]),
            "",
        ]
    )


def chart(key: str, name: str = "accuracy") -> Path:
    """Where a chart of a model's records lies, by its name in charts.CAPTIONS."""
    return folder_of(key) / f"{name}.png"


def model_markdown(key: str) -> str:
    """Everything measured of a model's defence."""
    study, profile = study_of(key), profile_of(key)
    own, gate, budget = profile.own, profile.own.gate, profile.own.budget
    return "\n".join(
        [
            f"### {MODELS[key].title}",
            "",
            f"Gate: {gate.signal.replace('_', ' ')} {'under' if gate.below else 'over'}"
            f" {gate.threshold:g}. Counterattack: {budget.steps} steps of {budget.step_size * 255:g}/255"
            f" within {budget.eps * 255:g}/255"
            + (f", aimed at the picture and it {' and '.join(own.aim)}" if own.aim else "")
            + f"; a counterattacked picture is judged by the mean of its embeddings under {len(own.looks)}"
            + " closer looks"
            + (f", others under {len(own.calm)}." if own.calm else ", others as they are.")
            + f" {profile.note}",
            "",
            "What the default defence keeps:",
            "",
            kept(key),
            "",
            UNIT,
            "",
            shipped_markdown(key),
            "",
            f"![{CAPTIONS['curves']}]({chart(key, 'curves').relative_to(EMBEDDED).as_posix()})",
            "",
            "AUC, the chance that a clean picture’s embedding drifts further than an attacked one’s (under"
            f" 0.5: attacked ones drift further; {study.pictures:,} pictures, attacked from the predicted"
            f" label; PGD-10 flips half of them at an eps of {study.median_flip_eps:.2f}/255). Growth: the"
            " drift at 8/255 over that at 0.5/255.",
            "",
            aucs_markdown(study),
            "",
            uploads_markdown(key),
        ]
    ).rstrip()


def that_met_all(records: pd.DataFrame) -> pd.DataFrame:
    """The records of the pictures that met every attack: all points of a curve are of the same ones."""
    met = records.groupby(["dataset", "index"], observed=True)["attack"].transform("nunique")
    return records[met == records["attack"].nunique()]


def printed_markdown() -> str:
    """What papers printed of rows of the table under attacks that the embedded models met, too: a line a row
    and source, beside what stands here, with what else is not alike."""
    trials = list(map(Trial.read, BOTH_MET))
    found = {key: table(recorded(key)).loc[JUDGED_ON] for key in KEYS}
    here = {key: mine["accuracy"].unstack("attack") for key, mine in found.items()}
    pictures = int(found[KEYS[0]].loc[(CONTROL, CLEAN), "pictures"])
    theirs_of = {model: published_of(model) for model in BACKBONES}
    lines = [
        f"{JUDGED_ON}, accuracy in percent: {' / '.join(trial.title for trial in trials)}, each attack made"
        " from the true label. They cannot agree to the point: papers attack OpenAI’s CLIP, for which the"
        " published thresholds are, on all pictures of the set; here is another tower, which learned from the"
        f" set’s training pictures, on {pictures} of them. What can be compared is which rows hold, and which"
        " fall.",
        "",
        heads(
            ["defence", *(MODELS[key].title for key in KEYS), "printed", "of", "by, and what is not alike"]
        ),
    ]
    for (model, backbone), defense in product(BACKBONES.items(), DEFENSES):
        sources: dict[tuple[str, str], dict[Trial, float]] = {}
        for trial in trials:
            for row in counterparts(theirs_of[model], JUDGED_ON, defense, trial):
                sources.setdefault((row["source"], row["note"]), {})[trial] = figure_of(row, trial)
        for (source, note), printed in sources.items():
            if set(printed) == {Trial(CLEAN)}:
                continue
            ours = [" / ".join(f"{here[key].loc[defense, a]:.1f}" for a in BOTH_MET) for key in KEYS]
            theirs = " / ".join(f"{printed[trial]:.1f}" if trial in printed else "–" for trial in trials)
            departs = DEFENSES[defense].departs
            why = "; ".join(filter(None, [source, note, departs and f"our row: {departs}"]))
            lines.append(f"| {' | '.join([title_of(defense), *ours, theirs, backbone, why])} |")
    return "\n".join(lines)


def rows_markdown() -> str:
    """The rows of the table: what each does, whose it is, and how it departs from that."""
    lines = [heads(["row", "what it does", "passes", "source", "how it departs"])]
    for key, row in DEFENSES.items():
        cells = [row.title, row.help, f"{passes(key):.0f}", row.source, row.departs]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def card() -> str:
    """The models' card."""
    beside = f"### Beside what papers printed\n\n{printed_markdown()}"
    rows = f"### The rows of the table\n\n{rows_markdown()}"
    return "\n\n".join([recognition_markdown(), rows, beside, *map(model_markdown, KEYS)])


def insert(document: Path, text: str) -> None:
    """Replace what stands between the two marks of a Markdown document. Raises ValueError where it has
    none."""
    before, rest = document.read_text(encoding="utf-8").split(BEGIN)
    document.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")


def documents() -> dict[Path, str]:
    """Every document that holds figures, and what stands between its marks."""
    return dict(zip(DOCUMENTS, (card(), overview()), strict=True))


def curves_of_few() -> Figure:
    """Accuracy against eps of the README's FEW rows, a chart a model and attacker."""
    lines = []
    for key in KEYS:
        found = table(that_met_all(recorded(key, ATTACKERS_FILE))).loc[(slice(None), list(FEW)), :]
        lines.append(curves(found).rename(index={JUDGED_ON: MODELS[key].title}, level="dataset"))
    return curve_figure(pd.concat(lines))


def main() -> None:
    curves_of_few().savefig(EMBEDDED / CURVES)
    for key in KEYS:
        drawn(table(recorded(key))).savefig(chart(key))
        over_eps = curve_chart(Summary(that_met_all(recorded(key, ATTACKERS_FILE))))
        assert over_eps is not None  # these records are of many sizes
        over_eps.figure.savefig(chart(key, "curves"))
    for document, text in documents().items():
        insert(document, text)


if __name__ == "__main__":
    main()
