"""How the models in the box are made, calibrated and measured: the parts of demo_core.embedded, on what is
made here."""

import io
import os
import zipfile
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file

from demo_core.ascent import last
from demo_core.attacks import pgd
from demo_core.benchmark.piles import held
from demo_core.benchmark.whole import WholePile, auc
from demo_core.calibrate import ATTACKS, studied
from demo_core.defenses import UNISON, ShiftConfig
from demo_core.defenses.drift import NOISE_STRENGTHS, Study
from demo_core.defenses.own_shift import unison
from demo_core.embedded import calibrate, twin
from demo_core.embedded.archives import read_pile
from demo_core.embedded.card import (
    BEGIN,
    END,
    KEYS,
    aucs_markdown,
    documents,
    insert,
    printed_markdown,
    that_met_all,
)
from demo_core.embedded.kept import kept_in
from demo_core.embedded.measure import recognised
from demo_core.embedded.overview import COMPARED, knowing, recorded, without_gradient
from demo_core.embedded.photographs import cut_out, read_archive
from demo_core.examples import EXAMPLES
from demo_core.labels import PRESETS
from demo_core.models import ATTACKERS_FILE, EMBEDDED, folder_of, study_of
from demo_core.moments import exhausted
from demo_core.pictures import open_picture, to_photo, to_pixels
from demo_core.plots import study_figure
from tests import fresh

WNIDS = {"n01443537": (230, 120, 20), "n02123045": (120, 120, 120), "n04146614": (240, 220, 0)}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """A zip with three of ImageNet's classes of noisy plain colours, in Tiny ImageNet's layout, and what a
    Mac adds."""
    path, dice = tmp_path_factory.mktemp("zip") / "set.zip", np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as file:
        for wnid, colour in WNIDS.items():
            for i in range(4):
                content = io.BytesIO()
                noisy = dice.normal(colour, 25, (72, 96, 3)).clip(0, 255).astype(np.uint8)
                Image.fromarray(noisy).save(content, "JPEG")
                file.writestr(f"top/train/{wnid}/images/{wnid}_{i}.JPEG", content.getvalue())
            file.writestr(f"top/train/{wnid}/images/._{wnid}_0.JPEG", b"not a picture")
    return path


def photographs_of(number: int) -> torch.Tensor:
    """The first of the examples as uint8 [N,3,64,64]."""
    pixels = [to_pixels(to_photo(open_picture(e.path)), 64)[0] for e in EXAMPLES[:number]]
    return (torch.stack(pixels) * 255).round().to(torch.uint8)


def test_an_archive_is_read_in_order_and_by_part(archive):
    found = read_archive(archive, 64)
    assert found.classes == tuple(sorted(WNIDS)) and found.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert found.pictures.shape == (12, 3, 64, 64)
    some = read_archive(archive, 64, limit=5, seed=1)
    rows = torch.randperm(12, generator=torch.Generator().manual_seed(1))[:5].sort().values
    assert torch.equal(some.pictures, found.pictures[rows])


def test_an_archive_without_pictures_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as file:
        file.writestr("readme.txt", "nothing")
    with pytest.raises(ValueError, match="no folder a class"):
        read_archive(tmp_path / "empty.zip")


def test_wnids_are_asked_for_by_imagenets_names(archive):
    pile = read_pile(archive, side=64)
    assert len(pile.names) == 1000
    assert {pile.names[i] for i in pile.load(torch.arange(12)).labels.tolist()} == {
        "goldfish",
        "tabby cat",
        "school bus",
    }


