import re

import huggingface_hub
import open_clip
import pytest
import torch

from demo_core import models, story, weights
from demo_core.labels import LabelError
from demo_core.models import MODELS, ModelUnavailable, load, load_embedded

PAPER = "This is a photo of a {}."


def test_features_are_raw_and_logits_are_scaled_cosines(clip, photographs):
    features = clip.encode(photographs)
    text = clip.text_features(["cat", "dog", "lion"], PAPER)
    assert features.shape == (4, 640) and text.shape == (3, 640)
    torch.testing.assert_close(text.norm(dim=1), torch.ones(3))
    assert not torch.allclose(features.norm(dim=1), torch.ones(4), atol=0.05)
    cosine = torch.nn.functional.cosine_similarity(features[:, None], text[None], dim=-1)
    torch.testing.assert_close(
        clip.logits(features, text), clip.model.logit_scale.exp() * cosine, rtol=1e-4, atol=1e-4
    )


def test_text_is_encoded_once_for_a_label_set_and_template(clip, monkeypatch):
    calls = []
    encode_text = clip.model.encode_text
    monkeypatch.setattr(
        clip.model, "encode_text", lambda tokens: calls.append(len(tokens)) or encode_text(tokens)
    )
    for _ in range(3):
        clip.text_features(["apple", "pear", "plum"], PAPER)
    assert calls == [3]
    clip.text_features(["apple", "pear", "plum"], "a {}")
    assert calls == [3, 3]


def test_of_several_templates_it_is_the_direction_of_the_mean_of_their_unit_features(clip):
    one, other = (clip.text_features(["apple", "pear"], template) for template in (PAPER, "a {}"))
    both = clip.text_features(["apple", "pear"], (PAPER, "a {}"))
    torch.testing.assert_close(both, torch.nn.functional.normalize((one + other) / 2, dim=-1))
    assert torch.equal(clip.text_features(["apple", "pear"], (PAPER,)), one)


def test_a_brace_in_a_label_is_just_a_character(clip):
    assert clip.text_features(["a {0} b", "{x}"], PAPER).isfinite().all()


def test_frozen_and_in_eval_mode(clip):
    clip.train()
    assert not clip.training and not any(m.training for m in clip.modules())
    assert not any(p.requires_grad for p in clip.parameters())
    assert clip.device.type == "cpu"


def test_pixels_get_gradients(clip, photographs):
    leaf = photographs.clone().requires_grad_()
    clip.encode(leaf).sum().backward()
    assert leaf.grad.abs().sum() > 0


def test_every_row_names_one_source():
    for key, row in MODELS.items():
        assert row.embedded != bool(row.open_clip_name)
        assert row.template.count("{}") == 1 and (row.original is None or row.original in MODELS)
        if row.open_clip_name:
            known = (row.open_clip_name, row.pretrained) in open_clip.list_pretrained()
            assert known or row.pretrained.startswith("hf-hub:")
            assert row.template == PAPER
            assert models.profile_of(key) == models.Profile()  # they keep the paper's rule and values


@pytest.mark.slow
@pytest.mark.parametrize("key", ["vit-b-32", "rn50"])
def test_a_real_architecture_runs_the_whole_story(key, tmp_path, monkeypatch):
    """At its real size, with random weights: what a machine without a hub would be given. Small ones of all
    rows are in test_open_clips.py."""
    torch.manual_seed(0)
    random = open_clip.create_model(MODELS[key].open_clip_name)
    torch.save(random.state_dict(), tmp_path / f"{MODELS[key].open_clip_name}.pt")
    monkeypatch.setenv(weights.WEIGHTS_VARIABLE, str(tmp_path))
    model = load(key, device="cpu")
    assert model.image_size == 224
    pixels = torch.rand(2, 3, 224, 224)
    mean, std = (
        torch.tensor(v).view(1, 3, 1, 1)
        for v in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)
    )
    with torch.no_grad():
        want = random.eval().encode_image((pixels - mean) / std)
        torch.testing.assert_close(model.encode(pixels), want, rtol=1e-4, atol=1e-5)
    settings = story.Settings(("cat", "dog"), PAPER, steps=1, defense="ttc")
    run = story.begin(model, torch.rand(3, 448, 448), settings, models.profile_of(key))
    *_, run = story.whole(model, run)
    assert run.attack_delta.abs().max() > 0 and run.defended.shape == (2,)


def test_weights_that_cannot_be_fetched_give_one_sentence(monkeypatch, tmp_path):
    def no_network(*_, **__):
        raise OSError("no route to host")

    monkeypatch.delenv(weights.WEIGHTS_VARIABLE, raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", no_network)
    monkeypatch.setattr(weights, "_hub_has_an_address", lambda: True)
    with pytest.raises(ModelUnavailable, match="could not be downloaded.*embedded model works"):
        load("vit-b-32")


def test_offline_is_said_at_once(monkeypatch, tmp_path):
    def no_name(*_):
        raise OSError("Name or service not known")

    monkeypatch.setattr(weights.socket, "getaddrinfo", no_name)
    monkeypatch.delenv(weights.WEIGHTS_VARIABLE, raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    for variable in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(
        huggingface_hub, "hf_hub_download", lambda *_, **__: pytest.fail("nothing should be tried")
    )
    with pytest.raises(ModelUnavailable, match="go online"):
        load("vit-b-16")


def test_missing_embedded_file_gives_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(models, "EMBEDDED", tmp_path)
    with pytest.raises(ModelUnavailable, match="is missing"):
        load_embedded("photo")


@pytest.mark.parametrize(
    "labels, why",
    [
        (("cat", "dog " * 40), "“dog dog dog dog dog dog dog dog dog dog  …”, in its template, is longer"),
        (("cat", "猫"), "nothing of “猫”: write it in English"),
        (("кошка", "dog"), "nothing of “кошка”"),
        (("🐱", "dog"), "nothing of “🐱”"),
        (("a grand piano!", "a grand piano?"), "“a grand piano!” and “a grand piano?” read the same"),
    ],
)
def test_a_label_that_the_model_does_not_read_is_named(clip, labels, why):
    with pytest.raises(LabelError, match=re.escape(why)):
        clip.text_features(labels, "a photo of a {}.")


def test_labels_that_fill_what_the_model_reads_are_read(clip):
    most = clip.tokenizer.context_length - 6  # five words of the template, and one place for the end
    assert clip.text_features(("dog " * most, "cat"), "a photo of a {}.").shape == (2, 640)
    assert clip.text_features(("crane", "crane", "Crème brûlée"), "{}").shape[0] == 3
