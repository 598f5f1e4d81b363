"""A user's visit of the page, and photos of which the service says what a test needs."""

import io
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import psutil
from PIL import Image

from tests.page.photos import CLASSES, photo
from tests.support.browser import playwright
from tests.support.deepaas_server import Server
from tests.support.waiting import wait_until

DESKTOP = {"viewport": {"width": 1180, "height": 900}}

PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True, "device_scale_factor": 2}

MIN_TOUCH_TARGET = 44

QUESTIONS = "**/api/predict?*"

SECONDS_BETWEEN_CHECKS = 3

# Until something happens, on a busy machine.
SECONDS = 60

KEEP_NOTICES = """() => {
  window.noticed = [];
  const keep = ({ addedNodes }) => addedNodes.forEach((node) => noticed.push(node.textContent));
  const observer = new MutationObserver((changes) => changes.forEach(keep));
  observer.observe(document.querySelector("#notice"), { childList: true, subtree: true });
}"""


class Visit:
    """A user's visit of the page, with the errors that the browser reported."""

    def __init__(self, context: "playwright.BrowserContext", url: str) -> None:
        self.page = context.new_page()
        self.complaints: list[str] = []
        self.addresses: set[str] = set()
        self.asking = self.max_asking = 0
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._hear)
        self.page.on("request", self._begin)
        self.page.on("requestfinished", self._end)
        self.page.on("requestfailed", self._end)
        self.page.goto(url)

    def add(self, *photos: tuple[str, bytes]) -> None:
        given = [{"name": name, "mimeType": "image/jpeg", "buffer": content} for name, content in photos]
        self.page.set_input_files("#photos", given)

    def ready(self) -> None:
        self.page.wait_for_selector("#model:not([disabled])")

    def done(self, total: int) -> None:
        """Wait until all photos have their answer."""
        self.page.get_by_text(f"{total} of {total}", exact=False).first.wait_for(timeout=30_000)

    def card(self, name: str) -> "playwright.Locator":
        return self.page.locator(".card", has=self.page.locator(".file bdi", has_text=name))

    def shown(self, name: str) -> str:
        return self.card(name).locator(".best").inner_text()

    def count_questions(self) -> list[str]:
        """The names of the photos that are asked about from now on."""
        asked: list[str] = []

        def note(request: "playwright.Request") -> None:
            if "api/predict" in request.url:
                asked.extend(parse_qs(urlsplit(request.url).query)["name"])

        self.page.on("request", note)
        return asked

    def keep_notices(self) -> None:
        """Record the texts of the notice and its button from now on: it may appear and disappear between two checks."""
        self.page.evaluate(KEEP_NOTICES)

    def noticed(self) -> str:
        return "\n".join(self.page.evaluate("window.noticed"))

    def table(self) -> str:
        with self.page.expect_download() as download:
            self.page.get_by_role("button", name="Download CSV").click()
        return Path(download.value.path()).read_bytes().decode("utf-8-sig")

    def _hear(self, message: "playwright.ConsoleMessage") -> None:
        # A refused photo is an answer, which the browser reports as a failed request.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def _begin(self, request: "playwright.Request") -> None:
        self.addresses.add(request.url)
        self.asking += "api/predict" in request.url
        self.max_asking = max(self.max_asking, self.asking)

    def _end(self, request: "playwright.Request") -> None:
        self.asking -= "api/predict" in request.url


def each_class() -> list[tuple[str, bytes]]:
    return [(f"photo-{label}.jpg", photo((colour,), seed=9 + label)) for label, colour in enumerate(CLASSES.values())]


def large_photo() -> bytes:
    """A PNG that is small to send and keeps a worker busy for a second."""
    stream = io.BytesIO()
    Image.new("RGB", (8000, 8000), "red").save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def end_decoding(server: Server) -> None:
    """End the idle processes that have decoded earlier photos: the next large photo starts one."""
    for process in server.decoding_processes():
        process.kill()
    wait_until(lambda: not server.decoding_processes(), SECONDS)


def worker_with_a_large_photo(server: Server) -> psutil.Process:
    """The worker that has just started a process to decode a photo."""
    [decoding] = wait_until(server.decoding_processes, SECONDS)
    return decoding.parent()


def unknown_photo(server: Server) -> bytes:
    """A photo that is out-of-distribution: noise."""
    for seed in range(10):
        stream = io.BytesIO()
        noise = np.random.default_rng(seed).integers(0, 256, (200, 200, 3), np.uint8)
        Image.fromarray(noise).save(stream, "JPEG")
        if has_mark(server, stream.getvalue(), "odd", "unknown"):
            return stream.getvalue()
    raise AssertionError("the model claims to know noise")


def uncertain_photo(server: Server) -> bytes:
    """A photo between the classes of the model."""
    colours = list(CLASSES.values())
    for seed in range(40):
        content = photo(tuple(colours[(seed + step) % 6] for step in range(2 + seed % 5)), seed)
        if has_mark(server, content, "odd", "uncertain"):
            return content
    raise AssertionError("the model is certain of each of 40 mixtures")


def has_mark(server: Server, content: bytes, model: str, mark: str) -> bool:
    return server.predict(content, model=model).json()["predictions"][0][mark]


def hold_up_four_times(visit: Visit) -> None:
    """Let the worker of one photo be lost four times; the page's clock is paused afterwards."""

    def lose_worker(route: "playwright.Route") -> None:
        route.fulfill(status=503, headers={"Retry-After": "1"}, json={"message": "the worker was lost"})

    visit.page.clock.install(time=0)
    visit.page.reload()
    visit.ready()
    visit.page.clock.pause_at(60)
    visit.page.route(QUESTIONS, lose_worker)
    asked = visit.count_questions()
    visit.add(each_class()[0])
    pass_time(visit.page, lambda: len(asked) == 4)
    playwright.expect(visit.page.locator("#notice")).to_be_visible()


def pass_time(page: "playwright.Page", until: Callable[[], bool]) -> None:
    """Advance the page's clock from check to check."""

    def advances() -> bool:
        page.clock.run_for(1000 * SECONDS_BETWEEN_CHECKS)
        return until()

    wait_until(advances, 15)


def drop(page: "playwright.Page", path: Path) -> None:
    """Drag a file or folder of the disk onto the page, as a person does."""
    devtools = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        devtools.send("Input.dispatchDragEvent", {"type": kind, "x": 600, "y": 250, "data": data})


def tab_to(page: "playwright.Page", name: str, key: str = "Tab") -> None:
    """Press a key until the element of that id or class has the focus, which must be seen."""
    for _ in range(15):
        page.keyboard.press(key)
        found, outline = page.evaluate(
            "name => [document.activeElement.id === name || document.activeElement.classList.contains(name),"
            " getComputedStyle(document.activeElement).outlineStyle]",
            name,
        )
        if found:
            assert outline == "solid", name
            return
    raise AssertionError(f"the keyboard does not reach {name}")
