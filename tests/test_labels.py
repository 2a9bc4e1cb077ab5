import pytest

from demo_core.labels import (
    PRESETS,
    LabelError,
    check_template,
    list_labels,
    parse_labels,
    shortened,
    visible,
)


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


def test_what_cannot_be_seen_makes_no_second_label():
    for typed in ("\ufeffcat\ndog", "cat\nca\u200bt\ndog", "cat\nc\ud800at\ndog", "cat\ncat\x00\ndog"):
        assert parse_labels(typed) == ("cat", "dog")
    assert parse_labels("cre\u0300me\ncr\u00e8me\ndog") == ("cr\u00e8me", "dog")  # one word in two spellings
    assert visible("one\ntwo\tthree") == "one\ntwo\tthree"
    assert check_template("\ufeffa photo of a {}.") == "a photo of a {}."


def test_a_label_and_a_template_have_a_length():
    assert len(parse_labels("x" * 200 + "\ncat")) == 2
    with pytest.raises(LabelError, match="has 100,000 characters: keep each label to at most 200"):
        parse_labels("cat\n" + "x" * 100_000)
    with pytest.raises(LabelError, match="at most 200"):
        check_template("{}" + "x" * 200)
    assert shortened("short") == "short" and shortened("x" * 41) == "x" * 40 + " …"
