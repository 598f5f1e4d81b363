"""Photos to compare two formats of a model on: those of its test split if available, otherwise synthetic ones."""

import contextlib
import dataclasses
import itertools
import posixpath
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np

from model.bundle import Bundle
from model.bundle_files import DATASET_FILES
from model.dataset.images import decode_image, read_content
from model.dataset.layouts import without_wrapping
from model.dataset.list_lines import parse_line
from model.dataset.listing import IMAGES
from model.dataset.pipeline import decoded
from model.errors import ArchiveError, ConfigError, ImageError
from model.files.archives import is_archive, iter_archive_files
from model.reading import UnreadableError, read_regular
from model.results import InputSpec
from model.shown import counted
from model.storage import is_remote
from model.storage.copies import cached_copy_path
from model.storage.pulling import is_whole
from model.synthesis.composition import draw_demo_photo
from model.synthesis.traffic_signs import SIGNS

PHOTOS = 8
# The first split with readable photos is used, held-out ones first.
_MAX_LIST_BYTES = 512 * 1024**2
_LISTS = ("test", "val", "train")


@dataclasses.dataclass(frozen=True)
class Photos:
    """Encoded photos, and a description of their origin such as "8 test photos of its dataset"."""

    content: tuple[bytes, ...]
    origin: str

    def decode(self, bundle: Bundle) -> np.ndarray:
        """Decode the photos to the input of the network: uint8 (n, size, size, 3)."""
        return np.stack(list(decoded(self.content, bytes, bundle.manifest.input_spec)))


def find_photos(bundle: Bundle, count: int = PHOTOS) -> Photos:
    """Photos of the dataset that the model was trained on; synthetic ones if none of them can be read."""
    for split in _LISTS:
        found = tuple(itertools.islice(_photos_of(bundle, split), count))
        if found:
            return Photos(found, f"{counted(len(found), f'{split} photo')} of its dataset")
    return Photos(draw_photos(count), f"{count} synthetic photos, because those of its dataset cannot be read")


def draw_photos(count: int) -> tuple[bytes, ...]:
    """Draw synthetic photos of traffic signs in a scene, as JPEG bytes; always the same."""
    signs = itertools.islice(itertools.cycle(SIGNS), count)
    return tuple(draw_demo_photo(sign, np.random.default_rng([0, number])) for number, sign in enumerate(signs))


def _photos_of(bundle: Bundle, split: str) -> Iterator[bytes]:
    """Readable photos of a split: in a folder, in an archive, or in the local copy of remote storage."""
    listed = bundle.directory / DATASET_FILES / f"{split}.txt"
    source = _source(str(bundle.manifest.dataset.get("path", "")))
    try:
        lines = read_regular(listed, _MAX_LIST_BYTES).decode(errors="replace").splitlines()
    except (OSError, UnreadableError):
        return
    if source is None:
        return
    names = [parsed[0] for parsed in map(parse_line, lines) if parsed is not None]
    images = str(bundle.manifest.train_config.get("images_directory") or IMAGES)
    has_lists = f"{DATASET_FILES}/" in str(bundle.manifest.dataset.get("layout", ""))
    found = _in_folder(source, names, images)
    if not source.is_dir():
        found = _in_archive(source, frozenset(names), images if has_lists else "")
    for content in found:
        with contextlib.suppress(ImageError):
            decode_image(content, InputSpec.square(1))
            yield content


def _source(place: str) -> Path | None:
    """Local folder or archive of a dataset, or the complete local copy of a remote one; None if there is none."""
    if is_remote(place):
        with contextlib.suppress(ConfigError):
            copy = cached_copy_path(place)
            return copy if is_whole(copy) else None
        return None
    return Path(place) if place and (Path(place).is_dir() or is_archive(Path(place))) else None


def _in_folder(source: Path, names: Sequence[str], images: str) -> Iterator[bytes]:
    root = without_wrapping(source)
    for name in names:
        for folder in (root / images, root):
            with contextlib.suppress(ImageError):
                yield read_content(folder / name)
                break


def _in_archive(source: Path, names: Collection[str], images: str) -> Iterator[bytes]:
    """Files whose path ends with one of the names, below the folder `images` if that is not empty."""
    folder = posixpath.normpath(images)
    before = "" if folder == "." else f"/{folder}"

    def is_listed(path: str) -> bool:
        parts = f"/{path}".split("/")
        ends = (("/".join(parts[:at]), "/".join(parts[at:])) for at in range(1, len(parts)))
        return any(end in names and beginning.endswith(before) for beginning, end in ends)

    with contextlib.suppress(ArchiveError, OSError):
        yield from (content for _, content in iter_archive_files(source, is_listed))
