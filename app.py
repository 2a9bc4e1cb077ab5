"""Start the demo:  python app.py"""

from __future__ import annotations

from demo_core.ui import lab

page = lab.build()

if __name__ == "__main__":
    lab.model(lab.DEFAULT_MODEL)  # so that the first visitor does not wait for it
    page.queue(default_concurrency_limit=4).launch(**lab.launch_options())
