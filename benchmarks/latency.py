"""Latency of each backbone by processing step, and throughput with several clients.

How: one `deepaas-run` with two workers on loopback serves a model for each backbone, once with ONNX Runtime and once
with TensorFlow (the same bundle with `engine: keras`). A second server returns a constant, which measures DEEPaaS and
HTTP alone. 1, 4 and 16 clients send requests for some seconds, and until there are a hundred responses, to the servers
in turn, with a 500 x 400 and with a 3,000 x 2,000 JPEG; connections are kept alive. Without a server, alternating in
several rounds: the bare call of ONNX Runtime with the session of a worker, at the better of two batch sizes; decoding;
and a batch of photos through the library. The rest of the plug-in is the difference between the whole response and the
parts; the parts are measured alone, so it is negative if they are slower alone. Backbones whose weights are not
installed have random ones, which take the same time.

Depends on: the processors (the workers, the server and the clients share them) and their other load.
"""

import argparse
import contextlib
import dataclasses
import io
import itertools
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil

from benchmarks import bare_network
from benchmarks.bare_network import Bare, median_seconds
from benchmarks.clients import MIN_FOR_P99, Answers, ask, pooled
from benchmarks.photos import draw_photo, write_photos
from benchmarks.server import CONSTANT, Upload, photo_upload, running_server, send
from benchmarks.tables import markdown_table, verdict
from model.bundle import open_bundle, write_manifest
from model.bundle_files import ONNX_MODEL
from model.synthesis.composition import Variation
from tests.support.processes import MEGABYTE, in_fresh_process, program

FIGURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "latency.png"
CLIENTS = (1, 4, 16)
PHOTOS = {"500 x 400": (400, 500), "3,000 x 2,000": (2000, 3000)}
IN_BATCH = "500 x 400"
BATCH = 192
CONSTANT_ANSWER, BY_ONNX, BY_TENSORFLOW = "constant", "ONNX Runtime", "TensorFlow"
OVERHEAD_GOAL, BATCH_GOAL, MEMORY_GOAL = 15.0, 0.85, 250.0
# Okabe and Ito, 2008: distinguishable for the colour-blind.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")
PARTS = ("HTTP and DEEPaaS", "decoding and resizing", "network", "the rest of the plug-in")


@dataclasses.dataclass(frozen=True)
class Case:
    """A network that is served.

    Attributes:
        name: name of the model, with -float32 or -int8.
        weights: `none` if they would have to be downloaded.
    """

    backbone: str
    precision: str = "float32"
    weights: str = "imagenet"

    @property
    def name(self) -> str:
        """Name of the model."""
        return f"{self.backbone}-{self.precision}"

    @property
    def title(self) -> str:
        """Title in a table."""
        return self.backbone + (", int8" if self.precision == "int8" else "")


CASES = (
    Case("EfficientNetLite0"),
    Case("EfficientNetLite0", "int8"),
    Case("EfficientNetLite1"),
    Case("EfficientNetLite2"),
    Case("MobileNetV3Large", weights="none"),
    Case("EfficientNetV2B0", weights="none"),
)


@dataclasses.dataclass(frozen=True)
class Size:
    """Numbers of requests, rounds and clients of the measurement.

    Attributes:
        rounds: rounds for each number of clients, servers in turn.
        seconds: duration of a round, extended until there are `min_answers` answers, to at most `max_seconds`.
        bare_rounds: rounds of calls without a server, each with `bare_count` photos.
    """

    rounds: int = 2
    seconds: float = 2.0
    min_answers: int = MIN_FOR_P99 // 2
    max_seconds: float = 15.0
    bare_rounds: int = 5
    bare_count: int = BATCH


QUICK = Size(rounds=1, seconds=0.3, min_answers=4, max_seconds=2.0, bare_rounds=2, bare_count=32)

Key = tuple[Case, str, str, int]
"""Key of a measurement: case, engine, photo, number of clients."""


