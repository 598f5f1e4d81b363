"""A user's visit of the studio in a real browser, and what every view must keep to."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tests.support.studio_server import Studio

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 780}, "is_mobile": True, "has_touch": True}
WIDE: dict[str, Any] = {"viewport": {"width": 2560, "height": 1300}}
MIN_TARGET = 44

# Visible controls that are smaller than a finger; links inside sentences are not.
SMALL_TARGETS = """least => [...document.querySelectorAll('button, summary, select, nav a, input:not([type=radio])')]
  .filter(item => item.checkVisibility() && item.getBoundingClientRect().height < least - 0.5)
  .map(item => item.outerHTML.slice(0, 120))"""


class Visit:
    """One browser with a session. `complaints`: what the browser reported: errors, and violations of the policy."""

    def __init__(self, browser: "Browser", studio: Studio, **options: Any) -> None:
        self.context = browser.new_context(**{**DESKTOP, **options})
        self.context.set_default_timeout(20_000)
        self.studio = studio
        self.complaints: list[str] = []
        cookies = studio.session().cookies.get_dict()
        self.context.add_cookies([{"name": name, "value": value, "url": studio.url} for name, value in cookies.items()])

    def open(self, view: str) -> "Page":
        """A new tab with a view."""
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda message: self._hear(message.type, message.text))
        page.goto(f"{self.studio.url}#{view}")
        page.wait_for_selector("main h1")
        return page

    def _hear(self, kind: str, text: str) -> None:
        # A request that is refused, or that finds no server, is part of some tests.
        if kind == "error" and "Failed to load resource" not in text and "ERR_" not in text:
            self.complaints.append(text)


@contextlib.contextmanager
def visiting(browser: "Browser", studio: Studio, **options: Any) -> Iterator[Visit]:
    """A visit about which the browser has nothing to complain."""
    visit = Visit(browser, studio, **options)
    yield visit
    visit.context.close()
    assert visit.complaints == []


def assert_fits(page: "Page") -> None:
    """Nothing is cut off at the right, and no control is too small for a finger."""
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert page.evaluate(SMALL_TARGETS, MIN_TARGET) == []
