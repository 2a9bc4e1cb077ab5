"""What comes in, as it was sent. Gradio's own checks of values are put off, so that whatever cannot be used
gets one sentence of ours, in the page and through the API alike."""

from __future__ import annotations

import gradio as gr
from gradio.components import Component

PICTURE_LOST = (
    "The picture did not arrive: upload a file, or give an address that can be reached (https://…), or a data"
    " address (data:image/png;base64,…)."
)


def as_sent(component: Component) -> Component:
    """The component, which hands its value over unchecked: `settings.choose` checks it, in words."""
    component.preprocess = lambda payload: payload
    return component


def picture_input(value: str | None = None, **options) -> gr.Image:
    """A picture input that hands over the uploaded file as it is: what cannot be read gets our own
    sentence. (A subclass would do too, but for each of these Gradio writes a file beside the source.)"""
    photo = gr.Image(value, type="filepath", image_mode=None, format="png", **options)
    as_gradio_does = photo.preprocess

    def file_as_it_is(payload) -> str | None:
        if payload is None or (payload.url and payload.url.startswith("data:")):
            return as_gradio_does(payload)
        return payload.path

    photo.preprocess = file_as_it_is
    return photo


class Page(gr.Blocks):
    """Blocks whose refusals are sentences. What is refused before a handler is called is a picture that no
    file belongs to, or a call with too few values; all else is handed over."""

    def validate_inputs(self, block_fn, inputs: list) -> None:
        wanted = len(block_fn.inputs)
        if len(inputs) < wanted:
            raise gr.Error(
                f"{len(inputs)} values came and {wanted} are needed: “Use via API or MCP” at the foot of the"
                " page lists them.",
                print_exception=False,
            )

    async def preprocess_data(self, *given, **named) -> list:
        try:
            return await super().preprocess_data(*given, **named)
        except gr.Error:
            raise
        except Exception:  # of paths, addresses, encodings and types, a kind each
            raise gr.Error(PICTURE_LOST, print_exception=False) from None
