"""Pieces of the page as HTML. Every word of a person's (labels) is escaped."""

from __future__ import annotations

from html import escape

from PIL import ImageOps

from demo_core.defenses import DEFENSES, TAU, VIEW_DRIFT
from demo_core.examples import EXAMPLES
from demo_core.models import MODELS, profile_of
from demo_core.pictures import as_url, open_picture
from demo_core.plots import DEFENDED
from demo_core.story import Bout, Run

THUMBNAIL = 96
TALK = '<p><a href="./?talk=1">Talk mode</a>: the essentials, large, for a projector.</p>'
# js_on_load of the two that follow
CHOOSE = """element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) trigger("click", { title: button.dataset.title });
});"""
COPY = """element.addEventListener("click", (event) => {
  if (!event.target.matches("button")) return;
  const link = element.querySelector("a.run"), say = (words) => { event.target.textContent = words; };
  if (navigator.clipboard) navigator.clipboard.writeText(link.href).then(() => say("Copied"), () => say("Copy it from the link itself"));
  else say("Copy it from the link itself");
});"""


def examples_html() -> str:
    """The example photographs as buttons."""
    buttons = ""
    for example in EXAMPLES:
        source = as_url(ImageOps.fit(open_picture(example.path), (THUMBNAIL, THUMBNAIL)), quality=85)
        buttons += (
            f'<button type="button" data-title="{escape(example.title)}"><img src="{source}" alt="{escape(example.title)}"'
            f' title="{escape(example.title)}"></button>'
        )
    return f'<div class="examples" role="group" aria-label="example photographs"><p class="small">Or one of these photographs</p>{buttons}</div>'


def share_html(query: str) -> str:
    """The link that makes this run again, where one does."""
    if not query:
        return (
            TALK
            + '<p class="small">A link can name one of the example photographs only: your own picture is in no link. Take the run'
            " away as files instead.</p>"
        )
    return (
        f'{TALK}<p><a class="run" href="./?{escape(query)}">Link to this very run</a> <button type="button" class="copy" aria-live="polite">Copy the link</button></p>'
        '<p class="small">It holds the picture’s name, labels, attack, eps, steps, seed and model, and makes the whole run again.</p>'
    )


