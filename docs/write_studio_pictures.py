"""Take the pictures of the studio in docs/images/ again, with the photos of the demo. It takes about a minute.

Run `python -m docs.write_studio_pictures` after changing the studio. It needs Chromium, as the tests in a browser do.
"""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from model.synthesis.composition import write_demo_dataset
from tests.studio.visit import Visit
from tests.support.browser import playwright, running_chromium
from tests.support.studio_server import running_studio

if TYPE_CHECKING:
    from playwright.sync_api import Page

IMAGES = Path(__file__).parent / "images"
DATASET, MODEL = "traffic-signs", "signs"
SIZE = {"width": 1180, "height": 820}
# Views besides Training, with what they show once they are complete.
VIEWS = {"photos": ".conclusion", "result": "iframe, table, svg", "try": "button", "share": "button"}
_MILLISECONDS, _MILLISECONDS_TO_DRAW = 120_000, 1500


def main() -> None:
    """Train a model in the studio, and take a picture of each view."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        write_demo_dataset(home / "demo")
        (home / "data").mkdir()
        # A folder for each class, which the studio can change.
        (home / "demo" / "images").rename(home / "data" / DATASET)
        with running_studio(home) as studio, running_chromium() as browser:
            visit = Visit(browser, studio, viewport=SIZE, device_scale_factor=1)
            visit.context.set_default_timeout(_MILLISECONDS)
            _train(visit.open(f"training/{DATASET}"))
            for view, complete in VIEWS.items():
                page = visit.open(f"{view}/{DATASET if view == 'photos' else MODEL}")
                page.wait_for_selector(f"main :is({complete})")
                if view == "try":
                    page.set_input_files("main input[type=file]", next((home / "data" / DATASET).rglob("*.jpg")))
                    page.wait_for_selector(".similar img")
                page.wait_for_timeout(_MILLISECONDS_TO_DRAW)
                _take(page, view)


def _train(page: "Page") -> None:
    """Train, with a picture of the learning."""
    page.get_by_text("More options").click()
    page.locator("#option-name").fill(MODEL)
    page.get_by_text("More options").click()
    page.get_by_role("button", name="Train", exact=True).click()
    page.wait_for_selector(".training polyline")
    page.set_viewport_size(SIZE | {"height": 1130})
    _take(page, "training")
    playwright.expect(page.locator(".training-state")).to_contain_text("trained", timeout=_MILLISECONDS)


def _take(page: "Page", view: str) -> None:
    page.screenshot(path=IMAGES / f"studio-{view}.png")


if __name__ == "__main__":
    main()
