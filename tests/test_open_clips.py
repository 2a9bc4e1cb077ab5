"""Rows of open_clip's through the very loading code: architectures made small, weights at random."""

from dataclasses import replace

import huggingface_hub
import open_clip
import pytest
import torch

from demo_core import models, open_clips, story
from demo_core.examples import EXAMPLES
from demo_core.models import MODELS, ModelUnavailable, load
from demo_core.open_clips import HUB, skeleton
from demo_core.pictures import open_picture, to_photo
from demo_core.weights import CONFIG_FILE, HUB_FILES, WEIGHTS_VARIABLE
from tests.hub import Hub, description, fill_cache, hub_here, random_model, shrink, write

ROWS = [key for key, row in MODELS.items() if row.open_clip_name]
LABELS = ("tabby cat", "dog", "espresso")
BASE = "vit-b-32"


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    """Nothing of this machine's own cache or folder is read, and every architecture is small."""
    shrink(monkeypatch)
    monkeypatch.delenv(WEIGHTS_VARIABLE, raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(open_clips, "find_spec", lambda _: True)  # of transformers
    ours = open_clip.get_tokenizer

    def tokenizer(name):
        """CLIP's words in place of those that transformers would read from the hub."""
        words = open_clip.SimpleTokenizer(context_length=64)
        return words if "SigLIP" in name else ours(name)

    monkeypatch.setattr(open_clip, "get_tokenizer", tokenizer)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with hub_here(monkeypatch, tmp_path / "cache") as found:
        yield found


def cached(tmp_path, key: str) -> None:
    """A row's weights, and its original's, in the hub's cache."""
    row = MODELS[key]
    fill_cache(tmp_path / "cache", row, random_model(row, len(key)), HUB_FILES["fare" in key])
    if row.original:
        cached(tmp_path, row.original)


@pytest.mark.parametrize("key", ROWS)
def test_a_row_loads_attacks_and_defends(key, tmp_path):
    cached(tmp_path, key)
    row, clip = MODELS[key], load(key, "cpu")
    config = open_clip.get_model_config(row.open_clip_name)
    assert clip.image_size == config["vision_cfg"].get("image_size", 224)
    assert clip.tokenizer(["cat"]).shape[1] == config["text_cfg"]["context_length"]
    if tag := open_clip.get_pretrained_cfg(row.open_clip_name, row.pretrained):
        assert clip.mean.flatten().tolist() == pytest.approx(tag["mean"])
        assert clip.std.flatten().tolist() == pytest.approx(tag["std"])
        assert clip.interpolation == tag["interpolation"] and clip.squash == (tag["resize_mode"] == "squash")
        assert config.get("quick_gelu", False) == tag.get("quick_gelu", False)
    photo = to_photo(open_picture(EXAMPLES[1].path), clip.image_size)
    settings = story.Settings(LABELS, row.template, steps=1, defense="ttc")
    run = story.begin(clip, photo, settings, models.profile_of(key))
    *_, run = story.whole(clip, run)
    assert run.attack_finished and run.defended is not None and run.attack_delta.abs().max() > 0
    assert run.pixels.shape == (1, 3, clip.image_size, clip.image_size)
    assert (clip.original is not None) == (row.original is not None)


def test_the_original_probes_and_the_fine_tuned_one_answers(tmp_path):
    cached(tmp_path, "fare2-vit-l-14")
    clip, original = load("fare2-vit-l-14", "cpu"), load("vit-l-14", "cpu")
    pixels = torch.rand(1, 3, 224, 224)
    torch.testing.assert_close(clip.probe(pixels), original.encode(pixels))
    assert not torch.allclose(clip.encode(pixels), original.encode(pixels), rtol=0.1)


def test_logits_are_open_clip_s_own_with_a_siglip_s_bias(tmp_path):
    key = "vit-b-16-siglip2"
    model = random_model(MODELS[key])
    torch.nn.init.constant_(model.logit_bias, -7.5)
    fill_cache(tmp_path / "cache", MODELS[key], model)
    clip = load(key, "cpu")
    pixels = torch.rand(2, 3, 224, 224)
    tokens = clip.tokenizer([MODELS[key].template.replace("{}", label) for label in LABELS])
    with torch.no_grad():
        want, _ = model.get_logits((pixels - clip.mean) / clip.std, tokens)
        got = clip.classifier(LABELS, MODELS[key].template)(pixels)
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


def test_sizes_in_the_table_are_those_of_the_architectures(monkeypatch):
    monkeypatch.undo()
    for key in ROWS:
        millions = sum(p.numel() for p in skeleton(MODELS[key]).parameters()) / 1e6
        assert MODELS[key].millions == pytest.approx(millions, abs=0.06), key
    for key in ("photo", "photo-fare"):
        own = load(key, "cpu").model
        assert MODELS[key].millions == pytest.approx(
            sum(p.numel() for p in own.state_dict().values()) / 1e6, abs=0.1
        )
    assert models.gigabytes("fare2-vit-l-14") == pytest.approx(2 * models.gigabytes("vit-l-14"))


@pytest.mark.parametrize(
    "place",
    [
        "ViT-B-32-quickgelu.safetensors",
        "ViT-B-32-quickgelu.pt",
        "ViT-B-32.pt",
        "ViT-B-32.safetensors",
        "vit_base_patch32_clip_224.openai/open_clip_model.safetensors",
        "ViT-B-32/open_clip_pytorch_model.bin",
    ],
)
def test_a_folder_of_weights_may_call_them_so(place, tmp_path, monkeypatch):
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path))
    model = random_model(MODELS[BASE])
    (tmp_path / place).parent.mkdir(exist_ok=True)
    write(model, tmp_path / place)
    pixels = torch.rand(1, 3, 224, 224)
    clip = load(BASE, "cpu")
    with torch.no_grad():
        want = model.encode_image((pixels - clip.mean) / clip.std)
        torch.testing.assert_close(clip.encode(pixels), want, rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore")  # of the tracer
def test_openai_s_own_file_is_a_program(tmp_path, monkeypatch):
    """Traced, in half precision, with numbers of its own among the tensors, as OpenAI wrote it."""
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path))
    model = random_model(MODELS[BASE])
    for name, number in (("input_resolution", 224), ("context_length", 77), ("vocab_size", 49408)):
        vars(model).pop(name, None)
        model.register_buffer(name, torch.tensor(number))
    traced = torch.jit.trace(
        model, (torch.rand(1, 3, 224, 224), torch.zeros(1, 77).long()), check_trace=False
    )
    traced.half().save(tmp_path / "ViT-B-32.pt")
    clip, pixels = load(BASE, "cpu"), torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        want = model.float().encode_image((pixels - clip.mean) / clip.std)
        torch.testing.assert_close(clip.encode(pixels), want, rtol=1e-3, atol=1e-3)
    assert clip.model.visual.conv1.weight.dtype == torch.float32


