"""Start the demo:  python app.py"""

from __future__ import annotations

import signal

from demo_core.models import DEFAULT_MODEL
from demo_core.ui import handlers, lab, theme

page = lab.build()

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C: visitors' files go
    handlers.model(DEFAULT_MODEL)  # so that the first visitor does not wait for it
    page.queue(default_concurrency_limit=4).launch(**theme.launch_options())
