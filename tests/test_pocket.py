"""The CLIP in the box, and the code that trains and measures it, on a data set made here."""
import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from demo_core import story
from demo_core.ascent import last
from demo_core.attacks import pgd
from demo_core.clip import ASSETS, CLASSES_FILE, MODELS, load_embedded, study_of
from demo_core.drift import NOISE_STRENGTHS, Study
from demo_core.examples import EXAMPLES
from demo_core.labels import DEFAULT_TEMPLATE, PRESETS
from demo_core.pictures import open_picture, to_photo, to_pixels
from demo_core.plots import study_figure
from demo_core.pocket import train
from demo_core.pocket.captions import EXTRA_SYNONYMS, GROUPS, PREFERRED, TEMPLATES, article, read_vocabulary
from demo_core.pocket.card import BEGIN, EMBEDDED, END, aucs_markdown, documents, insert
from demo_core.pocket.measure import EVERYDAY, UNREAD, Gallery, auc, calibrate
from demo_core.pocket.photographs import augment, load_split
from demo_core.pocket.study import ATTACKS, median_flip_eps, study

WORDS = {"n01443537": "goldfish, Carassius auratus", "n02123045": "tabby, tabby cat", "n02129165": "lion, king of beasts",
         "n04146614": "school bus"}
COLOURS = {"n01443537": (230, 120, 20), "n02123045": (120, 120, 120), "n02129165": (150, 110, 40),
           "n04146614": (240, 220, 0)}
@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A tiny data set in Tiny ImageNet's layout: four classes of noisy plain colours."""
    root = tmp_path_factory.mktemp("tiny")
    rng = np.random.default_rng(0)
    (root / "wnids.txt").write_text("\n".join(WORDS))
    (root / "words.txt").write_text("\n".join(f"{k}\t{v}" for k, v in WORDS.items()))
    rows = []
    for wnid, colour in COLOURS.items():
        for folder, count in ((root / "train" / wnid / "images", 24), (root / "val" / "images", 4)):
            folder.mkdir(parents=True, exist_ok=True)
            for i in range(count):
                name = f"{wnid}_{folder.parent.name}_{i}.JPEG"
                noisy = rng.normal(colour, 25, (64, 64, 3)).clip(0, 255).astype(np.uint8)
                Image.fromarray(noisy).save(folder / name)
                if "val" in folder.parts:
                    rows.append(f"{name}\t{wnid}\t0\t0\t63\t63")
    (root / "val" / "val_annotations.txt").write_text("\n".join(rows))
    return root


def arguments(data, out, work, **changes):
    options = {"epochs": 3, "small-epochs": 1, "small-side": 48, "text-steps": 5, "batch": 16, "lr": 0.002,
               "merges": 500, "device": "cpu"} | changes
    flags = [f for key, value in options.items() for f in (f"--{key}", str(value))]
    return train.parse(["--data", str(data), "--out", str(out), "--work", str(work), *flags])


def test_training_resumes_to_the_same_weights(data, tmp_path, monkeypatch):
    whole = arguments(data, tmp_path / "whole", tmp_path / "work-whole")
    train.train(whole)

    stopped = arguments(data, tmp_path / "stopped", tmp_path / "work-stopped")
    accuracy, calls = train.accuracy, []

    def power_cut(*args):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return accuracy(*args)

    monkeypatch.setattr(train, "accuracy", power_cut)
    with pytest.raises(KeyboardInterrupt):
        train.train(stopped)
    monkeypatch.setattr(train, "accuracy", accuracy)
    train.train(stopped)

    for name in ("image.safetensors", "text.safetensors"):
        one, two = (load_file(tmp_path / folder / name) for folder in ("whole", "stopped"))
        assert one.keys() == two.keys()
        for key in one:
            torch.testing.assert_close(one[key], two[key], rtol=0, atol=1e-3)

    clip = load_embedded(tmp_path / "whole")
    vocabulary = read_vocabulary(data)
    pictures, labels = load_split(data, "val", vocabulary.wnids, tmp_path / "work-whole")
    assert clip.image_size == 64 and len(labels) == 16
    bench = Gallery(clip, vocabulary.names, pictures, labels)
    profile = calibrate(bench)
    assert profile.gate in ("tau", "view_drift") and 0 < profile.threshold


