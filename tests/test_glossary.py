"""Notes at the field's words."""

import re

import pytest

from demo_core.story import glossary
from demo_core.story.glossary import TERMS, found_in
from demo_core.ui import render


def test_a_text_in_pieces_is_the_text_and_each_term_counts_once():
    text = "The view drift is above the gate’s threshold; “gate drift” under PGD is no floodgate."
    pieces = found_in(text)
    assert "".join(piece for piece, _ in pieces) == text
    assert [(piece, key) for piece, key in pieces if key] == [
        ("view drift", "drift"),
        ("gate", "gate"),
        ("threshold", "threshold"),
        ("PGD", "pgd"),
    ]
    assert found_in("Embeddings", known := {"embedding"}) == [("Embeddings", None)] and known == {"embedding"}
    assert found_in("") == []


@pytest.mark.parametrize("key", TERMS)
def test_a_note_is_short_and_uses_no_harder_word(key):
    note = TERMS[key].note
    assert len(note) < 190 and note.endswith(".")
    assert key in glossary.for_script()["notes"]
    harder = {"logits", "bpda", "eot", "auc", "tau", "masked gradients"} - {key}
    assert not {other for _, other in found_in(note)} & harder


@pytest.mark.parametrize(
    "found", [render.gate_html("photo"), render.ABOUT, render.lesson_html()], ids=["gate", "about", "lesson"]
)
def test_what_stands_on_the_page_has_its_terms_explained_once(found):
    keys = re.findall(r'class="term" data-term="([^"]+)"', found)
    assert keys and len(keys) == len(set(keys)) and set(keys) <= set(TERMS)


def test_headings_buttons_and_what_is_no_text_are_left_alone():
    for found in ("<h2>eps</h2>", "<button>a gate</button>", "<p title='a gate'>x</p>", "<i>drift</i>"):
        assert render.explained(found) == found
    assert render.explained("<h2>eps</h2><img><p>eps</p>").count("<button") == 1
