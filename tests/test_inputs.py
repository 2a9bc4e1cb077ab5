"""What comes in is handed over as it was sent, also once the page has changed the parts of a session."""

import asyncio

import gradio as gr
import pytest
from gradio.state_holder import SessionState

from demo_core.ui.inputs import PICTURE_LOST, Page, as_sent, picture_input


@pytest.fixture
def page():
    with Page() as built:
        parts = [picture_input(), as_sent(gr.Slider(0, 16)), as_sent(gr.Dropdown(["a", "b"]))]
        gr.Button().click(lambda *given: given, parts, None)
    return built


def handed(page, sent, state):
    fn = next(fn for fn in page.fns.values() if len(fn.inputs) == 3)
    return asyncio.run(page.preprocess_data(fn, list(sent), state, explicit_call=True))


def test_values_are_not_checked_before_ours_are(page):
    sent = (None, "much", ["no choice"])
    state = SessionState(page)
    assert handed(page, sent, state) == [None, "much", ["no choice"]]
    for block in next(fn for fn in page.fns.values() if len(fn.inputs) == 3).inputs:
        state[block._id] = type(block)(**block.constructor_args)  # as gradio does where a property changes
    assert handed(page, sent, state) == [None, "much", ["no choice"]]


def test_what_no_file_belongs_to_gets_a_sentence(page):
    with pytest.raises(gr.Error, match="The picture did not arrive") as refused:
        handed(page, (5, 1, "a"), SessionState(page))
    assert refused.value.message == PICTURE_LOST
    with pytest.raises(gr.Error, match="1 values came and 3 are needed"):
        handed(page, (None,), SessionState(page))