def test_adversarial_fine_tuning_keeps_the_text_tower_of_the_original(data, tmp_path):
    original, hardened = tmp_path / "original", tmp_path / "hardened"
    train.train(arguments(data, original, tmp_path / "work", epochs=1))
    options = {"start": original, "adversarial-eps": 1, "epochs": 1, "small-epochs": 0, "lr": 0.001}
    train.train(arguments(data, hardened, tmp_path / "work-hardened", **options))
    assert {path.name for path in hardened.iterdir()} == {"image.safetensors", "open_clip_config.json", "classes.json"}
    before, after = load_embedded(original), load_embedded(hardened, original)
    pixels = torch.rand(2, 3, 64, 64)
    assert not torch.allclose(before.encode(pixels), after.encode(pixels), atol=1e-3)
    assert torch.equal(after.probe(pixels), before.encode(pixels)) and torch.equal(before.probe(pixels), before.encode(pixels))
    names = ["goldfish", "lion"]
    assert torch.equal(before.text_features(names, "a {}."), after.text_features(names, "a {}."))
    with pytest.raises(SystemExit):
        train.parse(["--data", "d", "--out", "o", "--adversarial-eps", "1"])


def test_training_goes_on_from_weights_with_two_crops_of_a_picture(data, tmp_path):
    train.train(arguments(data, tmp_path / "one", tmp_path / "work", epochs=1))
    options = {"start": tmp_path / "one", "instance-weight": 0.5, "epochs": 1, "small-epochs": 0}
    train.train(arguments(data, tmp_path / "two", tmp_path / "work-two", **options))
    assert load_embedded(tmp_path / "two").image_size == 64


def test_instance_loss_is_low_where_each_crop_finds_its_other():
    features = torch.nn.functional.normalize(torch.randn(3, 8, generator=torch.Generator().manual_seed(0)), dim=-1)
    scale = torch.tensor(20.0)
    paired = train.instance_loss(features.repeat(2, 1), scale)
    crossed = train.instance_loss(torch.cat([features, features.roll(1, 0)]), scale)
    assert paired < 0.1 < crossed


def test_other_settings_do_not_continue_a_run(data, tmp_path):
    train.train(arguments(data, tmp_path / "out", tmp_path / "work", epochs=1))
    with pytest.raises(SystemExit, match="other settings"):
        train.train(arguments(data, tmp_path / "out", tmp_path / "work", epochs=2))


def test_objective_prefers_what_is_true():
    covers = torch.tensor([[True, True, False]])  # one hypernym over the first two of three classes
    labels = torch.tensor([0])
    right = torch.tensor([[5.0, 0.0, 0.0, 5.0]])
    sibling = torch.tensor([[5.0, 4.0, 0.0, 5.0]])
    wrong = torch.tensor([[0.0, 0.0, 5.0, 0.0]])
    value = lambda logits: train.objective(logits, labels, covers).item()  # noqa: E731
    assert value(right) < value(sibling) < value(wrong)
    hypernym_only = [value(x) - torch.nn.functional.cross_entropy(x[:, :3], labels, label_smoothing=0.1).item()
                     for x in (right, sibling)]
    assert hypernym_only[0] == pytest.approx(hypernym_only[1], abs=1e-6)  # a sibling is no rival of their hypernym


def test_augmentation_stays_in_range_and_follows_its_seed():
    pictures = torch.randint(0, 256, (5, 3, 64, 64), dtype=torch.uint8)
    one, two = (augment(pictures, 48, torch.Generator().manual_seed(1)) for _ in range(2))
    assert one.shape == (5, 3, 48, 48) and one.min() >= 0 and one.max() <= 1 and torch.equal(one, two)


def test_vocabulary_moves_shared_words_to_hypernyms(data):
    vocabulary = read_vocabulary(data)
    assert vocabulary.names == ["goldfish", "tabby cat", "lion", "school bus"]
    assert vocabulary.hypernyms["cat"] == [1] and vocabulary.hypernyms["big cat"] == [2]
    assert "Carassius auratus" not in vocabulary.synonyms[0]
    assert not {w for s in vocabulary.synonyms for w in s} & set(vocabulary.hypernyms)
    assert article("a photo of a orange.") == "a photo of an orange." and all("{}" in t for t in TEMPLATES)


def test_study_of_a_small_pile(clip, tmp_path):
    """The study's numbers are those of the parts it is made of, and its file gives them back."""
    names = list(PRESETS["Animals"])
    pictures = torch.stack([(to_pixels(to_photo(open_picture(e.path)), 64)[0] * 255).round().to(torch.uint8) for e in EXAMPLES[:3]])
    bench = Gallery(clip, names, pictures, torch.zeros(3, dtype=torch.long))
    found = study(bench, "three pictures")
    found.write(tmp_path / "s.json")
    assert asdict(Study.read(tmp_path / "s.json")) == asdict(found) and found.pictures == 3 and found.labels == len(names)
    assert 0 < found.median_flip_eps < 4
    rows = found.find("noise")
    assert list(rows) == ["clean", *(f"PGD-{steps}, eps {eps}/255" for eps, steps in ATTACKS)]
    by_strength = [found.find("noise", strength=s)["clean"].quantiles[10] for s in NOISE_STRENGTHS]
    assert by_strength == sorted(by_strength) and by_strength[0] > 0
    drift = bench.signals(bench.pictures)["view_drift"]
    assert found.find("view_drift")["clean"].quantiles[-1] == pytest.approx(drift.max().item(), abs=1e-4)
    assert found.find("tau")["clean"].quantiles == found.find("noise", strength=4)["clean"].quantiles
    assert aucs_markdown(found).count("| own |") == len(ATTACKS)


