import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin

from demo_core.examples import EXAMPLES
from demo_core.pictures import (
    PHOTO_SIDE,
    PictureError,
    enlarged,
    open_picture,
    perturb,
    to_image,
    to_photo,
    to_pixels,
)


def gradient(size=(300, 200)) -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 255, size[0]), np.linspace(0, 255, size[1]))
    return Image.fromarray(np.stack([x, y, 255 - x], -1).astype(np.uint8))


@pytest.mark.parametrize(
    "mode", ["RGB", "L", "RGBA", "LA", "P", "CMYK", "1", "I;16", "I", "F", "YCbCr", "HSV", "LAB"]
)
def test_every_mode_becomes_rgb(mode, save):
    source = gradient()
    picture = source.convert("I").convert("I;16") if mode == "I;16" else source.convert(mode)
    opened = open_picture(picture)
    assert opened.mode == "RGB" and opened.size == source.size


def test_transparency_lies_over_white(save):
    path = save(Image.new("RGBA", (8, 8), (255, 0, 0, 0)))
    assert open_picture(path).getpixel((0, 0)) == (255, 255, 255)


def test_sixteen_bits_keep_their_shades(save):
    values = np.linspace(0, 65535, 256, dtype=np.uint16).reshape(16, 16)
    picture = open_picture(save(Image.fromarray(values)))
    assert abs(np.asarray(picture)[..., 0].astype(int) - np.arange(256).reshape(16, 16)).max() <= 1


def test_rotation_in_the_exif_is_applied(save):
    exif = Image.Exif()
    exif[274] = 6  # a quarter turn
    assert open_picture(save(gradient((30, 20)), "turned.jpg", exif=exif)).size == (20, 30)


def test_an_animation_gives_its_first_frame(save):
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue")]
    path = save(frames[0], "moving.gif", save_all=True, append_images=frames[1:])
    assert open_picture(path).getpixel((4, 4)) == (255, 0, 0)


def test_cmyk_jpeg(save):
    assert open_picture(save(gradient().convert("CMYK"), "print.jpg")).mode == "RGB"


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "empty"),
        (b"not a picture at all", "cannot be read"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "cannot be read"),
    ],
)
def test_unreadable_files_get_one_sentence(content, words, tmp_path):
    (tmp_path / "broken.png").write_bytes(content)
    with pytest.raises(PictureError, match=words):
        open_picture(tmp_path / "broken.png")


def test_a_truncated_file_gets_one_sentence(tmp_path, save):
    path = save(gradient((400, 400)))
    whole = Path(path).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PictureError, match="cannot be read"):
        open_picture(tmp_path / "cut.png")


@pytest.mark.parametrize("side", [7000, 14000])
def test_over_forty_megapixels_is_refused_before_decoding(side, save):
    path = save(Image.new("1", (side, side)))
    with pytest.raises(PictureError, match="40"):
        open_picture(path)


@pytest.mark.parametrize(
    "size, said", [((40_000, 1001), "40.04"), ((40_000_001, 1), "40.000001"), ((10_000, 5000), "50")]
)
def test_a_refusal_names_a_size_over_the_limit(size, said, monkeypatch):
    """Never "40 megapixels: at most 40"."""
    picture = Image.new("1", (1, 1))
    monkeypatch.setattr(picture, "_size", size)
    with pytest.raises(PictureError) as refused:
        open_picture(picture)
    assert str(refused.value) == f"This picture has {said} megapixels: scale it down to at most 40."


RAMP = np.linspace(0, 4095, 64).round().astype(np.uint16).reshape(8, 8)


def twelve_bits() -> bytes:
    """A TIFF whose numbers have 12 bits each, which Pillow reads but does not write."""
    bits = "".join(f"{value:012b}" for value in RAMP.flat)
    data = int(bits, 2).to_bytes(len(bits) // 8, "big")
    tags = {256: 8, 257: 8, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: 8, 279: len(data)}
    entries = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in tags.items())
    head = struct.pack("<2sHI", b"II", 42, 8 + len(data))
    return head + data + struct.pack("<H", len(tags)) + entries + bytes(4)


