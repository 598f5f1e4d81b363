"""Photos of the tasks of a Label Studio server."""

import base64
import posixpath
from urllib.parse import urlsplit

from model.labels.photo_names import OBJECT_ADDRESSES, path_of, source_of
from model.labels.regions import Task
from model.labels.server import LabelStudio


class ServerPhotos:
    """Photos of the tasks of a Label Studio server."""

    is_lasting = True
    connections: int | None = 4

    def __init__(self, server: LabelStudio) -> None:
        self._server = server

    def find(self, task: Task) -> tuple[str, ...]:
        """The address to request: that of the task, or for an object of remote storage the server's own for it."""
        address = task.address
        if address.startswith(OBJECT_ADDRESSES):
            encoded = base64.urlsafe_b64encode(address.encode()).decode()
            return (f"/tasks/{task.name}/resolve/?fileuri={encoded}",)
        return (address,)

    def suffix(self, name: str) -> str:
        """Ending of the file name of a photo."""
        path = urlsplit(name).path if source_of(name) == name else path_of(name)
        return posixpath.splitext(path)[1].lower()

    def read(self, name: str) -> bytes:
        """Content of a photo; see `LabelStudio.read`."""
        return self._server.read(name)
