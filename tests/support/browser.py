"""A real browser, and the operations of Swagger UI in it."""

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

playwright: Any = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@contextlib.contextmanager
def running_chromium(*flags: str) -> "Iterator[Browser]":
    """A browser without a window, with further flags; skips the test where Chromium is not installed."""
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=[*FLAGS, *flags])
        try:
            yield browser
        finally:
            browser.close()


class Operation:
    """One operation of the page, opened to be tried out."""

    def __init__(self, page: "Page", method: str, path: str) -> None:
        self.page = page
        self.block = page.locator(f".opblock-{method}", has=page.locator(f'[data-path="/v2/models/topgraft/{path}"]'))
        self.block.locator(".opblock-summary").click()
        self.block.get_by_role("button", name="Try it out").click()

    def row(self, name: str) -> "Locator":
        return self.block.locator(f'tr[data-param-name="{name}"]')

    def fill(self, name: str, value: str) -> None:
        self.row(name).locator("input").fill(value)

    def select(self, name: str, value: str) -> None:
        self.row(name).locator("select").select_option(value)

    def execute(self) -> int:
        """Send the request; the status of the answer."""
        with self.page.expect_response(re.compile("/v2/models/topgraft/")) as answered:
            self.block.get_by_role("button", name="Execute").click()
        self.block.locator(".live-responses-table").wait_for()
        return answered.value.status

    def answer(self) -> dict[str, object]:
        text = self.block.locator(".live-responses-table .response-col_description code").first.inner_text()
        return json.loads(text)

    def close(self) -> None:
        self.block.locator(".opblock-summary").click()
