"""The studio with very many photos: 40,000 thumbnails are scrolled, and 10,000 small files are uploaded.

How: a real browser, on the same computer and without a limit of the network. The files of the upload are JPEG photos of
64 x 64 pixels, so that the cost of a file shows and not that of its bytes; its time ends when the page says that all
are in the dataset, checked and with their previews.

Depends on: Chromium.
"""

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from benchmarks.studio import MAX_SERVER_MB, Row, open_page, scrolled, write_photos
from benchmarks.tables import markdown_table, verdict
from tests.support.browser import running_chromium
from tests.support.studio_server import running_studio

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SCROLLED, UPLOADED = 40_000, 10_000


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as directory, running_chromium() as browser:
        rows = [scrolled(browser, Path(directory), SCROLLED), *_uploaded(browser, Path(directory))]
    print(markdown_table(["studio", "measured", "goal"], rows))


def _uploaded(browser: "Browser", home: Path) -> list[Row]:
    """The time of an upload of many small files, and the memory of the server after it."""
    photos, workspace = home / "photos", home / "uploaded"
    for name in ("a", "b"):
        write_photos(photos / name, UPLOADED // 2, 64)
    workspace.mkdir()
    with running_studio(workspace) as studio:
        page = open_page(browser, studio)
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Choose a folder").click()
        chooser.value.set_files(photos)
        page.locator(".upload").wait_for()
        started = time.perf_counter()
        page.locator(".upload[data-state=done]").wait_for()
        seconds = time.perf_counter() - started
        server = psutil.Process(studio.process.pid)
        memory = server.memory_info().rss / 1e6
    measured = f"{seconds:.0f} s, {1000 * seconds / UPLOADED:.1f} ms each"
    return [
        (f"upload of {UPLOADED:,} small files", measured, ""),
        ("memory of the server after it", f"{memory:.0f} MB", verdict(f"{MAX_SERVER_MB} MB", memory < MAX_SERVER_MB)),
    ]


if __name__ == "__main__":
    main()
