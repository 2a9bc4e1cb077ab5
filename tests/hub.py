"""What stands in for a network: the table's architectures made small, their weights at random as the hub's
cache has them, and a hub that answers on this machine."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import open_clip
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from demo_core.models import MODELS
from demo_core.open_clips import HUB, ModelRow
from demo_core.weights import CONFIG_FILE, HUB_FILES

COMMIT = "0" * 40
SMALL_TEXT = {"width": 32, "heads": 2, "layers": 1}


def shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    """Meanwhile every architecture of the table is narrow and flat; all else of it stays."""
    for name in {row.open_clip_name for row in MODELS.values() if row.open_clip_name}:
        config = deepcopy(open_clip.factory._MODEL_CONFIGS[name])
        seen = config["vision_cfg"]
        if "timm_model_name" in seen:
            seen["timm_model_name"], config["embed_dim"] = "vit_tiny_patch16_224", 192
        elif isinstance(seen["layers"], list):
            seen |= {"layers": [1, 1, 1, 1], "width": 8}
        else:
            seen |= {"layers": 1, "width": 64, "head_width": 32}
        config["text_cfg"] |= SMALL_TEXT
        if "timm_model_name" in seen:
            config["text_cfg"] |= {"width": 192, "vocab_size": 49408}
        monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, name, config)


def random_model(row: ModelRow, seed: int = 0) -> nn.Module:
    """The row's architecture at random weights."""
    torch.manual_seed(seed)
    return open_clip.create_model(row.open_clip_name, load_weights=False).eval()


def fill_cache(cache: Path, row: ModelRow, model: nn.Module, file: str = HUB_FILES[0]) -> Path:
    """Put the weights into a hub's cache, in its layout; gives the file's path there."""
    home = cache / f"models--{row.repository.replace('/', '--')}"
    snapshot = home / "snapshots" / COMMIT
    for folder in (snapshot, home / "blobs", home / "refs"):
        folder.mkdir(parents=True, exist_ok=True)
    (home / "refs" / "main").write_text(COMMIT)
    write(model, home / "blobs" / "weights", file)
    (snapshot / file).symlink_to("../../blobs/weights")
    if row.pretrained.startswith(HUB):
        (snapshot / CONFIG_FILE).write_text(description(row))
    return snapshot / file


def write(model: nn.Module, path: Path, name: str | None = None) -> None:
    """A model's state dict in the format that the name says."""
    if (name or path.name).endswith(".safetensors"):
        save_file({n: v.contiguous() for n, v in model.state_dict().items()}, path)
    else:
        torch.save(model.state_dict(), path)


def description(row: ModelRow) -> str:
    """The architecture as a repository of the hub describes it."""
    import json

    return json.dumps({"model_cfg": open_clip.get_model_config(row.open_clip_name), "preprocess_cfg": {}})


class Hub:
    """Files by `repository/name`; breaks: how many downloads end in the middle before one does not. asked:
    what was downloaded, in order. pause: seconds between two quarters of a file."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.breaks, self.asked, self.pause = 0, list[str](), 0.0


@contextmanager
def serving() -> Iterator[tuple[Hub, str]]:
    """A hub on this machine, and its address."""
    hub = Hub()

    class Answer(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._found(send=False)

        def do_GET(self) -> None:
            self._found(send=True)

        def _found(self, send: bool) -> None:
            name = self.path.strip("/").replace("/resolve/main/", "/").split("?")[0]
            body = hub.files.get(name)
            self.send_response(200 if body is not None else 404)
            self.send_header("X-Repo-Commit", COMMIT)
            if body is None:
                self.send_header("X-Error-Code", "EntryNotFound")
                self.send_header("Content-Length", "0")
                return self.end_headers()
            self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if send:
                hub.asked.append(name)
                half = hub.breaks > 0
                hub.breaks -= half
                self._sent(body[: len(body) // 2] if half else body)
                self.close_connection = True
            return None

        def _sent(self, body: bytes) -> None:
            quarter = len(body) // 4 if hub.pause else len(body)
            for start in range(0, len(body), max(quarter, 1)):
                self.wfile.write(body[start : start + quarter])
                self.wfile.flush()
                time.sleep(hub.pause)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def hub_here(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[Hub]:
    """Meanwhile the hub is a server on this machine, and its cache is that folder."""
    constants = huggingface_hub.constants
    with serving() as (hub, endpoint):
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
        monkeypatch.setattr(huggingface_hub.file_download, "_DEFAULT_RETRY_ON_EXCEPTIONS", (), raising=False)
        yield hub
