import socket

import gradio as gr
import pytest
from gradio import http_server, networking

from demo_core.ui import address


@pytest.fixture(autouse=True)
def as_installed(monkeypatch):
    """The variables, and what Gradio has read of them, as they were."""
    monkeypatch.setattr(http_server, "LOCALHOST_NAME", "127.0.0.1")
    for name in (address.NAME, "NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")


@pytest.mark.parametrize("name", ["::1", "[::1]"])
def test_the_page_listens_on_an_ipv6_address(name, monkeypatch):
    monkeypatch.setenv(address.NAME, name)
    monkeypatch.setattr(http_server, "LOCALHOST_NAME", name)
    with gr.Blocks() as page, address.listening() as where:
        page.launch(prevent_thread_lock=True, quiet=True, **where)
    try:
        assert networking.url_ok(page.local_url) and page.local_url.startswith("http://[::1]:")
    finally:
        page.close()


def test_where_no_port_can_be_had_one_sentence_says_what_to_do(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(http_server, "INITIAL_PORT_VALUE", port)
        monkeypatch.setattr(http_server, "TRY_NUM_PORTS", 1)
        with pytest.raises(
            SystemExit, match=f"Port {port} is taken: name another port in {address.PORT}\\.$"
        ):
            with gr.Blocks() as page, address.listening() as where:
                page.launch(prevent_thread_lock=True, quiet=True, **where)


def test_another_error_is_not_told_as_a_port_that_is_taken():
    with pytest.raises(OSError, match="disk"), address.listening():
        raise OSError("the disk is full")


def test_the_page_is_found_past_a_proxy(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with gr.Blocks() as page, address.listening() as where:
        page.launch(prevent_thread_lock=True, quiet=True, **where)  # refuses where it does not find itself
    page.close()
