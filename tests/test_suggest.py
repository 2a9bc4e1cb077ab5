"""What a picture could be, before anybody wrote a label."""

import pytest

from demo_core.examples import EXAMPLES
from demo_core.labels import DEFAULT_TEMPLATE, parse_labels
from demo_core.pictures import open_picture, to_photo
from demo_core.story.suggest import COUNT, likeliest, vocabulary

KNOWN = [("cat", "tabby cat"), ("cup of coffee", "espresso"), ("lion", "lion"), ("dahlia", "dahlia")]


@pytest.mark.parametrize("title, word", KNOWN)
def test_the_right_word_is_among_the_likeliest(photo_clip, title, word):
    photo = to_photo(open_picture(next(e.path for e in EXAMPLES if e.title == title)))
    found = likeliest(photo_clip, photo, DEFAULT_TEMPLATE)
    assert len(found) == COUNT and word in found and set(found) <= set(vocabulary())
    assert parse_labels("\n".join(found)) == found  # they can be used as they are
    assert likeliest(photo_clip, photo, DEFAULT_TEMPLATE, 3) == found[:3]
