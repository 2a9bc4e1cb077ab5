"""Start the demo:  python app.py"""

from __future__ import annotations

import argparse
import atexit
import os
import signal

from demo_core.device import DeviceError, chosen
from demo_core.models import CHECKPOINT_VARIABLE, DEFAULT_MODEL, ModelUnavailable, add_checkpoint
from demo_core.ui import address, lab, theme, uploads, visits
from demo_core.ui.host import HOST, chosen_by_host

if __name__ == "__main__":
    options = argparse.ArgumentParser(
        description="The demo. Where it listens is told to Gradio by its own variables."
    )
    options.add_argument(
        "--checkpoint",
        default=os.environ.get(CHECKPOINT_VARIABLE),
        help="a file with a fine-tuned image tower, to be offered beside the models of the table"
        f" (default: ${CHECKPOINT_VARIABLE})",
    )
    options.add_argument(
        "--model", help="the model that it was fine-tuned from, where its shapes do not say so"
    )
    given = options.parse_args()
    try:
        if given.checkpoint:
            add_checkpoint(given.checkpoint, given.model)
        hosted = chosen_by_host()
        print(chosen(), flush=True)
    except (ModelUnavailable, DeviceError) as refused:
        raise SystemExit(str(refused)) from None
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as after Ctrl-C, in order
    atexit.register(uploads.clear)
    page = lab.build()
    visits.model(DEFAULT_MODEL)  # so that the first visitor does not wait for it
    if hosted != DEFAULT_MODEL:
        HOST.bring(hosted, visits.model)
    with address.listening() as where:
        page.queue(default_concurrency_limit=4).launch(**theme.launch_options(), **where)
