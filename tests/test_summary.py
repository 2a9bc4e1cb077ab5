"""A run's settings in short: those that count, and two of them differ where they do."""

from demo_core.story import Settings
from demo_core.story.scenes import SCENES
from demo_core.story.summary import summary

LABELS = ("cat", "dog", "lion", "bullfrog")


def titles(**changes) -> dict[str, str]:
    return {title: shown for title, shown, _ in summary(Settings(LABELS, "{}", **changes))["rows"]}


def test_only_what_counts_is_listed():
    usual = titles()
    assert usual["eps"] == "4/255" and usual["Attack"] == "PGD" and "Patch size" not in usual
    assert usual["Candidate labels"] == "4: cat, dog, lion …" and "Draws a step" not in usual
    assert {"eps", "Step size"}.isdisjoint(titles(attack="patch")) and titles(attack="patch")[
        "Patch size"
    ] == "15 %"
    assert "Draws a step" in titles(adaptive=True, eot=4) and "Steps" not in titles(attack="fgsm")
    assert titles(attack="targeted_pgd", target=1)["Target label"] == "dog"


def test_the_control_has_no_attack():
    scene = SCENES["control"].scene
    found = summary(scene.settings, scene.control)
    assert found["short"] == "No attack; Ours" and "eps" not in [title for title, *_ in found["rows"]]


def test_labels_that_look_alike_in_short_are_told_apart():
    one, two = (summary(Settings((*LABELS, last), "{}"))["rows"] for last in ("pug", "fox"))
    assert one[0][1] == two[0][1] and one[0][2] != two[0][2]
    assert one[1:] == two[1:]


def test_a_line_says_what_matters():
    assert summary(Settings(LABELS, "{}", adaptive=True))["short"] == "PGD, 4/255, knowing the defence; Ours"
