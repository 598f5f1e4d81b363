"""Backbones that the user added to this machine: feature networks in ONNX, and other weights of known networks.

<TOPGRAFT_BACKBONES>/<name>/network.onnx         from pixels to features, as `model.networks.feature_network` adapts it
<TOPGRAFT_BACKBONES>/<name>/network.weights.h5   instead of it, weights of a network of the table in `model.backbones`
<TOPGRAFT_BACKBONES>/<name>/backbone.json        its record
"""

import dataclasses
import hashlib
import logging
from pathlib import Path
from typing import Literal

from model.environment import BACKBONES_FOLDER
from model.errors import WeightsError
from model.home import folder_in_home
from model.reading import UnreadableError, read_json, read_regular, with_path
from model.records import record_from

NETWORK = "network.onnx"
WEIGHTS = "network.weights.h5"
RECORD = "backbone.json"
MAX_NETWORK_BYTES = 2 * 1024**3
"""Maximum size of a network, the limit of the format."""

OwnScaling = Literal["lite", "tf", "torch", "clip", "unit", "none"]
"""Scaling of pixels in [0, 255] to the input of an added network: `lite` (x - 127) / 128; `tf` x / 127.5 - 1; `torch`
x / 255 normalised by the ImageNet mean and deviation; `clip` x / 255 normalised by those of CLIP; `unit` x / 255;
`none` no scaling."""

_MAX_RECORD_BYTES = 1 << 16

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class AddedBackbone:
    """Record of an added backbone.

    Attributes:
        name: value of the option `backbone`.
        image_size: height and width of its images in pixels; a network in ONNX takes no others.
        scaling: scaling of the pixels.
        features: number of values for an image.
        sha256: of its file, in hexadecimal.
        source: name of the file it was made from.
        license: license of its weights, as an SPDX identifier or a text; empty if unknown.
        architecture: the network of the table that its weights are for; empty for a network in ONNX.
    """

    name: str
    image_size: int
    scaling: str
    features: int
    sha256: str
    source: str
    license: str = ""
    architecture: str = ""

    @property
    def path(self) -> Path:
        """File of the network or of its weights."""
        return backbones_folder() / self.name / (WEIGHTS if self.architecture else NETWORK)


def backbones_folder() -> Path:
    """Folder of the added backbones, which may not exist."""
    return folder_in_home(BACKBONES_FOLDER)


def added_backbones() -> tuple[AddedBackbone, ...]:
    """The added backbones by name; one whose record cannot be read is left out with a warning."""
    try:
        folders = sorted(path for path in backbones_folder().iterdir() if not path.name.startswith("."))
    except OSError:
        return ()
    return tuple(record for folder in folders if (record := _read(folder)) is not None)


def find_added(name: str) -> AddedBackbone | None:
    """The added backbone of a name; None if there is none."""
    return next((record for record in added_backbones() if record.name == name), None)


def added_content(backbone: AddedBackbone) -> bytes:
    """Content of the file of an added backbone.

    Raises:
        WeightsError: its file is missing or changed.
    """
    path = backbone.path
    try:
        content = read_regular(path, MAX_NETWORK_BYTES)
    except (OSError, UnreadableError) as error:
        raise WeightsError(f"backbone {backbone.name}: {with_path(error)}. Add it again.") from error
    found = hashlib.sha256(content).hexdigest()
    if found != backbone.sha256:
        raise WeightsError(
            f"{path}: expected a file with the SHA-256 {backbone.sha256}, found {found}. Remove the backbone, and add "
            "it again."
        )
    return content


def _read(folder: Path) -> AddedBackbone | None:
    try:
        record = record_from(AddedBackbone, read_json(folder / RECORD, _MAX_RECORD_BYTES))
    except (OSError, UnreadableError) as error:
        log.warning("the backbone in %s cannot be read: %s", folder, with_path(error))
        return None
    return record if record.name == folder.name else None
