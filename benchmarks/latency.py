"""Serving, backbone by backbone: where every millisecond of an answer goes, and what several clients at once get.

How: one `deepaas-run` with two workers on loopback serves a model for each backbone, and each of them once more by
TensorFlow, as the same bundle with `engine: keras`; another server answers a constant, which shows what DEEPaaS
and HTTP take. 1, 4 and 16 clients ask for seconds at a time, the servers in turn, with a 500 x 400 and with a
3,000 x 2,000 JPEG; connections are kept alive. Without a server: the bare call of ONNX Runtime, with the session
that a worker has; decoding; and a batch of photos through the library. The backbones whose weights are not
installed have random ones, which take the same time.

Depends on: the processors (the workers, the server and the clients share them) and what else runs there.
"""

import argparse
import contextlib
import dataclasses
import io
import itertools
import shutil
import statistics
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil

from benchmarks.photos import draw_photo, write_photos
from benchmarks.processes import MEGABYTE, in_fresh_process, program
from benchmarks.server import CONSTANT, Server, Upload, photo_upload, running_server, send
from benchmarks.tables import markdown_table, verdict
from model.bundle import ONNX_MODEL, open_bundle, write_manifest
from model.dataset.synthetic import Variation

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "latency.png"
CLIENTS = (1, 4, 16)
PHOTOS = {"500 x 400": (400, 500), "3,000 x 2,000": (2000, 3000)}
ROUNDS = 2
SECONDS_PER_ROUND = 2.0
BATCH = 192
BATCH_STEP = 32
OVERHEAD_GOAL, BATCH_GOAL, MEMORY_GOAL = 15.0, 0.85, 250.0
# Okabe and Ito, 2008: told apart by the colour-blind.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")
PARTS = ("HTTP and DEEPaaS", "decoding and resizing", "network", "the rest of the plug-in")


@dataclasses.dataclass(frozen=True)
class Case:
    """A network that is served.

    Attributes:
        name: of the model, with -float32 or -int8.
        weights: `none` where they would have to be fetched.
    """

    backbone: str
    precision: str = "float32"
    weights: str = "imagenet"

    @property
    def name(self) -> str:
        """Of the model."""
        return f"{self.backbone}-{self.precision}"

    @property
    def title(self) -> str:
        """In a table."""
        return self.backbone + (", int8" if self.precision == "int8" else "")


CASES = (
    Case("EfficientNetLite0"),
    Case("EfficientNetLite0", "int8"),
    Case("EfficientNetLite1"),
    Case("EfficientNetLite2"),
    Case("MobileNetV3Large", weights="none"),
    Case("EfficientNetV2B0", weights="none"),
)


@dataclasses.dataclass
class Answers:
    """What clients got: seconds of each answer, and answers in a second in each round."""

    seconds: list[float] = dataclasses.field(default_factory=list)
    rates: list[float] = dataclasses.field(default_factory=list)

    def percentile(self, percent: float) -> float:
        """In milliseconds."""
        return 1000 * float(np.percentile(self.seconds, percent))

    def cell(self) -> str:
        """Median, 95th and 99th percentile and rate, for a table."""
        percentiles = " / ".join(f"{self.percentile(percent):.0f}" for percent in (50, 95, 99))
        return f"{percentiles} ms, {statistics.median(self.rates):.0f} /s"


@dataclasses.dataclass(frozen=True)
class Bare:
    """What there is without a server, in seconds: the network for one photo and for each of a batch, decoding by the
    name of the photo, and a photo of a batch through the library with and without decoding."""

    network: float
    network_in_batch: float
    decoding: dict[str, float]
    library_in_batch: float


