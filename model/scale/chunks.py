"""The plan of a run: the listed photos in numbered chunks, and everything that the result depends on."""

import dataclasses
import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from model import durable
from model.errors import ConfigError, DatasetError
from model.intensity import Intensity, read_intensity
from model.reading import MAX_JSON_BYTES, UnreadableError, describe, parse_json, read_stream, unreadable
from model.received import quoted
from model.results import InputSpec, Split
from model.scale.files import File, Folder

PLAN = "plan.json"
# Readers of Parquet leave out names that begin with an underscore.
LISTING = "_listing"
FORMAT = 1
MAX_CHUNK_BYTES = 256 << 20

# Chunks in a file of the listing: a task reads one row group of it, and the description of all of them.
_CHUNKS_PER_FILE = 256


class Photo(NamedTuple):
    """A listed photo: the file, its class (None if unknown), and its split."""

    file: File
    label: str | None
    split: Split

    @property
    def name(self) -> str:
        """Path of the photo as text; bytes that are not UTF-8 are written as their codes."""
        return self.file.name.decode(errors="backslashreplace")


@dataclasses.dataclass(frozen=True)
class Plan:
    """Everything that the parts of a run depend on; two runs with equal plans write equal parts.

    Attributes:
        source: the folder, list or address of the photos.
        photos: number of photos.
        chunks: number of chunks, which is that of parts.
        chunk_photos, chunk_bytes: maximum photos and bytes of a chunk.
        classes: names of all labels, sorted; empty if no photo has one.
        listing_sha256: checksum of path, size, version, label and split of each photo.
        splits: options of the splits.
        network: the backbone, or the name of the model.
        manifest_sha256: checksum of the manifest of the model; empty for a backbone.
        graph_sha256: checksum of the network in ONNX.
        features: number of features of a photo.
        image_size, resize, intensity: see `model.bundle.Manifest`.
        versions: versions of topgraft and of the libraries that decode and compute.
        format: version of the format of plan and parts.
        prediction: options of the predictions, if the parts hold predictions; empty if they hold features.
    """

    source: str
    photos: int
    chunks: int
    chunk_photos: int
    chunk_bytes: int
    classes: tuple[str, ...]
    listing_sha256: str
    splits: Mapping[str, Any]
    network: str
    manifest_sha256: str
    graph_sha256: str
    features: int
    image_size: int
    resize: str
    intensity: Intensity
    versions: Mapping[str, str]
    format: int = FORMAT
    prediction: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def input_spec(self) -> InputSpec:
        """Input of the network: size, resize mode and intensity range."""
        return InputSpec.square(self.image_size, self.resize, self.intensity)

    @property
    def text(self) -> str:
        """Content of `plan.json`."""
        values = dataclasses.asdict(self)
        if not self.prediction:
            # The checksum of a plan of features stays that of earlier versions.
            del values["prediction"]
        return durable.json_text(values)

    @property
    def sha256(self) -> str:
        """Checksum of `plan.json`, which is in each part."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def read_plan(folder: Folder) -> Plan:
    """The plan in a folder that has one.

    Raises:
        DatasetError: the file is no plan, or one of a newer version.
    """
    try:
        with unreadable(), folder.open(PLAN) as stream:
            found = parse_json(read_stream(stream, MAX_JSON_BYTES))
            intensity = read_intensity(found["intensity"])
            plan = Plan(**found | {"classes": tuple(found["classes"]), "intensity": intensity})
            plan.input_spec  # noqa: B018 - an invalid resize mode or range is found now
    except (UnreadableError, ConfigError) as error:
        raise DatasetError(
            f"{folder.address}/{PLAN}: expected the plan of topgraft featurize or predict, received: "
            f"{describe(error)}. Run it again with --overwrite."
        ) from error
    if plan.format != FORMAT:
        raise DatasetError(
            f"{folder.address}/{PLAN}: expected format {FORMAT}, found {plan.format}: it was written by another "
            "version of topgraft. Run topgraft featurize again with --overwrite."
        )
    return plan


def first_difference(old: Plan, new: Plan) -> str | None:
    """The first value in which two plans differ, in words; None if they are equal."""
    before, after = dataclasses.asdict(old), dataclasses.asdict(new)
    # The number of chunks follows from the other values, which users know.
    return next(_differences(before, after | {"chunks": before["chunks"]}, ""), None)


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for name in dict.fromkeys([*old, *new]):
        before, after = (durable.to_json(values.get(name)) for values in (old, new))
        if before == after:
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _differences(before, after, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name} was {quoted(before)} and is {quoted(after)}"


def cut(photos: Iterable[Photo], max_photos: int, max_bytes: int) -> Iterator[list[Photo]]:
    """Photos in chunks of at most `max_photos`; a chunk ends before the photo with which it exceeds `max_bytes`."""
    chunk: list[Photo] = []
    size = 0
    for photo in photos:
        if chunk and (len(chunk) == max_photos or size + photo.file.size > max_bytes):
            yield chunk
            chunk, size = [], 0
        chunk.append(photo)
        size += photo.file.size
    if chunk:
        yield chunk


class ListingDigest:
    """Checksum of a listing, with the number of photos and the names of their classes."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self.photos = 0
        self.classes: set[str] = set()

    def added(self, photo: Photo) -> Photo:
        """Add the next photo, and return it."""
        label = "" if photo.label is None else f"={photo.label}"
        values = (photo.file.name, photo.file.size, photo.file.version, label, photo.split)
        self._digest.update(repr(values).encode())
        self.photos += 1
        if photo.label is not None:
            self.classes.add(photo.label)
        return photo

    def hexdigest(self) -> str:
        """The checksum, in hexadecimal."""
        return self._digest.hexdigest()


