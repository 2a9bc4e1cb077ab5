"""One description of settings: controls, link, endpoints, file and checks follow from a line of it."""

import json

import pytest

from demo_core.labels import LabelError
from demo_core.story.scenes import Scene, scene_of
from demo_core.story.settings import SETTINGS, Chosen, InputError, Settings, as_given, choose, read_settings
from tests import fresh


def test_sizes_are_given_in_grey_levels_and_taken_in_pixel_units():
    settings = read_settings(choose(labels="cat\ndog", eps=8, step_size=2))
    assert settings.eps == 8 / 255 and settings.step_size == 2 / 255 and settings.labels == ("cat", "dog")
    assert settings.chosen() == Chosen(labels="cat\ndog", eps=8, step_size=2)


def test_a_file_says_the_units():
    given = as_given(read_settings(choose(labels="cat\ndog", eps=8)))
    assert given["eps"] == 8 and given["units"] == {"eps": "1/255", "step_size": "1/255", "patch": "%"}
    assert set(given) == {*SETTINGS, "units"}


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"eps": -1}, "Set eps to a number from 0 to 255."),
        ({"eps": float("nan")}, "Set eps to a number from 0 to 255."),
        ({"steps": 0}, "Set steps to a whole number from 1 to 200."),
        ({"steps": 2.5}, "Set steps to a whole number from 1 to 200."),
        ({"step_size": "wide"}, "Set step size to a number from 0 to 255."),
        ({"adaptive": "perhaps"}, "Set adaptive to true or false."),
        ({"attack": "magic"}, "There is no attack “magic”: choose one of pgd, "),
        ({"defense": "magic"}, "There is no defense “magic”: choose one of none, "),
        ({"model": None}, "There is no model “None”: choose one of photo, "),
    ],
)
def test_what_cannot_be_used_is_said_in_one_sentence(changes, said):
    with pytest.raises(InputError) as error:
        choose(labels="cat\ndog", **changes)
    assert str(error.value).startswith(said)


def test_a_target_must_be_among_the_labels():
    with pytest.raises(InputError, match="targeted attack should reach"):
        read_settings(choose(labels="cat\ndog", attack="targeted_pgd", target="horse"))
    assert read_settings(choose(labels="cat\ndog", attack="targeted_pgd", target="dog")).target == 1
    with pytest.raises(LabelError):
        read_settings(choose(labels="cat"))


def test_defaults_are_those_of_the_table():
    settings = Settings(("cat", "dog"), SETTINGS["template"].default)
    assert settings.eps == SETTINGS["eps"].default / 255 and settings.defense == "default"
    assert all(row.title and row.help for row in SETTINGS.values())


ONE_LINE_MORE = """
import json, sys, types
from pathlib import Path

import demo_core.story.run  # noqa: F401  what stands below the settings
for name in [n for n in sys.modules if n.startswith("demo_core.story")]:
    del sys.modules[name]
path = Path("demo_core/story/settings.py")
lines = path.read_text().split("\\n")
at = next(i for i, line in enumerate(lines) if line.startswith("    seed: int = setting("))
line = '    patience: int = setting(3, "Patience", "How long to wait.", limits=(0, 9), slider=(0, 9, 1))'
lines.insert(at, line)


class Loader:
    def find_spec(self, name, *rest):
        if name == "demo_core.story.settings":
            import importlib.util
            return importlib.util.spec_from_loader(name, self)
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        sys.modules[module.__name__] = module
        exec(compile("\\n".join(lines), str(path), "exec"), module.__dict__)


sys.meta_path.insert(0, Loader())
from demo_core.story.scenes import Scene, scene_of
from demo_core.story.settings import InputError, as_given, choose, read_settings
from demo_core.ui import lab

page = lab.build()
shown = [c["props"] for c in page.get_config_file()["components"]]
said = ""
try:
    choose(labels="cat\\ndog", patience=10)
except InputError as error:
    said = str(error)
attack = page.get_api_info()["named_endpoints"]["/attack"]
print(json.dumps({
    "control": [props.get("maximum") for props in shown if props.get("label") == "Patience"],
    "argument": "patience" in [p["parameter_name"] for p in attack["parameters"]],
    "link": "patience=7" in scene_of("cat", patience=7).query(),
    "read": Scene.read(scene_of("cat", patience=7).query()).patience,
    "run": read_settings(choose(labels="cat\\ndog", patience=5)).patience,
    "file": as_given(read_settings(choose(labels="cat\\ndog", patience=5)))["patience"],
    "said": said,
}))
"""


def test_one_line_adds_a_setting():
    """Its control, argument, link, file and check are there at once."""
    assert json.loads(fresh.printed(ONE_LINE_MORE).splitlines()[-1]) == {
        "control": [9],
        "argument": True,
        "link": True,
        "read": 7,
        "run": 5,
        "file": 5,
        "said": "Set patience to a whole number from 0 to 9.",
    }


def test_a_prompt_that_is_left_empty_is_the_model_s_own():
    paper = "This is a photo of a {}."
    assert choose(labels="cat\ndog").template == "a photo of a {}."
    assert choose(labels="cat\ndog", model="vit-b-32", template=None).template == paper
    assert choose(labels="cat\ndog", model="vit-l-14", template="an {}").template == "an {}"
    assert paper in SETTINGS["template"].manual
    assert scene_of("cat", model="rn50").settings.template == paper
    assert scene_of("cat", model="rn50") == Scene.read(scene_of("cat", model="rn50").query())
