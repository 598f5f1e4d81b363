"""Photos an hour that are sorted with the keyboard in the studio, as far as the page and its server limit it.

How: a real studio and Chromium; a model of the eight traffic signs of the demo dataset, and other photos of them
without a label: 300 small ones, and 60 of 12 megapixels. A script takes the suggestion of the model, with Enter, as
soon as the next photo is shown, or a second later, as a quick person does. The time ends when the last label is on
disk. The wait is that between the key and the frame with the next photo.

Depends on: chromium and playwright. `--quick` sorts a tenth of the photos.
"""

import dataclasses
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from benchmarks.tables import markdown_table, verdict
from model.curation.changes import add_photo
from model.curation.places import UNLABELLED, photos_in
from model.synthesis.composition import write_demo_dataset
from tests.support.browser import running_chromium
from tests.support.command import COMMAND, environment_of_tests
from tests.support.studio_server import Studio, running_studio
from tests.support.waiting import wait_until

PER_CLASS = 12
SMALL, LARGE = 300, 60
LARGE_SIZE = (4000, 3000)
SECONDS_OF_A_PERSON = 1.0
GOAL = 1000

SORT = """async ([count, pause]) => {
  const shown = () => document.querySelector(".unsorted img");
  const frame = () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
  const waits = [];
  await shown().decode();
  for (let sorted = 0; sorted < count; sorted += 1) {
    await new Promise((resolve) => setTimeout(resolve, 1000 * pause));
    const before = shown();
    const pressed = performance.now();
    document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true }));
    if (sorted + 1 === count) break;
    while (shown() === before) await frame();
    await shown().decode();
    await frame();
    waits.push(performance.now() - pressed);
  }
  return waits;
}"""


@dataclasses.dataclass(frozen=True)
class Sorted:
    """Photos that were sorted, in how many seconds, and the waits after each key in milliseconds."""

    photos: int
    seconds: float
    waits: list[float]

    @property
    def per_hour(self) -> float:
        """Photos an hour."""
        return 3600 * self.photos / self.seconds


def main(arguments: list[str]) -> None:
    """Print the table."""
    part = 10 if "--quick" in arguments else 1
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        _train(home)
        for size, count in (("of the demo dataset", SMALL // part), ("of 12 megapixels", LARGE // part)):
            for person, pause in (("at once", 0.0), ("after a second", SECONDS_OF_A_PERSON)):
                photos = count if pause == 0 else max(10, count // 5)
                measured = _sort(home, photos, pause, large="megapixels" in size)
                rows.append(_row(f"{photos} photos {size}, a key {person}", measured))
    goal = f"goal: {GOAL:,} photos an hour"
    print(markdown_table(["with Enter", "photos an hour", "median wait", "longest wait", goal], rows))


def _row(name: str, measured: Sorted) -> list[str]:
    waits = [statistics.median(measured.waits), max(measured.waits)]
    met = verdict(f"{GOAL:,}", measured.per_hour >= GOAL)
    return [name, f"{measured.per_hour:,.0f}", *(f"{wait:.0f} ms" for wait in waits), met]


def _train(home: Path) -> None:
    """A model `signs` of a dataset with a folder for each class."""
    (home / "models").mkdir()
    write_demo_dataset(home / "demo", PER_CLASS)
    (home / "data").mkdir()
    (home / "demo" / "images").rename(home / "data" / "signs")
    command = [
        *COMMAND,
        "train",
        "--workspace",
        str(home),
        "--dataset",
        "signs",
        "--name",
        "signs",
        "--preset",
        "quick",
    ]
    subprocess.run(
        command, env=environment_of_tests(home), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _sort(home: Path, count: int, pause: float, large: bool) -> Sorted:
    """Add photos without a label, start a studio, and sort all of them."""
    dataset = home / "data" / "signs"
    with tempfile.TemporaryDirectory() as directory:
        write_demo_dataset(Path(directory), -(-count // 8) + 3, seed=1)
        for number, source in enumerate(sorted(Path(directory, "images").rglob("*.jpg"))[:count]):
            if large:
                with Image.open(source) as image:
                    image.resize(LARGE_SIZE).save(source, quality=90)
            add_photo(dataset, "", source, name=f"{number}.jpg")
    with running_studio(home) as studio:
        return _sorted_in_browser(studio, dataset, count, pause)


def _sorted_in_browser(studio: Studio, dataset: Path, count: int, pause: float) -> Sorted:
    with running_chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(studio.link)
        page.wait_for_selector("#views a")
        page.goto(f"{studio.url}#try/signs")
        page.get_by_role("button", name="Start sorting").click()
        # The suggestions of the model, which are made in the background before a person has seen much.
        path = f"{studio.url}api/datasets/signs/unlabelled?model=signs"
        wait_until(lambda: page.request.get(path).json()["predicted"] >= count, 300)
        page.wait_for_function("document.querySelector('.sort-class kbd')?.parentElement.textContent.includes('%')")
        page.wait_for_timeout(3000)
        started = time.perf_counter()
        waits = page.evaluate(SORT, [count, pause])
        wait_until(lambda: not photos_in(dataset, UNLABELLED), 120)
        return Sorted(count, time.perf_counter() - started, waits)


if __name__ == "__main__":
    main(sys.argv[1:])