def test_cut_outs_follow_their_seed_and_stay_in_range():
    pictures = torch.randint(
        0, 256, (5, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    one, two = (cut_out(pictures, 48, torch.Generator().manual_seed(1)) for _ in range(2))
    assert one.shape == (5, 3, 48, 48) and one.min() >= 0 and one.max() <= 1 and torch.equal(one, two)


def arguments(archive, tmp_path, **changes):
    options = {
        "steps": 3,
        "batch": 4,
        "attack-steps": 1,
        "work": tmp_path / "work",
        "name": "../twin.safetensors",
    } | changes
    return twin.parse(
        [
            "--photographs",
            str(archive),
            "--small",
            str(archive),
            "--out",
            str(EMBEDDED),
            "--device",
            "cpu",
            *(str(x) for name, value in options.items() for x in (f"--{name}", value)),
        ]
    )


def test_fine_tuning_moves_the_tower_and_brings_the_attacked_embedding_back(archive, tmp_path, monkeypatch):
    """A few steps on one pile lower the loss that they minimise, and the file loads as the twin's does."""
    monkeypatch.setattr(twin, "IMAGE_SIZE", 64)
    out = tmp_path / "assets"
    out.mkdir()
    (out / "projection.safetensors").write_bytes((EMBEDDED / "projection.safetensors").read_bytes())
    args = arguments(archive, tmp_path, out=out, name="twin.safetensors", steps=12, lr=1e-3)
    twin.train(args)
    found, shipped = (
        load_file(out / "twin.safetensors"),
        load_file(folder_of("photo-fare") / "image.safetensors"),
    )
    assert {k: v.shape for k, v in found.items()} == {k: v.shape for k, v in shipped.items()}

    locked = twin.locked_weights()
    projection = twin.read_projection(EMBEDDED)
    before = twin.Embedder(twin.trunk(locked), projection)
    after = twin.Embedder(twin.trunk(locked | {k: v.float() for k, v in found.items()}), projection)
    x = cut_out(read_archive(archive, 64).pictures, 64, torch.Generator().manual_seed(5))
    with torch.no_grad():
        anchor = before(x)

    def strayed(net) -> float:
        net.requires_grad_(False)
        moved = twin.adversarial(net, x, anchor, 1 / 255, 2, torch.Generator().manual_seed(0))
        with torch.no_grad():
            return (net(moved) - anchor).pow(2).sum(-1).mean().item()

    assert strayed(after) < 0.9 * strayed(before)


def test_other_settings_do_not_continue_a_fine_tuning(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(twin, "IMAGE_SIZE", 32)
    monkeypatch.setattr(twin, "save_file", lambda *args: None)
    twin.train(arguments(archive, tmp_path, minutes=1000, **{"save-every": 0}))
    with pytest.raises(SystemExit, match="other settings"):
        twin.train(arguments(archive, tmp_path, minutes=1000, lr=1e-5))


def test_the_scale_and_the_fit_are_the_likeliest():
    dice = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 40, (600,), generator=dice)
    cosines = torch.randn(600, 40, generator=dice) * 0.05
    cosines[torch.arange(600), labels] += 0.2
    scale = calibrate.best_scale(cosines, labels)

    def loss(s):
        return torch.nn.functional.cross_entropy(cosines * s, labels)

    assert loss(scale) <= min(loss(scale * 0.9), loss(scale * 1.1))
    within, without = calibrate.offered(cosines, labels)
    assert (within >= cosines[torch.arange(600), labels]).all() and within.mean() > without.mean() + 0.05
    fit = calibrate.best_fit(cosines, labels)
    assert fit.auc > 0.9 and fit.chance(within).mean() > 0.7 > 0.3 > fit.chance(without).mean()


def test_a_profile_is_chosen_by_accuracy(clip, monkeypatch):
    """On a pile of two, with two budgets to choose from: the gate's signal tells clean from attacked better,
    and the threshold lies between them."""
    monkeypatch.setattr(calibrate, "BUDGETS", ((2, 1, 2), (4, 2, 2)))
    monkeypatch.setattr(calibrate, "LOOKED_AT", ((),))
    names = PRESETS["Animals"]
    whole = WholePile(clip, held(photographs_of(4), torch.tensor([0, 1, 2, 3]), names))
    profile = calibrate.choose_profile(whole, calibrate.attacked_piles(whole))
    own, signal = profile.own, profile.own.gate.signal
    assert profile.auc[signal] == max(profile.auc.values()) and own.looks == ()
    assert (own.budget.eps * 255, own.budget.steps) in ((pytest.approx(2), 2), (pytest.approx(4), 2))
    clean = calibrate.signals(whole, whole.pictures)[signal]
    assert own.gate.engages(clean).float().mean() <= 0.5


def test_the_shift_is_chosen_on_photographs_and_on_tiny_ones(clip):
    """Its gate tells most attacked from clean ones; the tiny ones are the photographs without detail."""
    whole = WholePile(clip, held(photographs_of(4), torch.tensor([0, 1, 2, 3]), PRESETS["Animals"]))
    small = calibrate.tiny(whole)
    coarse, fine = (
        (change(whole.pictures) - change(small.pictures)).abs().mean()
        for change in (lambda x: F.avg_pool2d(x, 8), lambda x: x)
    )
    assert coarse < 0.01 < fine
    several = [(each, calibrate.attacked_piles(each)) for each in (whole, small)]
    chosen = calibrate.choose_shift(several)
    assert chosen == replace(ShiftConfig(), gate=chosen.gate, calm=chosen.calm)
    opened = {
        name: torch.cat(
            [chosen.gate.engages(unison(clip, piles[name], config=chosen)) for _, piles in several]
        )
        for name in several[0][1]
    }
    shares = [share.float().mean() for share in opened.values()]
    assert chosen.gate.signal == UNISON and shares[0] <= 0.25 and min(shares[1:]) >= 0.75


def test_study_of_a_small_pile(clip, tmp_path):
    """The study's numbers are those of the parts it is made of, and its file gives them back."""
    names = PRESETS["Animals"]
    whole = WholePile(clip, held(photographs_of(3), torch.zeros(3, dtype=torch.long), names))
    found = exhausted(studied(whole, "three pictures"))
    (tmp_path / "s.json").write_text(found.text(), encoding="utf-8")
    assert (
        asdict(Study.read(tmp_path / "s.json")) == asdict(found)
        and found.pictures == 3
        and found.labels == len(names)
    )
    rows = found.find("noise")
    assert list(rows) == ["clean", *(f"PGD-{steps}, eps {eps:g}/255" for eps, steps in ATTACKS)]
    by_strength = [found.find("noise", strength=s)["clean"].quantiles[10] for s in NOISE_STRENGTHS]
    assert by_strength == sorted(by_strength) and by_strength[0] > 0
    drift = calibrate.signals(whole, whole.pictures)["view_drift"]
    assert found.find("view_drift")["clean"].quantiles[-1] == pytest.approx(drift.max().item(), abs=1e-4)
    assert found.find("tau")["clean"].quantiles == found.find("noise", strength=4)["clean"].quantiles
    growth = found.find("growth")["clean"].quantiles
    assert growth[0] > 1 and aucs_markdown(found).count("| own |") == len(ATTACKS)


def test_flip_eps_is_where_half_the_predictions_change(clip):
    """Just above the median flip eps most predictions change, well below it few do."""
    whole = WholePile(clip, held(photographs_of(8), torch.zeros(8, dtype=torch.long), PRESETS["Everyday"]))
    predicted = whole.predict(whole.pictures)
    eps = exhausted(studied(whole, "eight", attacks=())).median_flip_eps

    def share(eps):
        steps = pgd(
            whole.bare,
            whole.pictures,
            predicted,
            eps=eps / 255,
            step_size=eps / 4 / 255,
            steps=10,
            start=torch.zeros_like(whole.pictures),
        )
        return (whole.predict(whole.pictures + last(steps).delta) != predicted).float().mean()

    assert share(eps / 2) <= 0.5 <= share(eps * 2)


def test_recognition_counts_what_is_right(clip):
    names = PRESETS["Animals"]
    pictures = photographs_of(4)
    predicted = WholePile(clip, held(pictures, torch.zeros(4, dtype=torch.long), names)).predict(
        pictures.float() / 255
    )
    row = recognised(WholePile(clip, held(pictures, predicted, names)))
    assert row["top1"] == 100 and row["pictures"] == 4 and row["names"] == len(names)


def test_what_takes_long_is_made_once(tmp_path):
    """And anew where what it is made from is newer; a make that fails leaves nothing behind."""
    source, path, made = tmp_path / "source", tmp_path / "work" / "kept.pt", []
    source.write_text("a")

    def make() -> tuple[torch.Tensor, list[str]]:
        made.append(1)
        return torch.arange(3) * len(made), ["a"]

    for number in (1, 1):
        tensor, names = kept_in(path, make, source)
        assert torch.equal(tensor, torch.arange(3) * number) and names == ["a"] and len(made) == number
    later = path.stat().st_mtime + 10
    os.utime(source, (later, later))
    assert torch.equal(kept_in(path, make, source)[0], torch.arange(3) * 2)
    with pytest.raises(ZeroDivisionError):
        kept_in(tmp_path / "none.pt", lambda: 1 / 0)
    assert not (tmp_path / "none.pt").exists()


def test_auc_is_the_chance_of_being_higher():
    assert auc(torch.tensor([3.0, 4.0]), torch.tensor([1.0, 2.0])) == 1
    assert auc(torch.tensor([1.0, 4.0]), torch.tensor([2.0, 3.0])) == 0.5


@pytest.mark.parametrize("key", KEYS)
def test_shipped_studies_are_drawn(key):
    found = study_of(key)
    assert found.pictures >= 20 and found.labels == 1000
    assert all(0 <= row.auc <= 1 for row in found.rows if row.pile != "clean")
    assert len(study_figure(found).axes) == 3 * len({row.encoder for row in found.rows})


def test_documents_say_what_was_measured():
    """The tables in the card and the README are those of the records, to the letter."""
    for document, text in documents().items():
        assert f"{BEGIN}\n{text}\n{END}" in document.read_text(), document


def test_what_has_no_gradient_and_beats_it_is_bold():
    """DBD on the first model, counted by hand from its records."""
    found = recorded("photo")
    mine = found[(found["dataset"] == "ImageNet") & (found["defense"] == "dbd")]
    stands = {
        attack: set(rows["index"][rows["predicted"] == rows["label"]])
        for attack, rows in mine.groupby("attack", observed=True)
    }
    met = set.intersection(*(set(mine["index"][mine["attack"] == attack]) for attack in COMPARED))
    gradient, transfer, square = (len(stands[attack] & met) for attack in COMPARED)
    assert transfer < gradient and square < gradient
    assert f"| DBD | {gradient} / **{transfer}** / **{square}** | " in without_gradient()
    (bare,) = (line for line in without_gradient().splitlines() if line.startswith("| None |"))
    assert "**" not in bare  # nothing beats the gradient of what has no defence


def test_whom_an_adaptive_attacker_leaves_was_right_before():
    """The bare model on the first, by hand: a picture that was wrong, and that an attack from the predicted
    label makes right, does not stand."""
    found = recorded("photo", ATTACKERS_FILE)
    mine = found[found["defense"] == "none"].assign(right=lambda rows: rows["predicted"] == rows["label"])
    attacks = ["clean", "pgd@1+predicted", "pgd@1+predicted+adaptive"]
    right = {attack: set(mine["index"][mine["right"] & (mine["attack"] == attack)]) for attack in attacks}
    clean, plain, adaptive = (right[attack] for attack in attacks)
    assert adaptive - clean and len(clean & plain & adaptive) < len(adaptive)
    pictures = mine[mine["attack"] == "clean"]["index"].nunique()
    shares = [100 * len(those) / pictures for those in (clean, plain, clean & plain & adaptive)]
    assert f"| None | {' / '.join(f'{share:.0f}' for share in shares)} | " in knowing()


def test_papers_figures_stand_beside_ours_with_what_is_not_alike():
    lines = [line for line in printed_markdown().splitlines() if line.startswith("| TTC ")]
    assert len(lines) == 3 and all("ViT-B/32" in line for line in lines)
    assert any(
        "| 49.4 / 38.4 / – | ViT-B/32 | TTC Table 1 (arXiv 2503.03613); row known only" in line
        for line in lines
    )
    found = recorded("photo")
    mine = found[
        (found["dataset"] == "ImageNet") & (found["defense"] == "ttc") & (found["attack"] == "pgd@4")
    ]
    assert f" / {100 * (mine['predicted'] == mine['label']).mean():.1f} |" in lines[0]
    assert any(
        line.startswith("| Low-pass ") and "our row: its papers blur" in line
        for line in printed_markdown().splitlines()
    )


def test_a_curve_is_of_pictures_that_met_every_size():
    rows = [("A", i, a) for i in range(4) for a in ("clean", "pgd@1", "pgd@4") if i % 2 == 0 or a == "clean"]
    found = that_met_all(pd.DataFrame(rows, columns=["dataset", "index", "attack"]))
    assert sorted(found["index"]) == [0, 0, 0, 2, 2, 2]


def test_figures_are_put_between_the_marks(tmp_path):
    document = tmp_path / "card.md"
    document.write_text(f"a\n{BEGIN}\nold\n{END}\nb\n")
    insert(document, "new")
    assert document.read_text() == f"a\n{BEGIN}\nnew\n{END}\nb\n"


@pytest.mark.slow
def test_nothing_at_run_time_imports_what_makes_the_models():
    code = "import sys, app; print(*(name for name in sys.modules if name.startswith('demo_core')))"
    there = fresh.printed(code).split()
    assert "demo_core.ui.lab" in there and not [n for n in there if n.startswith("demo_core.embedded")]
