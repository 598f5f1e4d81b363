"""Addresses `file://` of folders and photos of this machine."""

import os
from urllib.parse import unquote

from model.errors import ConfigError
from model.received import quoted


def file_path(rest: str) -> str:
    """The absolute path of what follows `file://`, such as `/data/my%20photos` or `localhost/data`.

    Raises:
        ConfigError: it names another host, or no absolute path.
    """
    host, separator, path = rest.partition("/")
    if host.lower() not in ("", "localhost") or not separator:
        raise ConfigError(
            f"expected an absolute path such as file:///data/photos, received {quoted(f'file://{rest}')}."
        )
    return os.path.normpath(f"/{unquote(path, errors='surrogateescape').lstrip('/')}")
