"""Names of classes, datasets and photos: which are accepted, and how others are changed."""

import re
import unicodedata
from collections.abc import Collection, Iterable
from pathlib import PurePosixPath

from model.dataset.folder_names import CONTAINERS, describes_no_class, split_of
from model.dataset.listing import DATASET_FILES
from model.errors import DatasetError
from model.files.browsing import is_hidden
from model.received import quoted
from model.shown import printable

MAX_NAME_BYTES = 120
"""Maximum length of a name in UTF-8: file systems allow 255, and a number may be added."""

_MAX_FILE_NAME_BYTES = 255
_FORBIDDEN = r'<>:"/\\|?*'
_UNUSABLE = re.compile(rf"[{_FORBIDDEN}\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_RESERVED_BY_WINDOWS = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
# Characters without a width and directions of writing; joiners belong to words of some scripts.
_INVISIBLE = ("Cf", "Zl", "Zp", "Co", "Cn")
_JOINERS = "\u200c\u200d"
_NUMBERED = re.compile(r"(?P<stem>.+) \((?P<number>[0-9]{1,6})\)")


def checked_class_name(name: str, existing: Collection[str] = (), what: str = "class") -> str:
    """Name of a new class or dataset as it is stored: composed (NFC), without blanks around it.

    Args:
        existing: names of the classes that exist.
        what: the kind of thing in messages, `class` or `dataset`.

    Raises:
        DatasetError: it cannot be the name of a folder on every system, is read as something else than a class, or
            differs from an existing name in its case only.
    """
    composed = unicodedata.normalize("NFC", name).strip()
    if reason := _fault(composed):
        code, sentence = reason
        message = f"expected the name of a {what}, received {quoted(name)}: {sentence}. Choose another name"
        raise DatasetError(message).coded(code, name=printable(name[:MAX_NAME_BYTES]))
    if what == "class" and (split_of(composed) or describes_no_class(composed) or composed == DATASET_FILES):
        raise DatasetError(
            f"expected the name of a class, received {quoted(name)}: a folder of this name is read as a part of a "
            "dataset, not as a class. Choose another name"
        ).coded("name_of_part", name=printable(name))
    folded = _comparable(composed)
    for other in existing:
        if _comparable(other) == folded:
            raise DatasetError(
                f"expected a new name of a {what}, received {quoted(name)}: there is {quoted(other)} already, "
                "and both look alike. Choose another name, or merge the two"
            ).coded("name_taken", name=printable(name), other=printable(other))
    return composed


def _fault(name: str) -> tuple[str, str] | None:
    """Code and text of the reason why a composed name is not accepted; None for an accepted one."""
    if not name:
        return "name_empty", "it is empty"
    if len(name.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES:
        return "name_too_long", f"it is longer than {MAX_NAME_BYTES} bytes"
    if _UNUSABLE.search(name):
        return "name_unusable", 'it has a line break, a control character or one of < > : " / \\ | ? *'
    if any(unicodedata.category(char) in _INVISIBLE and char not in _JOINERS for char in name):
        return "name_invisible", "it has an invisible character"
    if is_hidden(name) or name.endswith("."):
        return "name_hidden", "systems hide files of this name, or it ends with a dot"
    if _RESERVED_BY_WINDOWS.fullmatch(name):
        return "name_reserved", "Windows reserves it"
    return None


def _comparable(name: str) -> str:
    visible = "".join(char for char in unicodedata.normalize("NFKC", name) if unicodedata.category(char) != "Cf")
    return unicodedata.normalize("NFKC", visible.casefold())


def file_name(path: str) -> str:
    """Name under which a received file is stored: without folders, and possible on every system."""
    name = unicodedata.normalize("NFC", path.replace("\\", "/").rpartition("/")[2])
    visible = "".join("_" if unicodedata.category(char) in _INVISIBLE else char for char in name)
    cleaned = _UNUSABLE.sub("_", visible).strip().strip(".").strip()
    stem, dot, suffix = cleaned.rpartition(".")
    if not dot or len(suffix) > 10:
        stem, suffix = cleaned, ""
    stem = _shortened(stem) or "photo"
    if _RESERVED_BY_WINDOWS.fullmatch(stem):
        stem = f"{stem}_"
    whole = f"{stem}.{suffix}" if suffix else stem
    return f"photo_{whole}" if is_hidden(whole) else whole


def _shortened(stem: str) -> str:
    return stem.encode()[:MAX_NAME_BYTES].decode("utf-8", "ignore").strip()


def free_name(name: str, taken: Collection[str]) -> str:
    """The name, with a number if it is taken: `leaf (2).jpg`.

    Args:
        taken: lower-case names of the folder; a name that differs in case only is taken, too.
    """
    if name.lower() not in taken:
        return name
    stem, dot, suffix = name.rpartition(".")
    if not dot:
        stem, suffix = name, ""
    found = _NUMBERED.fullmatch(stem)
    number = int(found["number"]) + 1 if found else 2
    stem = found["stem"] if found else stem
    while (other := _fitting(stem, f" ({number}){dot}{suffix}")).lower() in taken:
        number += 1
    return other


def _fitting(stem: str, ending: str) -> str:
    """Name of a stem that is shortened until the whole name is possible."""
    size = _MAX_FILE_NAME_BYTES - len(ending.encode("utf-8", "surrogateescape"))
    return stem.encode("utf-8", "surrogateescape")[:size].decode("utf-8", "ignore") + ending


def class_of_path(path: str) -> str:
    """Class that the folders of a dropped photo name: the innermost folder that describes one; empty for none.

    Args:
        path: path relative to what was dropped, such as `leaves/train/oak/1.jpg`.
    """
    folders = PurePosixPath(path.replace("\\", "/")).parts[:-1]
    return next((name for name in reversed(folders) if name.lower() not in CONTAINERS and not split_of(name)), "")


def usable_class_name(name: str, existing: Iterable[str]) -> str:
    """Class for a folder name from elsewhere: the existing class that looks the same, or a name that is accepted.

    Raises:
        DatasetError: nothing of the name can be the name of a class.
    """
    known = list(existing)
    same = next((other for other in known if _comparable(other) == _comparable(name.strip())), None)
    if same is not None:
        return same
    return checked_class_name(_UNUSABLE.sub("_", name).strip().strip(".").strip(), known)
