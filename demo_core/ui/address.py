"""Where the page listens, as Gradio's own variables say, also where Gradio by itself stumbles over them; and
what of it is asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from gradio import http_server
from starlette.types import Scope

NAME, PORT = "GRADIO_SERVER_NAME", "GRADIO_SERVER_PORT"
UNPROXIED = "localhost,127.0.0.1,::1"  # Gradio asks its own page whether it is there, before it goes on


@contextmanager
def listening() -> Iterator[dict[str, str]]:
    """What launch() is to be given. Where no port can be had the program ends, with one sentence."""
    name = os.environ.get(NAME, "").strip("[]")
    for variable in ("NO_PROXY", "no_proxy"):
        os.environ[variable] = ",".join(filter(None, (os.environ.get(variable), UNPROXIED)))
    if ":" in name:  # of IPv6, which the socket that Gradio looks for a free port with does not know
        http_server.LOCALHOST_NAME = "0.0.0.0"
    try:
        yield {"server_name": f"[{name}]"} if ":" in name else {}
    except OSError as error:
        if "empty port" not in str(error):
            raise
        first, last = http_server.INITIAL_PORT_VALUE, http_server.TRY_NUM_PORTS - 1
        ports = f"Ports {first} to {first + last} are" if last else f"Port {first} is"
        wrong = f", or {name} is no address of this machine" if name else ""
        right = f", or another address in {NAME}" if name else ""
        raise SystemExit(f"{ports} taken{wrong}: name another port in {PORT}{right}.") from None


def path_of(scope: Scope) -> str:
    """The asked path, without the prefix that a proxy may have put before it."""
    return str(scope["path"]).removeprefix(scope.get("root_path", "").rstrip("/"))