def listing_files(chunks: Iterable[list[Photo]]) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the files that hold the photos of chunks: one Parquet row group for each chunk."""
    import pyarrow
    import pyarrow.parquet

    left = iter(chunks)
    for number in itertools.count():
        first = next(left, None)
        if first is None:
            return
        sink = pyarrow.BufferOutputStream()
        with pyarrow.parquet.ParquetWriter(sink, _listing_schema(), compression="zstd") as writer:
            for chunk in itertools.chain([first], itertools.islice(left, _CHUNKS_PER_FILE - 1)):
                writer.write_table(_listing_table(chunk), row_group_size=len(chunk))
        yield _listing_name(number), sink.getvalue().to_pybytes()


def read_chunk(folder: Folder, number: int) -> list[Photo]:
    """The photos of a chunk, of the listing in a folder of features."""
    import pyarrow.parquet

    file, group = divmod(number, _CHUNKS_PER_FILE)
    with folder.open(_listing_name(file)) as stream:
        return _photos(pyarrow.parquet.ParquetFile(stream).read_row_group(group))


def read_listing(folder: Folder, chunks: int) -> Iterator[Photo]:
    """All photos of the listing in a folder of features, in the order of the chunks."""
    for number in range(chunks):
        yield from read_chunk(folder, number)


def _listing_name(number: int) -> str:
    return f"{LISTING}/{number:05d}.parquet"


def _listing_schema() -> Any:
    import pyarrow

    text = pyarrow.string()
    columns = {"name": pyarrow.binary(), "size": pyarrow.int64(), "version": text, "label": text, "split": text}
    return pyarrow.schema(columns.items())


def _listing_table(photos: list[Photo]) -> Any:
    import pyarrow

    rows = [[*photo.file, photo.label, photo.split] for photo in photos]
    columns = [list(column) for column in zip(*rows, strict=True)]
    return pyarrow.Table.from_arrays(
        [pyarrow.array(values, field.type) for values, field in zip(columns, _listing_schema(), strict=True)],
        schema=_listing_schema(),
    )


def _photos(table: Any) -> list[Photo]:
    columns = (table.column(name).to_pylist() for name in ("name", "size", "version", "label", "split"))
    rows = zip(*columns, strict=True)
    return [Photo(File(name, size, version), label, split) for name, size, version, label, split in rows]
