
import pytest
import torch
from PIL import Image

from demo_core.clip import ZeroShotCLIP, load


@pytest.fixture(scope="session")
def clip() -> ZeroShotCLIP:
    """The model in the box."""
    return load("pocket", device="cpu")


@pytest.fixture(scope="session")
def twin() -> ZeroShotCLIP:
    """The adversarially fine-tuned model in the box."""
    return load("pocket-tecoa", device="cpu")


@pytest.fixture(scope="session")
def photographs() -> torch.Tensor:
    """Four of the packages' photographs as the embedded model's pixels [4,3,64,64]."""
    from demo_core.examples import EXAMPLES
    from demo_core.pictures import open_picture, to_photo, to_pixels

    return torch.cat([to_pixels(to_photo(open_picture(e.path)), 64) for e in EXAMPLES[:4]])


@pytest.fixture
def save(tmp_path):
    """Write a picture to disk and return its path."""
    def write(picture: Image.Image, name: str = "picture.png", **options) -> str:
        picture.save(tmp_path / name, **options)
        return str(tmp_path / name)

    return write
