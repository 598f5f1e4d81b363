"""The photo of a Label Studio task, among the data of the task."""

import posixpath
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from model.dataset.formats import IMAGE_SUFFIXES
from model.files.browsing import name_some
from model.labels.photo_names import OBJECT_ADDRESSES, path_of
from model.received import quoted

# Addresses of photos that Label Studio stores, or passes on from remote storage.
_OWN_ADDRESSES = ("/data/upload/", "/data/local-files/", "/tasks/", "/storage-data/")
_STORAGES = (*OBJECT_ADDRESSES, "http://", "https://")
_OTHER_MEDIA = (".mp3", ".wav", ".ogg", ".flac", ".mp4", ".webm", ".mov", ".txt", ".csv", ".html", ".pdf", ".json")
# Most labelling configurations have the address of the photo under this key.
_USUAL_KEY = "image"


def photo_keys(project: Mapping[str, Any]) -> dict[str, str]:
    """Name of each photo in the labelling configuration of a project -> key of its address in the data of a task.

    Args:
        project: as the API has it, with `parsed_label_config`.
    """
    found: dict[str, str] = {}
    for control in (project.get("parsed_label_config") or {}).values():
        names, inputs = control.get("to_name", ()), control.get("inputs", ())
        if len(names) == len(inputs):
            images = [(name, one) for name, one in zip(names, inputs, strict=True) if one.get("type") == "Image"]
            found |= {str(name): str(one.get("value", "")) for name, one in images}
    return found


def photo_of_labels(data: Mapping[str, Any], shown: Collection[str], keys: Mapping[str, str]) -> str:
    """Address of the photo that the labels of a task belong to.

    Args:
        data: of the task.
        shown: names of the photos, in the labelling configuration, that the labels belong to; none without labels.
        keys: see `photo_keys`; empty if the configuration is not known.

    Returns:
        the address; empty if there are several and no label belongs to one of them.

    Raises:
        ValueError: there is none, or it is not known which of several it is; the message says what to do.
    """
    addresses = photo_addresses(data)
    if not addresses:
        raise ValueError(
            f"expected the address of a photo, received data with {name_some(sorted(map(str, data)))}. Labels of "
            "texts, recordings and videos are not read"
        )
    named = {keys.get(name, name) for name in shown}
    chosen = [key for key in addresses if key in named] or list(addresses)
    if len(chosen) == 1:
        return addresses[chosen[0]]
    certain = [key for key in chosen if _has_image_suffix(addresses[key])]
    if _USUAL_KEY in chosen and not set(certain) - {_USUAL_KEY}:
        return addresses[_USUAL_KEY]
    if not shown:
        return ""
    names = name_some(sorted(map(quoted, shown)))
    if len(shown) > 1:
        raise ValueError(
            f"expected labels of one photo, received some of several: {names}. Make a task for each photo, or a "
            "control for each and name one with --control"
        )
    raise ValueError(
        f"expected one photo, received several: {name_some(chosen)}, and the labels belong to {names}. Import from the "
        "server (--url, --project), whose configuration states which one that is, or rename its key in `data` to it"
    )


def photo_addresses(data: Mapping[str, Any]) -> dict[str, str]:
    """Key -> address, of the data of a task that may be photos."""
    return {key: value for key, value in data.items() if isinstance(value, str) and _may_be_photo(value)}


def _may_be_photo(address: str) -> bool:
    path = _path(address)
    if path is None:
        return False
    suffix = posixpath.splitext(path)[1].lower()
    if suffix in IMAGE_SUFFIXES:
        return True
    is_address = address.lower().startswith(_STORAGES) or path.startswith(_OWN_ADDRESSES)
    return is_address and suffix not in _OTHER_MEDIA


def _has_image_suffix(address: str) -> bool:
    return posixpath.splitext(_path(address) or "")[1].lower() in IMAGE_SUFFIXES


def _path(address: str) -> str | None:
    """Path of a file name or an address; None if it is no address."""
    is_plain = "://" not in address and not address.startswith("/")
    try:
        # Names of files and keys of objects may contain ? and #.
        return path_of(address) if is_plain or address.startswith(OBJECT_ADDRESSES) else urlsplit(address).path
    except ValueError:
        return None
