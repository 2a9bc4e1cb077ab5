"""A Run -> pieces of HTML. Every word of a person's (labels) is escaped."""
from __future__ import annotations

from html import escape

from demo_core.clip import MODELS, ModelRow
from demo_core.defenses import DEFENSES, TAU, VIEW_DRIFT
from demo_core.plots import ATTACKED, CLEAN, DEFENDED
from demo_core.story import Bout, Run, verdict

SHOWN_LABELS = 6


def verdict_html(run: Run | None, device: str = "", instead: str = "") -> str:
    """The sentence that says where the run stands (or `instead`), announced to screen readers; device and speed below."""
    if run is None:
        return ('<div class="verdict" role="status" aria-live="polite"><p class="say">Choose a picture, then press'
                " <b>Attack, then counterattack</b>.</p></div>")
    tone = "wait"
    if run.defended is not None:
        tone = "good" if run.label(run.defended) == run.label(run.clean) else "bad"
    elif run.attacked is not None:
        tone = "bad" if run.label(run.attacked) != run.label(run.clean) else "wait"
    steps = sorted(run.milliseconds)
    speed = f"{steps[len(steps) // 2]:.0f} ms a step (median) on {escape(device)}" if steps else f"on {escape(device)}"
    return (f'<div class="verdict {tone}" role="status" aria-live="polite"><p class="say">{escape(instead or verdict(run))}</p>'
            f'<p class="small">{speed}</p></div>')


def predictions_html(run: Run | None) -> str:
    """Clean, attacked and defended probabilities side by side, the likeliest labels first."""
    columns = [("clean", CLEAN, run.clean if run else None), ("attacked", ATTACKED, run.attacked if run else None),
               ("defended", DEFENDED, run.defended if run else None)]
    if run and run.control:
        columns = [columns[0], ("defended, without any attack", DEFENDED, run.defended)]
    cells = []
    for title, colour, probabilities in columns:
        rows = ""
        if probabilities is not None:
            count = min(SHOWN_LABELS, len(probabilities))
            values, order = probabilities.topk(count)
            for place, (value, index) in enumerate(zip(values.tolist(), order.tolist())):
                label = escape(run.settings.labels[index])
                rows += (f'<div class="row{" top" if place == 0 else ""}"><span class="name">{label}</span>'
                         f'<span class="bar"><i style="width:{value * 100:.1f}%;background:{colour}"></i></span>'
                         f'<span class="value">{value * 100:.1f} %</span></div>')
        cells.append(f'<section aria-label="predictions, {title}"><h3 style="border-color:{colour}">{title}</h3>'
                     f'{rows or "<p class=small>not yet</p>"}</section>')
    return f'<div class="predictions">{"".join(cells)}</div>'


def arena_html(run: Run | None, bouts: tuple[Bout, ...]) -> str:
    """A row for each defence: its answers, whether the label is back, what it does to the clean picture, what it costs."""
    if run is None:
        return ('<p class="small">Attack a picture first; then every defence answers here on the attacked picture and, as a'
                " control, on the clean one.</p>")
    clean, known = int(run.clean.argmax()), {bout.key: bout for bout in bouts}
    rows = ""
    for key, defense in DEFENSES.items():
        rows += f'<tr><th scope="row" title="{escape(defense.help)}">{escape(defense.title)}</th>'
        if key not in known:
            rows += '<td colspan="5" class="small">not yet</td></tr>'
            continue
        bout = known[key]
        answer, control = int(bout.attacked.argmax()), int(bout.clean.argmax())
        share = bout.attacked[clean].item() * 100
        rows += (f'<td class="{"back" if answer == clean else "lost"}">{"✓" if answer == clean else "✗"}'
                 f" {escape(run.settings.labels[answer])}</td>"
                 f'<td><span class="bar"><i style="width:{share:.1f}%;background:{DEFENDED}"></i></span>{share:.0f} %</td>'
                 f'<td class="{"back" if control == clean else "lost"}">{"✓" if control == clean else "✗"}'
                 f" {escape(run.settings.labels[control])}</td>"
                 f"<td>{bout.forward} + {bout.backward}</td><td>{bout.milliseconds:.0f}</td></tr>")
    heads = ("defence", "on the attacked picture", f"probability of “{escape(run.settings.labels[clean])}”",
             "on the clean picture", "passes, forward + backward", "ms")
    said = ("Each defence met an attack made through itself." if run.settings.knows_defence else
            "All met the same attack, which knows none of them.")
    done = f"{len(bouts)} of {len(DEFENSES)} defences. {said} The clean prediction was “{escape(run.settings.labels[clean])}”."
    return (f'<p class="small" role="status">{done}</p><div class="scroll"><table class="arena"><thead><tr>'
            + "".join(f'<th scope="col">{head}</th>' for head in heads) + f"</tr></thead><tbody>{rows}</tbody></table></div>")


def gate_html(row: ModelRow) -> str:
    """Which signal gates this model, and why, in plain words."""
    profile, title = row.profile, row.title
    ttc = profile.ttc
    budget = (f"The counterattack takes {ttc.steps} steps of {ttc.step_size * 255:g}/255 within {ttc.eps * 255:g}/255")
    if profile.gate == TAU:
        rule = (f"<b>tau decides</b> for {escape(title)}: a picture whose embedding moves by less than"
                f" {profile.threshold:g} of its length under a little noise is <i>falsely stable</i>, and is"
                " counterattacked.")
    else:
        measured = (f" (it told attacked from clean training pictures with an AUC of {profile.auc[VIEW_DRIFT]:.2f}; the"
                    f" paper’s tau, which is low on attacked pictures of a large CLIP, had {profile.auc[TAU]:.2f} here,"
                    " where 0.5 is chance; it is shown all the same)" if profile.auc else "")
        rule = (f"<b>View drift decides</b> for {escape(title)}: a picture whose embedding moves by more than"
                f" {profile.threshold:.2f} of its length when it is shifted by one pixel or mirrored is suspicious,"
                f" and is counterattacked{measured}.")
    looks = (f" At the end the prediction is averaged over the picture and {profile.looks} random looks at it, each zoomed in,"
             " turned or mirrored a little." if profile.looks else "")
    probe = (f" The signal is measured with the encoder of {escape(MODELS[row.original].title)}, from which this one was"
             " fine-tuned, as in the paper’s code." if row.original else "")
    return f'<p class="gate">{rule}{probe} {budget}.{looks} <span class="small">{escape(profile.note)}</span></p>'
