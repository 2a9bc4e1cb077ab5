"""What comes in, as it was sent. Gradio's own checks of values are put off, so that whatever cannot be used
gets one sentence of ours, in the page and through the API alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import gradio as gr
from gradio.components import Component
from gradio_client.utils import is_http_url_like
from starlette.concurrency import run_in_threadpool

from demo_core.pictures import PictureError
from demo_core.ui.fetching import PACKED, fetched, unpacked
from demo_core.ui.uploads import strip

if TYPE_CHECKING:
    from gradio.mcp import GradioMCPServer

PICTURE_LOST = (
    "The picture did not arrive: upload a file, or give an address that can be reached (https://…), or a data"
    " address (data:image/png;base64,…)."
)


def as_sent(component: Component) -> Component:
    """The component, which hands its value over unchecked: `settings.choose` checks it, in words."""
    return _handing_over(component, lambda payload: payload)


def _handing_over(component: Component, hand_over: Callable, **ways: Callable) -> Component:
    """The component, whose values come this way. Gradio makes another of it for each session that changes
    one of its properties, and Page gives it the way again. ways: other methods of it in their place."""
    component.ways = {"preprocess": hand_over, **ways}
    return _on_its_ways(component, component.ways)


def _on_its_ways(component: Component, ways: dict[str, Callable]) -> Component:
    for name, way in ways.items():
        setattr(component, name, way)
    return component


def picture_input(value: str | None = None, **options) -> gr.Image:
    """A picture input that hands over the uploaded file as it is: what cannot be read gets our own
    sentence. (A subclass would do too, but for each of these Gradio writes a file beside the source.)"""
    photo = gr.Image(value, type="filepath", image_mode=None, format="png", **options)
    as_gradio_keeps = photo.async_move_resource_to_block_cache

    def file_as_it_is(payload) -> str | None:
        if payload is None:
            return None
        if not (payload.url and payload.url.startswith(PACKED)):
            return payload.path
        path = str(unpacked(payload.url, photo.GRADIO_CACHE))
        photo.temp_files.add(path)  # which gradio deletes within the hour
        strip(path)
        return path

    async def kept(source: str | None) -> str | None:
        if is_http_url_like(str(source)):
            source = str(await fetched(str(source), photo.GRADIO_CACHE))
        if path := await as_gradio_keeps(source):  # whose files gradio deletes within the hour
            await run_in_threadpool(strip, path)
        return path

    return _handing_over(photo, file_as_it_is, async_move_resource_to_block_cache=kept)


def _as_files(given: dict, pictures: list[list]) -> dict:
    """What a client of the MCP server hands over by name, each data address in place of a picture (a path of
    names each) as programs send it: by itself, Gradio would put a raw copy of it beside our files."""
    return {
        name: {"path": None, "url": value, "meta": {"_type": "gradio.FileData"}}
        if [name] in pictures and str(value).startswith(PACKED)
        else value
        for name, value in given.items()
    }


class Page(gr.Blocks):
    """Blocks whose refusals are sentences. What is refused before a handler is called is a picture that no
    file belongs to, or a call with too few values; all else is handed over."""

    @property
    def mcp_server_obj(self) -> GradioMCPServer | None:
        return self._mcp_server

    @mcp_server_obj.setter
    def mcp_server_obj(self, server: GradioMCPServer | None) -> None:
        """Gradio sets it when the page is launched; one that does this elsewhere keeps its own way."""
        self._mcp_server = server
        if as_gradio_does := getattr(server, "convert_strings_to_filedata", None):
            server.convert_strings_to_filedata = lambda given, pictures: as_gradio_does(
                _as_files(given, pictures), pictures
            )

    def validate_inputs(self, block_fn, inputs: list) -> None:
        wanted = len(block_fn.inputs)
        if len(inputs) < wanted:
            raise gr.Error(
                f"{len(inputs)} values came and {wanted} are needed: “Use via API or MCP” at the foot of the"
                " page lists them.",
                print_exception=False,
            )

    async def preprocess_data(self, block_fn, inputs: list, state, explicit_call: bool = False) -> list:
        for block in block_fn.inputs:
            if state and hasattr(block, "ways") and block._id in state:
                _on_its_ways(state[block._id], block.ways)
        try:
            return await super().preprocess_data(block_fn, inputs, state, explicit_call)
        except gr.Error:
            raise
        except Exception as error:  # of paths, addresses, encodings and types, a kind each
            for said in (error, error.__cause__):  # gradio puts its own around some
                if isinstance(said, PictureError):
                    raise gr.Error(str(said), print_exception=False) from None
            if not any(isinstance(block, gr.Image) for block in block_fn.inputs):
                raise gr.Error(f"This cannot be used: {error}", print_exception=False) from None
            raise gr.Error(PICTURE_LOST, print_exception=False) from None
