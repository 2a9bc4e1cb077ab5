"""Start the demo:  python app.py"""

from __future__ import annotations

import atexit
import signal

from demo_core.models import DEFAULT_MODEL
from demo_core.ui import handlers, lab, theme, uploads

page = lab.build()

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as after Ctrl-C, in order
    atexit.register(uploads.clear)
    handlers.model(DEFAULT_MODEL)  # so that the first visitor does not wait for it
    page.queue(default_concurrency_limit=4).launch(**theme.launch_options())
