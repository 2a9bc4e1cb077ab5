"""Start the demo:  python app.py"""

from __future__ import annotations

import argparse
import atexit
import signal

from demo_core.device import chosen
from demo_core.models import DEFAULT_MODEL, REFUSALS, add_model_options, named_model
from demo_core.ui import address, lab, theme, uploads, visits
from demo_core.ui.host import HOST, chosen_by_host

if __name__ == "__main__":
    options = argparse.ArgumentParser(
        description="The demo. Where it listens is told to Gradio by its own variables."
    )
    add_model_options(options)
    given = options.parse_args()
    try:
        hosted = named_model(given) or chosen_by_host()
        print(chosen(), flush=True)
    except REFUSALS as refused:
        raise SystemExit(str(refused)) from None
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as after Ctrl-C, in order
    atexit.register(uploads.clear)
    page = lab.build()
    visits.model(DEFAULT_MODEL)  # so that the first visitor does not wait for it
    if hosted != DEFAULT_MODEL:
        HOST.bring(hosted, visits.model)
    with address.listening() as where:
        page.queue(default_concurrency_limit=4).launch(**theme.launch_options(), **where)