def main() -> None:
    """Print the tables and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=len(CASES), help="how many backbones, from the first")
    cases = CASES[: parser.parse_args().cases]
    with tempfile.TemporaryDirectory() as directory:
        homes = {module: Path(directory) / module for module in (CONSTANT, "topgraft")}
        for home in homes.values():
            home.mkdir()
        _train(cases, homes["topgraft"])
        photos = {
            name: draw_photo("stop", 1000, *size, Variation(jpeg_quality=(90, 90))) for name, size in PHOTOS.items()
        }
        bare = {
            case: in_fresh_process(_measure_bare, homes["topgraft"] / "models" / case.name, photos) for case in cases
        }
        memory = _megabytes_of_a_worker(homes["topgraft"], cases[0], photos["500 x 400"])
        answers, zipped = _measure_served(homes, cases, photos)
    print(
        "\n\n".join(
            (_answers_table(cases, answers), _parts_table(cases, answers, bare), _batch_table(cases, bare, zipped))
        )
    )
    goal = verdict(f"{MEMORY_GOAL:.0f} MB", memory < MEMORY_GOAL)
    print(f"\nMemory of a worker with EfficientNetLite0 (PSS): {memory:.0f} MB; {goal}.")
    _draw(cases, answers, bare)


def _train(cases: Sequence[Case], home: Path) -> None:
    """A model for each case, and a copy of the float32 ones that TensorFlow serves."""
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
        if open_bundle(home / "models" / case.name).manifest.precision != case.precision:
            raise RuntimeError(f"expected {case.name} in {case.precision}, but that was refused")
        if case.precision == "float32":
            _copy_for_tensorflow(home / "models" / case.name)


def _copy_for_tensorflow(original: Path) -> None:
    copy = original.with_name(f"{original.name}-tensorflow")
    shutil.copytree(original, copy)
    manifest = dataclasses.replace(open_bundle(copy).manifest, name=copy.name, engine="keras")
    (copy / ONNX_MODEL).unlink()
    write_manifest(copy, manifest)


def _measure_bare(directory: Path, photos: dict[str, bytes]) -> Bare:
    """In a process of its own, with the session that a worker has."""
    from model.dataset.images import decode_image
    from model.serving.graph import IMAGE, PROBABILITIES, open_session
    from model.serving.predictor import load_predictor

    bundle = open_bundle(directory)
    size = (bundle.manifest.image_size, bundle.manifest.image_size)
    session = open_session(directory / ONNX_MODEL)
    predictor = load_predictor(bundle)
    one = decode_image(photos["500 x 400"], size)[None]
    batch = np.repeat(one, BATCH_STEP, axis=0)
    encoded = [(f"{number}.jpg", photos["500 x 400"]) for number in range(BATCH)]
    return Bare(
        network=_median_seconds(lambda: session.run([PROBABILITIES], {IMAGE: one}), 60),
        network_in_batch=_median_seconds(lambda: session.run([PROBABILITIES], {IMAGE: batch}), 8) / BATCH_STEP,
        decoding={name: _median_seconds(lambda: decode_image(photo, size), 30) for name, photo in photos.items()},  # noqa: B023
        library_in_batch=_median_seconds(lambda: list(predictor.predict(encoded)), 3) / BATCH,
    )


def _median_seconds(work: Callable[[], object], times: int) -> float:
    work()
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def _megabytes_of_a_worker(home: Path, case: Case, photo: bytes) -> float:
    """Of the larger of two workers that have answered with one model: the one that they load when they start."""
    command = [program("topgraft"), "models", "promote", case.name, "--workspace", str(home)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    with running_server("topgraft", home, TOPGRAFT_TENSORBOARD="0") as server:
        _ask(server, photo_upload("topgraft", photo, case.name), 4, 2.0)
        children = server.process.children(recursive=True)
        return (
            max(child.memory_full_info().pss for child in children if child.status() != psutil.STATUS_ZOMBIE) / MEGABYTE
        )


def _measure_served(
    homes: dict[str, Path], cases: Sequence[Case], photos: dict[str, bytes]
) -> tuple[dict[tuple[str, str, int], Answers], dict[Case, float]]:
    """Answers by model, photo and number of clients; and the seconds for each photo of a zip."""
    answers: dict[tuple[str, str, int], Answers] = {}
    zipped: dict[Case, float] = {}
    with contextlib.ExitStack() as stack:
        constant, ours = (stack.enter_context(running_server(module, home)) for module, home in homes.items())
        for case in cases:
            models = [case.name, *([f"{case.name}-tensorflow"] if case.precision == "float32" else [])]
            for (title, photo), clients in itertools.product(photos.items(), CLIENTS):
                turns = [(model, ours, photo_upload("topgraft", photo, model)) for model in models]
                turns.append((CONSTANT, constant, photo_upload(CONSTANT, photo)))
                for _, server, upload in turns:
                    _ask(server, upload, 4, 1.0)
                for _, (model, server, upload) in itertools.product(range(ROUNDS), turns):
                    _ask(
                        server,
                        upload,
                        clients,
                        SECONDS_PER_ROUND,
                        answers.setdefault((model, title, clients), Answers()),
                    )
            upload = _zip_upload(case.name, photos["500 x 400"])
            with ours.connection() as connection:
                zipped[case] = _median_seconds(lambda: send(connection, upload, keep_alive=True), 3) / BATCH  # noqa: B023
    return answers, zipped


def _zip_upload(model: str, photo: bytes) -> Upload:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for number in range(BATCH):
            archive.writestr(f"{number}.jpg", photo)
    return photo_upload("topgraft", stream.getvalue(), model)


def _ask(server: Server, upload: Upload, clients: int, seconds: float, answers: Answers | None = None) -> None:
    """Ask for so long with so many clients at once."""
    deadline = time.perf_counter() + seconds

    def ask_until_the_deadline(_: int) -> list[float]:
        taken = []
        with server.connection() as connection:
            while (started := time.perf_counter()) < deadline:
                send(connection, upload, keep_alive=True)
                taken.append(time.perf_counter() - started)
        return taken

    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        taken = [one for client in pool.map(ask_until_the_deadline, range(clients)) for one in client]
    if answers is not None:
        answers.seconds += taken
        answers.rates.append(len(taken) / (time.perf_counter() - started))


def _answers_table(cases: Sequence[Case], answers: dict[tuple[str, str, int], Answers]) -> str:
    header = ["backbone, photo", "by", *(f"{clients} client{'s' * (clients > 1)}" for clients in CLIENTS)]
    rows = []
    for photo in PHOTOS:
        rows.append([f"none, {photo}", "constant", *(answers[CONSTANT, photo, clients].cell() for clients in CLIENTS)])
    for case, photo in itertools.product(cases, PHOTOS):
        for by, model in (("ONNX Runtime", case.name), ("TensorFlow", f"{case.name}-tensorflow")):
            if (model, photo, 1) in answers:
                rows.append(
                    [f"{case.title}, {photo}", by, *(answers[model, photo, number].cell() for number in CLIENTS)]
                )
    return "Median / 95th / 99th percentile of the time of an answer, and answers in a second:\n\n" + markdown_table(
        header, rows
    )


def _parts(case: Case, photo: str, answers: dict[tuple[str, str, int], Answers], bare: Bare) -> tuple[float, ...]:
    """Milliseconds of each of PARTS, of the median answer to one client."""
    constant, whole = (answers[model, photo, 1].percentile(50) for model in (CONSTANT, case.name))
    decoding, network = 1000 * bare.decoding[photo], 1000 * bare.network
    return constant, decoding, network, max(0.0, whole - constant - decoding - network)


def _parts_table(cases: Sequence[Case], answers: dict[tuple[str, str, int], Answers], bare: dict[Case, Bare]) -> str:
    rows = []
    for case, photo in itertools.product(cases, PHOTOS):
        parts = _parts(case, photo, answers, bare[case])
        more = answers[case.name, photo, 1].percentile(50) - parts[0]
        goal = verdict(f"{OVERHEAD_GOAL:.0f} ms", more <= OVERHEAD_GOAL) if photo == "500 x 400" else ""
        rows.append([f"{case.title}, {photo}", *(f"{part:.1f} ms" for part in parts), f"+ {more:.1f} ms", goal])
    header = ["one client, median", *PARTS, "more than the constant answer", "goal"]
    return "Where the milliseconds go:\n\n" + markdown_table(header, rows)


def _batch_table(cases: Sequence[Case], bare: dict[Case, Bare], zipped: dict[Case, float]) -> str:
    rows = []
    for case in cases:
        found = bare[case]
        decoded = found.network_in_batch + found.decoding["500 x 400"]
        share = found.network_in_batch / found.library_in_batch
        rows.append(
            [
                case.title,
                f"{1 / found.network_in_batch:.0f} /s",
                f"{1 / decoded:.0f} /s",
                f"{1 / found.library_in_batch:.0f} /s",
                f"{1 / zipped[case]:.0f} /s",
                verdict(f"{BATCH_GOAL:.0%} of the network (is {share:.0%})", share >= BATCH_GOAL),
            ]
        )
    header = [
        f"{BATCH} photos of 500 x 400",
        "bare ONNX Runtime, already decoded",
        "decoded one by one, then bare",
        "`predict` of the library",
        "a zip, by REST",
        "library: goal",
    ]
    return "A batch:\n\n" + markdown_table(header, rows)


def _draw(cases: Sequence[Case], answers: dict[tuple[str, str, int], Answers], bare: dict[Case, Bare]) -> None:
    """A bar for each backbone and photo, its parts one after the other."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    bars = list(itertools.product(cases, PHOTOS))
    parts = np.array([_parts(case, photo, answers, bare[case]) for case, photo in bars])
    figure, axes = pyplot.subplots(figsize=(10, 0.5 * len(bars) + 1.6), dpi=100, layout="constrained")
    for number, (part, colour) in enumerate(zip(PARTS, COLOURS, strict=True)):
        axes.barh(range(len(bars)), parts[:, number], left=parts[:, :number].sum(axis=1), color=colour, label=part)
    for position, total in enumerate(parts.sum(axis=1)):
        axes.text(total, position, f" {total:.0f} ms", va="center")
    axes.set_yticks(range(len(bars)), [f"{case.title}, {photo}" for case, photo in bars])
    axes.invert_yaxis()
    axes.set_xlabel("milliseconds of the median answer to one client")
    axes.set_xlim(0, parts.sum(axis=1).max() * 1.1)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=len(PARTS), frameon=False)
    figure.savefig(PICTURE)


if __name__ == "__main__":
    main()