def arena_html(run: Run | None, bouts: tuple[Bout, ...]) -> str:
    """A row for each defence: its answers, whether the label is back, what it does to the clean picture, what
    it costs."""
    if run is None:
        return (
            '<p class="small">Attack a picture first; then every defence answers here on the attacked picture and, as a'
            " control, on the clean one.</p>"
        )
    clean, known = int(run.clean.argmax()), {bout.key: bout for bout in bouts}
    truth = run.settings.truth

    def answered(index: int) -> str:
        """A cell: right or wrong where the true label is known, else whether it is the first answer."""
        kind, sign = (
            ("same" if index == clean else "other", "")
            if truth is None
            else (("back", "✓ ") if index == truth else ("lost", "✗ "))
        )
        return f'<td class="{kind}">{sign}{escape(run.settings.labels[index])}</td>'

    rows = ""
    for key, defense in DEFENSES.items():
        rows += f'<tr><th scope="row">{escape(defense.title)}<span>{escape(defense.help)}</span></th>'
        if key not in known:
            rows += '<td colspan="5" class="small">not yet</td></tr>'
            continue
        bout = known[key]
        share = bout.attacked[clean].item() * 100
        rows += (
            answered(int(bout.attacked.argmax()))
            + f'<td><span class="bar"><i style="width:{share:.1f}%;background:{DEFENDED}"></i></span>{share:.0f} %</td>'
            + answered(int(bout.clean.argmax()))
            + f"<td>{bout.forward} + {bout.backward}</td><td>{bout.milliseconds:.0f}</td></tr>"
        )
    heads = (
        "defence",
        "on the attacked picture",
        f"probability of “{escape(run.settings.labels[clean])}”",
        "on the clean picture",
        "passes, forward + backward",
        "ms",
    )
    said = (
        "Each defence met an attack made through itself."
        if run.settings.knows_defence
        else "All met the same attack, which knows none of them."
    )
    done = (
        f"{len(bouts)} of {len(DEFENSES)} defences. {said} The clean prediction was “{escape(run.settings.labels[clean])}”"
        + (
            "; whether it is right, nobody said."
            if truth is None
            else ", which is right."
            if truth == clean
            else f", which is wrong: it is “{escape(run.settings.labels[truth])}”."
        )
    )
    return (
        f'<p class="small" role="status">{done}</p><div class="scroll" tabindex="0" role="region" aria-label="defences"><table class="arena"><thead><tr>'
        + "".join(f'<th scope="col">{head}</th>' for head in heads)
        + f"</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def gate_html(key: str) -> str:
    """Which signal gates a model of the table, and why, in plain words."""
    row, profile = MODELS[key], profile_of(key)
    budget, title = profile.budget, row.title
    spent = (
        f"The counterattack takes {budget.steps} steps of {budget.step_size * 255:g}/255 within"
        f" {budget.eps * 255:g}/255"
    )
    if profile.aim:
        spent += f", pushing the mean embedding of the picture and of it {' and '.join(profile.aim)}"
    if profile.gate == TAU:
        rule = (
            f"<b>tau decides</b> for {escape(title)}: a picture whose embedding moves by less than"
            f" {profile.threshold:g} of its length under a little noise is <i>falsely stable</i>, and is"
            " counterattacked."
        )
    else:
        measured = (
            f" (it told attacked from clean training pictures with an AUC of {profile.auc[VIEW_DRIFT]:.3f}; the"
            f" paper’s tau, which is low on attacked pictures of a large CLIP, had {profile.auc[TAU]:.3f} here,"
            " where 0.5 is chance; it is shown all the same)"
            if profile.auc
            else ""
        )
        rule = (
            f"<b>View drift decides</b> for {escape(title)}: a picture whose embedding moves by more than"
            f" {profile.threshold:.2f} of its length when it is shifted by one pixel or mirrored is suspicious,"
            f" and is counterattacked{measured}."
        )
    looks = (
        f" A counterattacked picture is judged by the mean over it and {profile.looks} closer looks at it, each"
        " zoomed in, turned or mirrored a little."
        if profile.looks
        else ""
    )
    probe = (
        f" The signal is measured with the encoder of {escape(MODELS[row.original].title)}, from which this one was"
        " fine-tuned, as in the paper’s code."
        if row.original
        else ""
    )
    return (
        f'<p class="gate">{rule}{probe} {spent}.{looks} <span class="small">{escape(profile.note)}</span></p>'
    )


_ABOUT = """<div class="about">
<h2>The idea</h2>
<p>CLIP turns a picture and every label into a list of numbers, an <i>embedding</i>, and picks the label whose embedding points most
nearly the same way. An attacker who knows the model can move the picture’s embedding far by changes too small to see. Xing, Zhao
and Sebe (CVPR 2025) noticed that pictures so attacked stand in an odd place, and that CLIP’s own frozen image encoder can push them out
of it at test time: no training, no other network.</p>
<h2>The model in the box</h2>
<p>It has CLIP’s form and is not OpenAI’s CLIP: Google’s EfficientNet-Lite0, trained on ImageNet and locked, with a text tower that was
taught, from text alone, to land where the pictures of a word lie. It knows photographs of things, and the words for them; not people’s
names, not emotions, not writing in a picture. Where none of your labels seems to fit, the page says so before anything is attacked, and
nothing is called recovered unless the right label is known.</p>
<h2>The two equations</h2>
<p>The stability signal: how far a little noise n moves the embedding f of a picture x, in parts of its length.</p>
<math display="block"><mi>τ</mi><mo>=</mo><mfrac><mrow><mo>‖</mo><mi>f</mi><mo>(</mo><mi>x</mi><mo>+</mo><mi>n</mi><mo>)</mo><mo>−</mo><mi>f</mi><mo>(</mo><mi>x</mi><mo>)</mo><mo>‖</mo></mrow><mrow><mo>‖</mo><mi>f</mi><mo>(</mo><mi>x</mi><mo>)</mo><mo>‖</mo></mrow></mfrac></math>
<p>The counterattack: the perturbation δ within a small budget that pushes the embedding farthest from where the attacker left it, found by a
few steps of signed gradient ascent, later steps counting more.</p>
<math display="block"><mi>δ</mi><mo>*</mo><mo>=</mo><munder><mi>argmax</mi><mrow><mo>‖</mo><mi>δ</mi><msub><mo>‖</mo><mi>∞</mi></msub><mo>≤</mo><mi>ε</mi></mrow></munder><msup><mrow><mo>‖</mo><mi>f</mi><mo>(</mo><mi>x</mi><mo>+</mo><mi>δ</mi><mo>)</mo><mo>−</mo><mi>f</mi><mo>(</mo><mi>x</mi><mo>)</mo><mo>‖</mo></mrow><mn>2</mn></msup></math>
<h2>What tau is, and what it is not</h2>
<p>In OpenAI’s CLIPs an attacked picture is <i>falsely stable</i>: noise moves its embedding less than a clean one’s, so a low tau calls for the
counterattack. It is no proof of an attack: some clean pictures are as still, weak attacks are not, an attacker who knows the rule can
avoid it, and it holds under weak noise only: under strong noise the order turns (<a href="https://arxiv.org/abs/2606.03730"
rel="noreferrer">Beyond False Stability</a>). In the model in this box another sign is far clearer: a nudge of one pixel, or the mirror image, throws
an attacked picture’s embedding far, and that drift decides here. Both are measured and shown.</p>
<h2>What it does not do</h2>
<p>No defence here stops an attacker who knows it and may change every pixel by 4/255. The presets hold a failure and that attacker, on purpose;
the Arena runs every defence on your picture; the README has the tables, thousands of pictures each.</p>
<h2>The photographs</h2>
<p><credits></p>
<h2>Read on</h2>
<p><a href="https://arxiv.org/abs/2503.03613" rel="noreferrer">Xing, Zhao, Sebe: CLIP is Strong Enough to Fight Back (CVPR 2025)</a> ·
<a href="https://arxiv.org/abs/1706.06083" rel="noreferrer">PGD: Madry et al. (ICLR 2018)</a> ·
<a href="https://arxiv.org/abs/1802.00420" rel="noreferrer">Why adaptive attackers matter: Athalye et al. (ICML 2018)</a> ·
<a href="https://arxiv.org/abs/2103.00020" rel="noreferrer">CLIP: Radford et al. (ICML 2021)</a></p>
</div>"""
ABOUT = _ABOUT.replace(
    "<credits>",
    "; ".join(f"{escape(e.title)}: {escape(e.author)} ({escape(e.licence)})" for e in EXAMPLES) + ".",
)