def test_twelve_bits_are_as_bright_as_eight(tmp_path, save):
    """Packed, in sixteen bits with what is white said, and in sixteen without a word."""
    (tmp_path / "packed.tif").write_bytes(twelve_bits())
    silent = save(Image.fromarray(RAMP), "silent.tif")
    said = save(Image.fromarray(RAMP // 4), "said.tif", tiffinfo={281: 1023})
    whole = np.round(RAMP * (255 / 4095))
    for path in (tmp_path / "packed.tif", silent, said):
        assert np.abs(np.asarray(open_picture(path))[..., 0] - whole).max() <= 1
    sixteen = save(Image.fromarray(RAMP * 16), "sixteen.tif")
    assert np.abs(np.asarray(open_picture(sixteen))[..., 0] - whole).max() <= 1
    dark = np.asarray(open_picture(save(Image.fromarray(RAMP), "dark.png")))
    assert dark.max() == 16  # of a PNG the sixteen bits are meant


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_none_blackens_its_own_pixel_only(odd, save):
    values = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    values[3, 4] = odd
    shades = np.asarray(open_picture(save(Image.fromarray(values), "float.tif")))[..., 0]
    wanted = np.round(np.linspace(0, 1, 64) * 255).reshape(8, 8)
    wanted[3, 4] = 0
    assert np.abs(shades - wanted).max() <= 1 and shades[3, 4] == 0


def test_text_bombs_in_png_are_refused(save):
    info = PngImagePlugin.PngInfo()
    info.add_text("bomb", "a" * (PngImagePlugin.MAX_TEXT_CHUNK + 1), zip=True)
    with pytest.raises(PictureError):
        open_picture(save(gradient(), pnginfo=info))


@pytest.mark.parametrize("size", [(1, 1), (3000, 10), (64, 64), (448, 448), (501, 77)])
def test_any_shape_becomes_the_square(size):
    photo = to_photo(Image.new("RGB", size, (10, 20, 30)))
    assert photo.shape == (3, PHOTO_SIDE, PHOTO_SIDE)
    torch.testing.assert_close(photo.mean((1, 2)) * 255, torch.tensor([10.0, 20.0, 30.0]), atol=1e-2, rtol=0)


@pytest.mark.parametrize("side", [PHOTO_SIDE // 2, PHOTO_SIDE])
def test_a_picture_of_the_models_size_reaches_it_unchanged(side):
    small = gradient((side, side))
    pixels = to_pixels(to_photo(small), side)[0].permute(1, 2, 0) * 255
    np.testing.assert_allclose(pixels.numpy(), np.asarray(small), atol=1e-3)


def test_a_size_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="multiple"):
        to_pixels(torch.zeros(3, PHOTO_SIDE, PHOTO_SIDE), 100)


@pytest.mark.parametrize("side", [64, 224])
@pytest.mark.parametrize("kind", ["photo", "black and white"])
def test_what_is_shown_is_what_the_model_sees(side, kind):
    photo = (
        to_photo(open_picture(EXAMPLES[0].path))
        if kind == "photo"
        else (torch.rand(3, PHOTO_SIDE, PHOTO_SIDE, generator=torch.Generator().manual_seed(1)) > 0.5).float()
    )
    pixels = to_pixels(photo, side)
    delta = (torch.rand(pixels.shape, generator=torch.Generator().manual_seed(0)) - 0.5) * 8 / 255
    delta = (pixels + delta).clamp(0, 1) - pixels
    shown = perturb(photo, delta)
    assert shown.min() >= 0 and shown.max() <= 1
    torch.testing.assert_close(to_pixels(shown, side), pixels + delta, atol=1e-5, rtol=0)


def test_eight_bits_keep_a_perturbation_of_a_fraction_of_a_level(save):
    photo = to_photo(open_picture(EXAMPLES[1].path))
    pixels = to_pixels(photo, 64)
    delta = torch.full_like(pixels, 0.3 / 255).clamp(max=1) * (pixels < 0.9)
    again = to_photo(open_picture(save(to_image(perturb(photo, delta)))))
    error = (to_pixels(again, 64) - pixels - delta).abs() * 255
    assert error.max() < 0.25 and error.mean() < 0.05


def test_an_unperturbed_photo_is_shown_exactly(save):
    photo = to_photo(open_picture(EXAMPLES[2].path))
    assert torch.equal(to_photo(open_picture(save(to_image(photo)))), photo)


def test_enlarged_perturbation_spans_black_to_white():
    delta = torch.tensor([-4 / 255, 0, 4 / 255, 2 / 255]).repeat(1, 3, 4, 1)
    row = np.asarray(enlarged(delta, 4 / 255))[0, :: PHOTO_SIDE // 4, 0]
    assert row.tolist() == [0, 128, 255, 191]
