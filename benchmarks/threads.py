"""Threads of a worker: all processors for each, or a fraction for each (`TOPGRAFT_THREADS=share`).

How: two `deepaas-run` with two workers each on loopback serve the same EfficientNet-Lite0, trained for this: in one,
each worker uses as many threads as there are processors; in the other, half of that number, rounded up. Clients send
requests to one for some seconds, then to the other, repeatedly and in alternating order; the ratio is that of the
rates of such a pair.

Depends on: the number of processors and their other load. On one processor both are the same.
"""

import argparse
import contextlib
import io
import itertools
import statistics
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.clients import Answers, ask
from benchmarks.photos import draw_photo, write_photos
from benchmarks.server import Server, Upload, photo_upload, running_server
from benchmarks.tables import markdown_table
from model.synthesis.composition import Variation
from tests.support.processes import program

THREADS = ("all", "share")
ROUNDS, SECONDS = 6, 2.5
PHOTOS_IN_ZIP = 48
MODEL = "signs"

Case = tuple[str, int]
"""Content of a request, and number of concurrent clients."""

CASES: tuple[Case, ...] = (("a photo", 1), ("a photo", 4), ("a photo", 16), ("a zip", 1), ("a zip", 4))
PHOTOS_OF = {"a photo": 1, "a zip": PHOTOS_IN_ZIP}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a try: two short rounds")
    rounds, seconds = (2, 0.3) if parser.parse_args().quick else (ROUNDS, SECONDS)
    with tempfile.TemporaryDirectory() as directory:
        workspace = _workspace(Path(directory) / "workspace")
        with _running_servers(Path(directory), workspace) as servers:
            answers = _measure(servers, rounds, seconds)
    print(_table(answers))


def _workspace(home: Path) -> Path:
    (home / "models").mkdir(parents=True)
    write_photos(home / "data" / "signs", range(6))
    command = [program("topgraft"), "train", "--dataset", "signs", "--name", MODEL, "--workspace", str(home)]
    subprocess.run([*command, "--json"], check=True, stdout=subprocess.DEVNULL)
    return home


@contextlib.contextmanager
def _running_servers(directory: Path, workspace: Path) -> Iterator[dict[str, Server]]:
    with contextlib.ExitStack() as stack:
        servers = {}
        for threads in THREADS:
            (directory / threads).mkdir()
            server = running_server(
                "topgraft", directory / threads, TOPGRAFT_HOME=str(workspace), TOPGRAFT_THREADS=threads
            )
            servers[threads] = stack.enter_context(server)
        yield servers


def _measure(servers: dict[str, Server], rounds: int, seconds: float) -> dict[tuple[Case, str], Answers]:
    """Measure the responses of both servers in each case, with a rate per round."""
    photo = draw_photo("stop", 1000, 400, 500, Variation(jpeg_quality=(90, 90)))
    uploads = {"a photo": photo_upload("topgraft", photo, MODEL), "a zip": _zip_upload(photo)}
    for server in servers.values():
        ask(server, uploads["a photo"], 4, 1.0)
    answers = {(case, threads): Answers() for case, threads in itertools.product(CASES, THREADS)}
    for number, (sent, clients) in itertools.product(range(rounds), CASES):
        for threads in THREADS if number % 2 == 0 else reversed(THREADS):
            answers[(sent, clients), threads].add(ask(servers[threads], uploads[sent], clients, seconds))
    return answers


def _zip_upload(photo: bytes) -> Upload:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for number in range(PHOTOS_IN_ZIP):
            archive.writestr(f"{number}.jpg", photo)
    return photo_upload("topgraft", stream.getvalue(), MODEL)


def _table(answers: dict[tuple[Case, str], Answers]) -> str:
    rows = []
    for sent, clients in CASES:
        every, share = (answers[(sent, clients), threads] for threads in THREADS)
        ratios = [one / other for one, other in zip(share.rates, every.rates, strict=True)]
        middle, low, high = statistics.median(ratios), min(ratios), max(ratios)
        rows.append(
            [
                f"{sent}, {clients} client{'s' * (clients > 1)}",
                *(f"{one.percentile(50):.0f} ms" for one in (every, share)),
                *(f"{PHOTOS_OF[sent] * statistics.median(one.rates):.0f} /s" for one in (every, share)),
                f"{middle:.2f}x ({low:.2f} to {high:.2f})",
            ]
        )
    header = [f"two workers, photos of 500 x 400, a zip of {PHOTOS_IN_ZIP}"]
    header += ["`all`: median", "`share`: median", "`all`: photos", "`share`: photos", "`share` against `all`"]
    return markdown_table(header, rows)


if __name__ == "__main__":
    main()
