"""What comes in is handed over as it was sent, also once the page has changed the parts of a session."""

import asyncio
import base64
from pathlib import Path

import gradio as gr
import pytest
from gradio.mcp import GradioMCPServer
from gradio.state_holder import SessionState

from demo_core.examples import EXAMPLES
from demo_core.limits import Limits
from demo_core.ui import fetching, uploads
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


CODED = "data:image/png;base64," + base64.b64encode(Path(EXAMPLES[1].path).read_bytes()).decode()


def simple():
    with Page() as page:
        parts = [picture_input(), gr.Slider(0, 16), gr.Textbox()]
        gr.Button().click(lambda *given: given, parts, None)
    return page


def test_the_file_of_a_data_address_is_one_of_those_that_go_within_the_hour(tmp_path, monkeypatch):
    monkeypatch.setenv(uploads.FOLDER_VARIABLE, str(tmp_path))
    page = simple()
    picture = {"path": None, "url": CODED, "meta": {"_type": "gradio.FileData"}}
    path, *_ = handed(page, (picture, 1, "a"), SessionState(page))
    assert Path(path).exists() and any(path in files for files in page.temp_file_sets)


def test_a_data_address_is_refused_where_an_address_of_as_much_is(tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "MOST", len(CODED) * 3 // 4 - 20)
    page = simple()
    picture = {"path": None, "url": CODED, "meta": {"_type": "gradio.FileData"}}
    with pytest.raises(gr.Error, match="at this address has over 50 megabytes: give a smaller one"):
        handed(page, (picture, 1, "a"), SessionState(page))
    monkeypatch.setattr(fetching, "MOST", len(CODED))
    assert handed(page, (picture, 1, "a"), SessionState(page))[1:] == [1, "a"]


def test_an_mcp_client_hands_a_data_address_over_as_programs_do():
    """Of its pictures alone, and before gradio could put the file somewhere."""
    page = simple()
    page.mcp_server_obj = GradioMCPServer(page)
    given = {"picture": CODED, "other": "https://pictures.example/cat.png", "labels": "data:,a cat", "eps": 4}
    found = page.mcp_server_obj.convert_strings_to_filedata(given, [["picture"], ["other"]])
    assert found["picture"] == {"path": None, "url": CODED, "meta": {"_type": "gradio.FileData"}}
    assert found["other"]["url"] == given["other"] and found["labels"] == "data:,a cat" and found["eps"] == 4


@pytest.mark.parametrize(
    "sent", [{"path": "https://pictures.example/cat.png"}, {"path": None, "url": CODED}], ids=["http", "data"]
)
def test_files_that_come_by_address_need_room_too(sent, tmp_path, monkeypatch):
    monkeypatch.setenv(uploads.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr(uploads, "LIMITS", Limits(uploads_megabytes=1))
    (tmp_path / "of others").write_bytes(bytes(1_000_001))
    page = simple()
    picture = sent | {"meta": {"_type": "gradio.FileData"}}
    with pytest.raises(gr.Error, match="There is no room for more pictures now: try again in an hour"):
        handed(page, (picture, 1, "a"), SessionState(page))
    assert [path.name for path in tmp_path.iterdir()] == ["of others"]