def main() -> None:
    """Print the tables and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=len(CASES), help="how many backbones, from the first")
    parser.add_argument("--quick", action="store_true", help="a try: as short as can be, and no figure")
    given = parser.parse_args()
    cases, how = CASES[: given.cases], QUICK if given.quick else Size()
    with tempfile.TemporaryDirectory() as directory:
        homes = {module: Path(directory) / module for module in (CONSTANT, "topgraft")}
        for home in homes.values():
            home.mkdir()
        _train(cases, homes["topgraft"])
        photos = {
            name: draw_photo("stop", 1000, *size, Variation(jpeg_quality=(90, 90))) for name, size in PHOTOS.items()
        }
        models = homes["topgraft"] / "models"
        bare = {case: _measure_bare(models / case.name, photos, how) for case in cases}
        memory = _megabytes_of_a_worker(homes["topgraft"], cases[0], photos[IN_BATCH])
        answers, zipped = _measure_served(homes, cases, photos, how)
    tables = _answers_table(cases, answers), _parts_table(cases, answers, bare), _batch_table(cases, bare, zipped)
    print("\n\n".join(tables))
    goal = verdict(f"{MEMORY_GOAL:.0f} MB", memory < MEMORY_GOAL)
    print(f"\nMemory of a worker with EfficientNetLite0 (PSS): {memory:.0f} MB; {goal}.")
    if not given.quick:
        _draw(cases, answers, bare)


def _train(cases: Sequence[Case], home: Path) -> None:
    """Train a model for each case, and copy the float32 ones for TensorFlow."""
    (home / "models").mkdir()
    write_photos(home / "data" / "signs", range(10))
    for case in cases:
        options = {"backbone": case.backbone, "precision": case.precision, "weights": case.weights, "name": case.name}
        options |= {"folds": "0", "dataset": "signs", "workspace": str(home)}
        if case.weights == "none":
            options["epochs"] = "1"
        command = [program("topgraft"), "train", "--json"]
        for name, value in options.items():
            command += [f"--{name}", value]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        manifest = open_bundle(home / "models" / case.name).manifest
        if (manifest.precision, manifest.engine) != (case.precision, "onnx"):
            raise RuntimeError(
                f"expected {case.name} in {case.precision} as ONNX, received {manifest.precision}, {manifest.engine}"
            )
        if case.precision == "float32":
            _copy_for_tensorflow(home / "models" / case.name)


def _copy_for_tensorflow(original: Path) -> None:
    copy = original.with_name(f"{original.name}-tensorflow")
    shutil.copytree(original, copy)
    manifest = dataclasses.replace(open_bundle(copy).manifest, name=copy.name, engine="keras")
    (copy / ONNX_MODEL).unlink()
    write_manifest(copy, manifest)


def _measure_bare(directory: Path, photos: dict[str, bytes], how: Size) -> Bare:
    return in_fresh_process(bare_network.measure, directory, photos, IN_BATCH, how.bare_count, how.bare_rounds)


def _megabytes_of_a_worker(home: Path, case: Case, photo: bytes) -> float:
    """Memory of the larger of two workers after responses with the model loaded at start-up."""
    command = [program("topgraft"), "models", "promote", case.name, "--workspace", str(home)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    with running_server("topgraft", home, TOPGRAFT_TENSORBOARD="0") as server:
        ask(server, photo_upload("topgraft", photo, case.name), 4, 2.0)
        children = server.process.children(recursive=True)
        return (
            max(child.memory_full_info().pss for child in children if child.status() != psutil.STATUS_ZOMBIE) / MEGABYTE
        )


def _measure_served(
    homes: dict[str, Path], cases: Sequence[Case], photos: dict[str, bytes], how: Size
) -> tuple[dict[Key, Answers], dict[Case, float]]:
    """Measure the responses, and the seconds per photo of a zip."""
    answers: dict[Key, Answers] = {}
    zipped: dict[Case, float] = {}
    with contextlib.ExitStack() as stack:
        constant, ours = (stack.enter_context(running_server(module, home)) for module, home in homes.items())
        for case in cases:
            for title, photo in photos.items():
                targets = {CONSTANT_ANSWER: (constant, photo_upload(CONSTANT, photo))}
                targets |= {
                    by: (ours, photo_upload("topgraft", photo, model)) for by, model in _served_by(case).items()
                }
                for server, upload in targets.values():
                    ask(server, upload, 4, 1.0)
                for clients, _, (by, (server, upload)) in itertools.product(
                    CLIENTS, range(how.rounds), targets.items()
                ):
                    seconds = how.seconds / 2 if by == CONSTANT_ANSWER else how.seconds
                    came = ask(server, upload, clients, seconds, how.min_answers, how.max_seconds)
                    answers.setdefault((case, by, title, clients), Answers()).add(came)
            upload = _zip_upload(case.name, photos[IN_BATCH])
            with ours.connection() as connection:
                zipped[case] = median_seconds(lambda: send(connection, upload, keep_alive=True), 3) / BATCH  # noqa: B023
    return answers, zipped


def _served_by(case: Case) -> dict[str, str]:
    """Names of the models of a case."""
    by_tensorflow = {BY_TENSORFLOW: f"{case.name}-tensorflow"} if case.precision == "float32" else {}
    return {BY_ONNX: case.name} | by_tensorflow


def _zip_upload(model: str, photo: bytes) -> Upload:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for number in range(BATCH):
            archive.writestr(f"{number}.jpg", photo)
    return photo_upload("topgraft", stream.getvalue(), model)


def _answers_table(cases: Sequence[Case], answers: dict[Key, Answers]) -> str:
    header = ["backbone, photo", "by", *(f"{clients} client{'s' * (clients > 1)}" for clients in CLIENTS)]
    rows = []
    for photo in PHOTOS:
        same = [pooled(answers[case, CONSTANT_ANSWER, photo, clients] for case in cases) for clients in CLIENTS]
        rows.append([f"none, {photo}", CONSTANT_ANSWER, *(one.cell() for one in same)])
    for case, photo in itertools.product(cases, PHOTOS):
        for by in _served_by(case):
            cells = [answers[case, by, photo, clients].cell() for clients in CLIENTS]
            rows.append([f"{case.title}, {photo}", by, *cells])
    return "Median / 95th / 99th percentile of the time of an answer, and answers in a second:\n\n" + markdown_table(
        header, rows
    )


def _parts(case: Case, photo: str, answers: dict[Key, Answers], bare: Bare) -> tuple[float, ...]:
    """Milliseconds of each of PARTS in the median response to one client; their sum is the whole response."""
    constant, whole = (answers[case, by, photo, 1].percentile(50) for by in (CONSTANT_ANSWER, BY_ONNX))
    decoding, network = 1000 * bare.decoding[photo], 1000 * bare.network
    return constant, decoding, network, whole - constant - decoding - network


def _parts_table(cases: Sequence[Case], answers: dict[Key, Answers], bare: dict[Case, Bare]) -> str:
    rows = []
    for case, photo in itertools.product(cases, PHOTOS):
        parts = _parts(case, photo, answers, bare[case])
        more = sum(parts[1:])
        goal = verdict(f"{OVERHEAD_GOAL:.0f} ms", more <= OVERHEAD_GOAL) if photo == IN_BATCH else ""
        rows.append([f"{case.title}, {photo}", *(f"{part:.1f} ms" for part in parts), f"+ {more:.1f} ms", goal])
    header = ["one client, median", *PARTS, "more than the constant answer", "goal"]
    return "Where the milliseconds go:\n\n" + markdown_table(header, rows)


def _batch_table(cases: Sequence[Case], bare: dict[Case, Bare], zipped: dict[Case, float]) -> str:
    rows = []
    for case in cases:
        found = bare[case]
        decoded = found.network_in_batch + found.decoding[IN_BATCH]
        goal = f"{BATCH_GOAL:.0%} of the network in batches (is {found.fraction:.0%})"
        rows.append(
            [
                case.title,
                f"{1 / found.network:.0f} /s",
                f"{1 / found.network_in_batch:.0f} /s, by {found.best_batch}",
                f"{1 / decoded:.0f} /s",
                f"{1 / found.library_in_batch:.0f} /s",
                f"{1 / zipped[case]:.0f} /s",
                verdict(goal, found.reaches(BATCH_GOAL)),
            ]
        )
    header = [
        f"{BATCH} photos of {IN_BATCH}",
        "bare ONNX Runtime, already decoded, one by one",
        "in batches",
        "decoded one by one, then in batches",
        "`predict` of the library",
        "a zip, by REST",
        "library: goal",
    ]
    return "A batch:\n\n" + markdown_table(header, rows)


def _draw(cases: Sequence[Case], answers: dict[Key, Answers], bare: dict[Case, Bare]) -> None:
    """Draw a stacked bar for each backbone and photo."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    bars = list(itertools.product(cases, PHOTOS))
    # A negative rest cannot be drawn; the number at the end of the bar is that of the whole response.
    wholes = [answers[case, BY_ONNX, photo, 1].percentile(50) for case, photo in bars]
    parts = np.array([_parts(case, photo, answers, bare[case]) for case, photo in bars]).clip(min=0)
    figure, axes = pyplot.subplots(figsize=(10, 0.5 * len(bars) + 1.6), dpi=100, layout="constrained")
    for number, (part, colour) in enumerate(zip(PARTS, COLOURS, strict=True)):
        axes.barh(range(len(bars)), parts[:, number], left=parts[:, :number].sum(axis=1), color=colour, label=part)
    for position, (length, whole) in enumerate(zip(parts.sum(axis=1), wholes, strict=True)):
        axes.text(length, position, f" {whole:.0f} ms", va="center")
    axes.set_yticks(range(len(bars)), [f"{case.title}, {photo}" for case, photo in bars])
    axes.invert_yaxis()
    axes.set_xlabel("milliseconds of the median answer to one client")
    axes.set_xlim(0, parts.sum(axis=1).max() * 1.1)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=len(PARTS), frameon=False)
    figure.savefig(FIGURE)


if __name__ == "__main__":
    main()
