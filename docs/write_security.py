"""Write the table of docs/security.md from the tricks that the tests play. Run it after changing them."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from model import durable  # noqa: E402
from tests.api.url_tricks import GROUPS, TRICKS, Trick  # noqa: E402

PAGE = Path(__file__).with_name("security.md")
BEGIN = "<!-- begin tricks: written by docs/write_security.py, do not edit -->\n"
END = "<!-- end tricks -->\n"
MOST_SHOWN = 64


def security_page() -> str:
    """The whole page as it is, with the table as it should be."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    return before + BEGIN + _tables() + END + rest.partition(END)[2]


def _tables() -> str:
    parts = [f"\n{len(TRICKS)} tricks; `PORT` is that of a server on the same machine, which counts who reaches it.\n"]
    for title, tricks in GROUPS.items():
        parts.append(f"\n### {title}\n\n| trick | URL | answer |\n|---|---|---|\n")
        parts.extend(f"| {trick.name} | {_code(trick.url)} | {_outcome(trick)} |\n" for trick in tricks)
    return "".join([*parts, "\n"])


def _code(url: str) -> str:
    shown = (url if len(url) <= MOST_SHOWN else f"{url[:MOST_SHOWN]}...").replace("{port}", "PORT")
    if not (shown.isascii() and shown.isprintable()):
        shown = shown.encode("unicode_escape").decode()
    return f"`{shown}`"


def _outcome(trick: Trick) -> str:
    return "200, the photo" if trick.status == 200 else f"{trick.status}: ... {trick.message} ..."


if __name__ == "__main__":
    durable.write_text(PAGE, security_page())