def test_other_weights_of_the_same_shapes_are_not_taken_for_openai_s(tmp_path, monkeypatch):
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path))
    for key in ("vit-b-32", "vit-b-32-laion", "vit-b-16", "vit-b-16-dfn"):
        others = {n for k in ROWS if k != key for n in (*MODELS[k].file_names, *MODELS[k].folder_names)}
        assert not others & {*MODELS[key].file_names, *MODELS[key].folder_names}


# ---------------------------------------------------------------- the hub


def serve(hub: Hub, tmp_path, key: str, file: str = HUB_FILES[0]) -> str:
    row = MODELS[key]
    write(random_model(row), tmp_path / file)
    name = f"{row.repository}/{file}"
    hub.files[name] = (tmp_path / file).read_bytes()
    if row.pretrained.startswith(HUB):
        hub.files[f"{row.repository}/{CONFIG_FILE}"] = description(row).encode()
    return name


def test_weights_come_from_the_hub_once(hub, tmp_path):
    name = serve(hub, tmp_path, BASE)
    assert load(BASE, "cpu").image_size == load(BASE, "cpu").image_size == 224
    assert hub.asked == [name]


def test_a_repository_of_the_hub_describes_itself(hub, tmp_path):
    """Only the second of the names of a file is there, and the activation is the repository's."""
    row = replace(MODELS["fare2-vit-l-14"], open_clip_name="ViT-L-14")
    name = serve(hub, tmp_path, "fare2-vit-l-14", HUB_FILES[1])
    clip = open_clips.load_open_clip(row)
    activation = clip.model.visual.transformer.resblocks[0].mlp.gelu
    assert type(activation).__name__ == "QuickGELU"
    assert hub.asked == [name, f"{row.repository}/{CONFIG_FILE}"]


def test_half_a_file_in_the_cache_is_fetched_again(hub, tmp_path):
    name = serve(hub, tmp_path, BASE)
    path = fill_cache(tmp_path / "cache", MODELS[BASE], random_model(MODELS[BASE]))
    path.resolve().write_bytes(path.read_bytes()[:-1000])
    assert load(BASE, "cpu").image_size == 224 and hub.asked == [name]


def test_a_download_that_breaks_off_is_tried_again(hub, tmp_path):
    name = serve(hub, tmp_path, BASE)
    hub.breaks = 1
    assert load(BASE, "cpu").image_size == 224 and set(hub.asked) == {name} and len(hub.asked) >= 2


def test_what_the_hub_has_broken_is_said_in_one_sentence(hub, tmp_path):
    name = serve(hub, tmp_path, BASE)
    hub.files[name] = hub.files[name][:-1000]
    with pytest.raises(ModelUnavailable, match="is cut short or damaged: download it again.$"):
        load(BASE, "cpu")
    assert hub.asked == [name] or hub.asked == [name, name]


def test_a_hub_that_has_not_the_file_is_said_in_one_sentence(hub):
    with pytest.raises(ModelUnavailable, match="could not be downloaded.*embedded model works"):
        load(BASE, "cpu")


# ---------------------------------------------------------------- words


def test_a_package_that_is_missing_is_said_before_anything_is_fetched(hub, monkeypatch):
    monkeypatch.setattr(open_clips, "find_spec", lambda _: None)
    with pytest.raises(ModelUnavailable, match="run `pip install transformers`"):
        load("vit-b-16-siglip2", "cpu")
    assert not hub.asked
