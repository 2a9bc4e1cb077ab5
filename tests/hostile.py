"""What nobody should send and somebody does: pools of it, and how an endpoint is called with it, beside the
page's own ways. As a campaign against a running demo:

    python -m tests.hostile http://127.0.0.1:7860 --count 1000 --seed 0
"""

from __future__ import annotations

import argparse
import json
import random
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path

from demo_core.examples import EXAMPLES
from demo_core.story.settings import SETTINGS
from demo_core.ui.api import OF_A_DEFENCE, OF_ALL_DEFENCES, OF_AN_ATTACK

ENDPOINTS = {
    "attack": OF_AN_ATTACK,
    "counterattack": OF_A_DEFENCE,
    "arena": OF_ALL_DEFENCES,
    "suspect": OF_A_DEFENCE,
}
CHEAP = {"labels": "cat\ndog", "steps": 1}  # what else is computed must not take long
PICTURES: tuple[object, ...] = (
    None,
    "",
    "abc",
    5,
    [],
    {},
    {"path": "/etc/passwd"},
    {"path": "../../etc/passwd"},
    {"path": "", "url": "http://127.0.0.1:1/picture.png"},
    {"path": "", "url": "file:///etc/passwd"},
    {"path": "", "url": "data:image/png;base64,aaaa"},
    {"path": "", "url": "data:text/html,<b>"},
    {"path": None, "url": None},
)
NUMBERS: tuple[object, ...] = (
    float("nan"),
    float("inf"),
    -float("inf"),
    1e308,
    -1,
    0,
    2.5,
    10**30,
    "",
    "much",
    "٣",
    None,
    [],
    [1],
    {},
    {"a": 1},
)
TEXTS: tuple[object, ...] = (
    "",
    " ",
    "cat",
    "\ufeffcat\ndog",
    "cat\nca\u200bt",
    "cat\nd\ud800g",
    "猫\n狗",
    "🐱\n🐶",
    "кошка\nсобака",
    "cat\n" + "x" * 100_000,
    "\n".join(map(str, range(2000))),
    "cat\n" + "word " * 60,
    "<img src=x onerror=alert(1)>\n<b>",
    "<\n&lt;",
    "cat\0dog\ndog",
    ["cat", "dog"],
    [["cat"], 5],
    5,
    True,
    {},
    "{}{}",
    "{0}",
    "%s {} " * 100,
)


def pool_of(name: str) -> tuple[object, ...]:
    """What is tried of an argument."""
    row = SETTINGS[name]
    return TEXTS + NUMBERS if row.kind is str or row.rows or row.kind is bool else NUMBERS + TEXTS[:4]


def upload(server: str, path: str | Path) -> dict:
    """A file on the server, as an argument."""
    head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="p"\r\n\r\n'
    body = head + Path(path).read_bytes() + b"\r\n--b--\r\n"
    request = urllib.request.Request(
        f"{server}/gradio_api/upload", body, {"Content-Type": "multipart/form-data; boundary=b"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return {"path": json.load(answer)[0], "meta": {"_type": "gradio.FileData"}}


@contextmanager
def asked(server: str, name: str, data: list) -> Iterator[HTTPResponse]:
    """The stream of what an endpoint answers."""
    address = f"{server}/gradio_api/call/{name}"
    request = urllib.request.Request(
        address, json.dumps({"data": data}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        event = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{address}/{event}", timeout=600) as stream:
        yield stream


def last_of(stream: HTTPResponse) -> tuple[bool, object]:
    """Whether the endpoint answered, and with what: its last data, or what it says was wrong."""
    *_, kind, data = [line.decode() for line in stream if line.strip()]
    found = json.loads(data.removeprefix("data: "))
    return ("complete" in kind, found if "complete" in kind else found["error"])


def call(server: str, name: str, data: list) -> tuple[bool, object]:
    with asked(server, name, data) as stream:
        return last_of(stream)


def given(name: str, picture: object, **changes: object) -> list:
    """The arguments of an endpoint, by position."""
    values = {key: SETTINGS[key].default for key in ENDPOINTS[name]} | CHEAP | changes
    return [picture, *(values[key] for key in ENDPOINTS[name])]


def campaign(server: str, count: int, seed: int, files: list[Path]) -> Iterator[tuple[list, bool, object]]:
    """What was sent, whether it was answered, and the answer; each call has one to three wrong things."""
    dice = random.Random(seed)
    good = upload(server, EXAMPLES[1].path)
    for _ in range(count):
        name = dice.choice([*ENDPOINTS, "attack", "suspect"])
        names = dice.sample(ENDPOINTS[name], dice.randint(0, 2))
        changes = {key: dice.choice(pool_of(key)) for key in names}
        picture = dice.choice([good, good, *PICTURES])
        if files and dice.random() < 0.3:
            picture = upload(server, dice.choice(files))
        sent = given(name, picture, **changes)
        if dice.random() < 0.05:
            sent = sent[: dice.randint(0, len(sent) - 1)]
        yield [name, *sent], *call(server, name, sent)


def is_sentence(said: object) -> bool:
    """One sentence for a person: no traceback, no name of a class, not empty."""
    return (
        isinstance(said, str) and 10 < len(said) < 400 and said.endswith((".", "”")) and "Error" not in said
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("server")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--files", type=Path, help="a folder of special files to upload, too")
    options = parser.parse_args()
    files = [path for path in options.files.rglob("*") if path.is_file()] if options.files else []
    found: Counter[str] = Counter()
    for sent, answered, said in campaign(options.server.rstrip("/"), options.count, options.seed, files):
        kind = "answered" if answered else "a sentence" if is_sentence(said) else "no sentence"
        found[kind] += 1
        if kind == "no sentence":
            print(str(sent)[:300], "->", said)
    print(f"seed {options.seed}: " + ", ".join(f"{kind} {n}" for kind, n in found.most_common()))
    raise SystemExit(found["no sentence"] > 0)


if __name__ == "__main__":
    main()
