"""What a former import into the same folder wrote, so that a repeated one keeps what has not changed."""

import contextlib
import dataclasses
from pathlib import Path

from model import durable
from model.dataset.listing import DATASET_FILES, IMAGES
from model.dataset.origins import ORIGIN
from model.errors import DatasetError
from model.files.folder_replacement import check_own_files, check_replaceable, file_checksums
from model.files.new_files import link_or_copy
from model.labels.crops import CropOptions
from model.labels.pictures import SHEET
from model.labels.regions import Rectangle
from model.reading import UnreadableError, read_json, unreadable
from model.results import SPLITS, Split

BOXES, LEFT_OUT, DISAGREEMENTS = "boxes", "rejected.csv", "disagreements.csv"
"""In the dataset: folder of photos that are drawn with their boxes, and two tables."""

RECORD = "import.json"
"""File in the dataset with what the next import needs."""

_FORMAT = 1
# Files and folders in the dataset, besides the record.
_WRITTEN = frozenset((IMAGES, DATASET_FILES, BOXES, ORIGIN, LEFT_OUT, DISAGREEMENTS, SHEET))


@dataclasses.dataclass(frozen=True)
class Former:
    """Record of an import.

    Attributes:
        directory: folder of the dataset.
        source: what was imported.
        hashes: address of a photo -> sha256 of its file.
        splits: address of a photo -> its split.
        crops: file name of a crop -> its box in the photo, without the margin.
        options: how the crops were cut out; None if it is not recorded.
        files: path with `/` -> SHA-256 of each file that the import wrote; None if it is not recorded, or not yet.
    """

    directory: Path
    source: str = ""
    hashes: dict[str, str] = dataclasses.field(default_factory=dict)
    splits: dict[str, Split] = dataclasses.field(default_factory=dict)
    crops: dict[str, Rectangle] = dataclasses.field(default_factory=dict)
    options: CropOptions | None = None
    files: dict[str, str] | None = None

    def write(self) -> None:
        """Write the record into its folder, which has all other files already."""
        content: dict[str, object] = {
            "format": _FORMAT,
            "source": self.source,
            "photos": {
                address: {"sha256": digest, "split": self.splits.get(address)}
                for address, digest in sorted(self.hashes.items())
            },
            "crops": {name: list(rectangle) for name, rectangle in sorted(self.crops.items())},
            "files": file_checksums(self.directory),
        }
        if self.options is not None:
            content["options"] = dataclasses.asdict(self.options)
        durable.write_json(self.directory / RECORD, content)

    def check_own_files(self) -> None:
        """Check that the folder has no file that an import has not written as it is, because the folder is replaced.

        Raises:
            DatasetError: it has; the message names the files.
        """
        if self.crops:
            check_own_files(self.directory, self._names() if self.files is None else self.files, RECORD)

    def _names(self) -> dict[str, str]:
        """Names that an import gives, with unknown content: earlier versions did not record it."""
        crops = {f"{IMAGES}/{name}" for name in self.crops}
        paths = (path.relative_to(self.directory).as_posix() for path in self.directory.rglob("*"))
        return {
            name: ""
            for name in paths
            if name in crops or (name.partition("/")[0] in _WRITTEN and not name.startswith(f"{IMAGES}/"))
        }

    def keep(self, name: str, target: Path) -> bool:
        """Put a file of the former dataset into the folder of the new one, as a second name of it or a copy.

        Args:
            name: path in both datasets, with `/`.

        Returns:
            whether the former dataset has it.
        """
        source = self.directory / name
        if not source.is_file():
            return False
        # A name stands for one content, so that a file of this name is the same.
        with contextlib.suppress(FileExistsError):
            link_or_copy(source, target / name)
        return True


def read_former(directory: Path) -> Former:
    """Read the record of the former import into a folder; an empty one if the folder is empty or missing.

    Raises:
        DatasetError: the folder holds something else, which an import would delete; or the record is damaged.
    """
    if not check_replaceable(directory, RECORD, "topgraft import-labels"):
        return Former(directory)
    try:
        with unreadable():
            return _parse(directory, read_json(directory / RECORD))
    except UnreadableError as error:
        raise DatasetError(
            f"{directory / RECORD}: expected the record of an import, received a damaged one: {error}. Move the folder "
            "away, and import again"
        ) from error


def recorded_options(dataset: Path) -> CropOptions | None:
    """How the images of a dataset were cut out; None if it was not imported, or by a version without this record.

    Raises:
        DatasetError: the record is damaged.
    """
    return read_former(dataset).options if (dataset / RECORD).is_file() else None


def _parse(directory: Path, content: dict[str, object]) -> Former:
    if content["format"] != _FORMAT:
        raise UnreadableError(f"expected format {_FORMAT}, received {content['format']!r}")
    photos, crops = content["photos"], content["crops"]
    options, files = content.get("options"), content.get("files")
    if not isinstance(photos, dict) or not isinstance(crops, dict):
        raise UnreadableError("expected photos and crops")
    if not isinstance(options, dict | None) or not isinstance(files, dict | None):
        raise UnreadableError("expected options and files")
    splits = {address: photo["split"] for address, photo in photos.items() if photo["split"] in SPLITS}
    return Former(
        directory,
        str(content["source"]),
        {address: str(photo["sha256"]) for address, photo in photos.items()},
        splits,
        {name: Rectangle(*map(float, numbers)) for name, numbers in crops.items()},
        None
        if options is None
        else CropOptions(float(options["margin"]), int(options["min_side"]), bool(options["straighten"])),
        None if files is None else {str(name): str(digest) for name, digest in files.items()},
    )