def test_flip_eps_is_where_half_the_predictions_change(clip):
    """Just above the median flip eps most predictions change, well below it few do."""
    pixels = torch.cat([to_pixels(to_photo(open_picture(e.path)), 64) for e in EXAMPLES])
    bench = Gallery(clip, list(PRESETS["Kinds of things"]), (pixels * 255).round().to(torch.uint8), torch.zeros(len(pixels)))
    predicted = bench.predict(bench.pictures)
    eps = median_flip_eps(bench, predicted)

    def share(eps):
        steps = pgd(bench.bare, bench.pictures, predicted, eps=eps / 255, step_size=eps / 4 / 255, steps=10,
                    start=torch.zeros_like(bench.pictures))
        return (bench.predict(bench.pictures + last(steps).delta) != predicted).float().mean()

    assert share(eps / 2) <= 0.5 <= share(eps * 2)


@pytest.mark.parametrize("key", EMBEDDED)
def test_shipped_studies_are_drawn(key):
    found = study_of(key)
    assert found.pictures >= 1000 and found.labels == 200
    assert all(0 <= row.auc <= 1 for row in found.rows if row.pile != "clean")
    figure = study_figure(found)
    assert len(figure.axes) == 3 * len({row.encoder for row in found.rows})


def test_auc_is_the_chance_of_being_higher():
    assert auc(torch.tensor([3.0, 4.0]), torch.tensor([1.0, 2.0])) == 1
    assert auc(torch.tensor([1.0, 4.0]), torch.tensor([2.0, 3.0])) == 0.5


def test_shipped_profile_is_calibrated_and_named_classes_are_two_hundred():
    profile = MODELS["pocket"].profile
    assert "training pictures" in profile.note
    assert all("training pictures" in MODELS[key].profile.note for key in EMBEDDED)
    classes = json.loads((ASSETS / "pocket" / CLASSES_FILE).read_text())
    assert len({c["wnid"] for c in classes}) == len({c["name"] for c in classes}) == 200


@pytest.mark.parametrize("example", [e for e in EXAMPLES if e.recognised], ids=lambda e: e.title)
def test_the_packages_photographs_are_recognised(clip, example):
    pixels = to_pixels(to_photo(open_picture(example.path)), clip.image_size)
    labels = PRESETS[example.preset]
    assert labels[clip.classifier(labels, DEFAULT_TEMPLATE)(pixels).argmax()] == example.expected


def test_the_default_run_on_the_examples(clip):
    """What the README says of the examples: PGD flips, the counterattack restores, the clean control holds."""
    flipped = restored = held = 0
    for example in EXAMPLES:
        photo = to_photo(open_picture(example.path))
        chosen = story.Settings(PRESETS[example.preset], DEFAULT_TEMPLATE)
        run = list(story.attack(clip, story.begin(clip, photo, chosen, MODELS["pocket"].profile)))[-1]
        end, control = list(story.defend(clip, run))[-1], list(story.defend(clip, run, control=True))[-1]
        flipped += run.label(run.attacked) != run.label(run.clean)
        restored += run.label(run.attacked) != run.label(run.clean) == run.label(end.defended)
        held += run.label(control.defended) == run.label(run.clean)
    # One picture near a border may fall otherwise on another machine; the README has this one's exact numbers.
    assert flipped >= len(EXAMPLES) - 1 and restored >= 0.75 * flipped and held >= len(EXAMPLES) - 1


def test_documents_say_what_was_measured():
    """The tables in the model cards and the README are those of the records, to the letter."""
    for document, text in documents().items():
        assert f"{BEGIN}\n{text}\n{END}" in document.read_text(), document


def test_figures_are_put_between_the_marks(tmp_path):
    document = tmp_path / "card.md"
    document.write_text(f"a\n{BEGIN}\nold\n{END}\nb\n")
    insert(document, "new")
    assert document.read_text() == f"a\n{BEGIN}\nnew\n{END}\nb\n"


def test_open_vocabulary_asks_for_everyday_words_that_are_no_class_names(data):
    """None of the thirty is a class name, and no caption ever holds a word that is said never to be read."""
    names = {c["name"] for c in json.loads((ASSETS / "pocket" / CLASSES_FILE).read_text())}
    assert len(set(EVERYDAY)) == 30 and not names & {*EVERYDAY, *UNREAD} and set(UNREAD.values()) <= set(EVERYDAY)
    said = {word for text in [*GROUPS, *PREFERRED.values(), *sum(EXTRA_SYNONYMS.values(), [])] for word in text.split()}
    assert not said & set(UNREAD)
