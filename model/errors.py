"""Every error that Topgraft raises on purpose.

    TopgraftError
    ├── ConfigError             an option has a value that cannot be used
    │   └── TrainingBusyError   as many trainings run as are allowed
    ├── DatasetError            a dataset cannot be used as it is
    │   └── ArchiveError        an archive is damaged or unsafe to unpack
    │       └── ArchiveTooLargeError  it holds more than allowed
    ├── ImageError              bytes that are not a picture we can decode
    │   └── ImageTooLargeError  more pixels or bytes than allowed
    ├── ModelError              a trained model cannot be used
    │   ├── ModelNotFoundError  no model of that name
    │   ├── NothingTrainedError no model at all yet
    │   └── ModelDamagedError   files missing or changed
    ├── WeightsError            pretrained weights cannot be read or fetched
    ├── StorageError            files cannot be read or written: a full disk, no permission
    │   ├── StorageSettingsError      a storage is not configured, or wrongly
    │   ├── StorageRefusedError       it refuses the user, the password or the act (401, 403)
    │   ├── StorageNotFoundError      nothing is there under that name (404)
    │   ├── StorageFullError          no space is left, here or there
    │   ├── StorageBusyError          it is locked or overloaded for the moment (423, 429, 5xx)
    │   ├── StorageUnreachableError   it does not answer
    │   └── StorageDamagedError       what arrived is not what was sent
    ├── TrackingError           a training could not be logged to MLflow
    ├── FetchError              a URL could not be fetched
    │   └── FetchTooLargeError  it is larger than allowed
    └── TrainingError           a training failed
        ├── TrainingStoppedError  it was cancelled or killed
        └── ExportError           a network has no counterpart in ONNX

Each takes one positional string, so that it survives pickling between processes.
`exit_status` is what the command `topgraft` returns for it.
"""


class TopgraftError(Exception):
    """An error whose message states what the user can do."""

    exit_status = 1

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ConfigError(TopgraftError):
    """An option has a value that cannot be used."""

    exit_status = 2


class TrainingBusyError(ConfigError):
    """As many trainings run already as are allowed at a time."""


class DatasetError(TopgraftError):
    """A dataset cannot be used as it is."""

    exit_status = 3


class ArchiveError(DatasetError):
    """An archive is damaged or unsafe to unpack."""


class ArchiveTooLargeError(ArchiveError):
    """An archive that holds more files, or more bytes, than allowed."""


class ImageError(TopgraftError):
    """Bytes that are not a picture we can decode."""

    exit_status = 3


class ImageTooLargeError(ImageError):
    """A picture with more pixels, or more bytes, than allowed."""


class ModelError(TopgraftError):
    """A trained model cannot be used."""

    exit_status = 4


class ModelNotFoundError(ModelError):
    """There is no trained model of that name."""


class NothingTrainedError(ModelError):
    """There is no trained model at all yet."""


class ModelDamagedError(ModelError):
    """Files of a trained model are missing or have changed."""


class ModelBusyError(ModelError):
    """A trained model is being replaced at this moment: worth another try."""


class WeightsError(TopgraftError):
    """Pretrained weights cannot be read or fetched."""

    exit_status = 5


class StorageError(TopgraftError):
    """Files cannot be read or written: a full disk, no permission."""

    exit_status = 5


class StorageSettingsError(StorageError):
    """A storage is not configured, or wrongly; or rclone is missing."""

    exit_status = 2


class StorageRefusedError(StorageError):
    """A storage refuses the user, the password or the act; never tried again, for it may lock the user out."""


class StorageNotFoundError(StorageError):
    """A storage has nothing under that name."""


class StorageFullError(StorageError):
    """A storage, or the local disk, has no space left."""


class StorageBusyError(StorageError):
    """A storage is locked or overloaded for the moment: worth another try."""


class StorageUnreachableError(StorageError):
    """A storage does not answer: worth another try."""


class StorageDamagedError(StorageError):
    """What arrived is not what was sent."""


class TrackingError(TopgraftError):
    """A training could not be logged to MLflow; its model is whole all the same."""

    exit_status = 5


class FetchError(TopgraftError):
    """A URL could not be fetched."""

    exit_status = 5


class FetchTooLargeError(FetchError):
    """What a URL answers is larger than allowed."""


class TrainingError(TopgraftError):
    """A training failed."""


class TrainingStoppedError(TrainingError):
    """A training was cancelled or killed."""

    exit_status = 130


class ExportError(TrainingError):
    """A network has no counterpart in ONNX."""
