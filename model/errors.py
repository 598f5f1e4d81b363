"""All exceptions raised by Topgraft.

    TopgraftError
    ├── ConfigError             an option has a value that cannot be used
    │   └── TrainingBusyError   the maximum number of trainings is running
    ├── DatasetError            a dataset cannot be used as it is
    │   └── ArchiveError        an archive is damaged or unsafe to unpack
    │       └── ArchiveTooLargeError  it has more content than allowed
    ├── ImageError              bytes that cannot be decoded as an image
    │   ├── ImageTooLargeError  more pixels or bytes than allowed
    │   └── ImageTooSlowError   decoding takes longer than allowed
    ├── ModelError              a trained model cannot be used
    │   ├── ModelNotFoundError  no model of that name
    │   ├── NothingTrainedError no trained model exists yet
    │   └── ModelDamagedError   files are missing or have changed
    ├── WeightsError            pretrained weights cannot be read or fetched
    ├── StorageError            files cannot be read or written: a full disk, no permission
    │   ├── StorageSettingsError      remote storage is not configured, or wrongly
    │   ├── StorageRefusedError       it rejects the user, the password or the request (401, 403)
    │   │   └── StorageRequestTooLargeError  a proxy limits the size of a single request (413)
    │   ├── StorageNotFoundError      there is no file or folder of that name (404)
    │   ├── StorageFullError          no space is left, local or remote
    │   ├── StorageBusyError          it is locked or overloaded (423, 429, 5xx)
    │   ├── StorageUnreachableError   it does not respond
    │   └── StorageDamagedError       transferred content differs from the original
    ├── TrackingError           a training could not be logged to MLflow
    ├── StepError               a step of a pipeline failed
    ├── FetchError              a URL could not be fetched
    │   └── FetchTooLargeError  the response is larger than allowed
    └── TrainingError           a training failed
        ├── TrainingStoppedError  it was cancelled or killed
        └── ExportError           a network has no counterpart in ONNX

Each takes one positional string, so that it survives pickling between processes.
`exit_status` is the exit status of the command `topgraft` for it.
"""

import errno
from collections.abc import Mapping
from typing import TypeVar

from model.shown import printable_text

_Coded = TypeVar("_Coded", bound="TopgraftError")

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Numbers of an OSError if there is no space for a file: on the disk, by the quota, or by the limit of the process."""


class TopgraftError(Exception):
    """An error whose message states what the user can do.

    Attributes:
        message: of visible characters and line feeds: it is shown on terminals, in logs and in answers.
        code: name of the message, by which a page shows it in another language; empty without one.
        values: what the message contains, by name.
    """

    exit_status = 1
    code = ""
    values: Mapping[str, str | int] = {}

    def __init__(self, message: str) -> None:
        self.message = printable_text(message)
        super().__init__(self.message)

    def coded(self: _Coded, code: str, **values: str | int) -> _Coded:
        """This error with `code` and `values`."""
        self.code, self.values = code, values
        return self


class ConfigError(TopgraftError):
    """An option has a value that cannot be used."""

    exit_status = 2


class TrainingBusyError(ConfigError):
    """The maximum number of trainings is running."""


class DatasetError(TopgraftError):
    """A dataset cannot be used as it is."""

    exit_status = 3


class ArchiveError(DatasetError):
    """An archive is damaged or unsafe to unpack."""


class ArchiveTooLargeError(ArchiveError):
    """An archive has more files, or more bytes, than allowed."""


class ImageError(TopgraftError):
    """Bytes that cannot be decoded as an image."""

    exit_status = 3


class ImageTooLargeError(ImageError):
    """An image has more pixels, or more bytes, than allowed."""


class ImageTooSlowError(ImageError):
    """An image takes longer to decode than allowed."""


class ImageNotSupportedError(ImageError):
    """A whole file of a kind that is not read, such as a camera raw file."""


class ModelError(TopgraftError):
    """A trained model cannot be used."""

    exit_status = 4


class ModelNotFoundError(ModelError):
    """There is no trained model of that name."""


class NothingTrainedError(ModelError):
    """No trained model exists yet."""


class ModelDamagedError(ModelError):
    """Files of a trained model are missing or have changed."""


class ModelBusyError(ModelError):
    """A trained model is being replaced; the request can be retried."""


class WeightsError(TopgraftError):
    """Pretrained weights cannot be read or fetched."""

    exit_status = 5


class StorageError(TopgraftError):
    """Files cannot be read or written: a full disk, no permission.

    Attributes:
        cause: part of the message that states what happened; empty if it is not known separately.
        advice: part of the message that states what to do.
    """

    exit_status = 5
    cause: str = ""
    advice: str = ""


class StorageSettingsError(StorageError):
    """Remote storage is not configured, or wrongly, or rclone is missing."""

    exit_status = 2


class StorageRefusedError(StorageError):
    """Remote storage rejects the user, the password or the request; not retried, because that may lock the account."""


class StorageRequestTooLargeError(StorageRefusedError):
    """A proxy or web server limits the size of a single request (413); the storage itself is not full."""


class StorageNotFoundError(StorageError):
    """Remote storage has no file or folder of that name."""


class StorageFullError(StorageError):
    """No space is left in remote storage or on the local disk."""


class StorageBusyError(StorageError):
    """Remote storage is temporarily locked or overloaded; the request can be retried."""


class StorageUnreachableError(StorageError):
    """Remote storage does not respond; the request can be retried."""


class StorageDamagedError(StorageError):
    """Transferred content differs from the original."""


class TrackingError(TopgraftError):
    """A training could not be logged to MLflow; its model is complete nevertheless."""

    exit_status = 5


class StepError(TopgraftError):
    """A step of a pipeline failed; `exit_status` is that of the step."""


class FetchError(TopgraftError):
    """A URL could not be fetched."""

    exit_status = 5


class FetchTooLargeError(FetchError):
    """The response for a URL is larger than allowed."""


class TrainingError(TopgraftError):
    """A training failed."""


class TrainingStoppedError(TrainingError):
    """A training was cancelled or killed."""

    exit_status = 130


class ExportError(TrainingError):
    """A network has no counterpart in ONNX."""
