import pytest

from demo_core.labels import PRESETS, LabelError, check_template, list_labels, parse_labels


def test_lines_are_trimmed_and_repeats_dropped():
    assert parse_labels("  cat \n\nDog\ncat\r\nCAT\n big   cat ") == ("cat", "Dog", "big cat")


@pytest.mark.parametrize("text", ["", "\n \n", "cat", "cat\nCat\n", None])
def test_too_few(text):
    with pytest.raises(LabelError, match="at least two"):
        parse_labels(text)


def test_a_thousand_are_fine_and_one_more_is_not():
    assert len(parse_labels("\n".join(f"thing {i}" for i in range(1000)))) == 1000
    with pytest.raises(LabelError, match="1,001"):
        parse_labels("\n".join(f"thing {i}" for i in range(1001)))


@pytest.mark.parametrize("template", ["", "a photo", "{} and {}", None, "{0}"])
def test_templates_need_one_place_for_the_label(template):
    with pytest.raises(LabelError, match="once"):
        check_template(template)


def test_presets_are_lists_that_parse_to_themselves():
    for words in PRESETS.values():
        assert parse_labels("\n".join(words)) == words and 8 <= len(words) <= 12


def test_labels_on_one_line_stand_between_commas():
    assert list_labels("cat, dog, lion") == ("cat", "dog", "lion") == parse_labels("cat,dog , lion,")
    assert list_labels("a cat, asleep\na dog") == ("a cat, asleep", "a dog")  # of several lines each is one
    assert list_labels("cat") == ("cat",) and list_labels(", ,") == ()
