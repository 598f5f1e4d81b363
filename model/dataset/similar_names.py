"""Class names that look alike, and are probably one class written in two ways."""

import unicodedata
from collections import defaultdict
from collections.abc import Sequence

_SHOWN = 5
# Letters of other scripts that look like Latin ones, in lower case: Cyrillic, then Greek.
_AS_LATIN = str.maketrans(
    "\u0430\u0432\u0435\u0451\u043a\u043c\u043d\u043e\u0440\u0441\u0442\u0443\u0445\u0456\u0458\u0455",
    "abeekmhopctyxijs",
) | str.maketrans("\u03b1\u03b2\u03b5\u03b9\u03ba\u03bd\u03bf\u03c1\u03c4\u03c5\u03c7", "abeikvoptux")
_JOINERS = str.maketrans("_-", "  ")


def similar_classes(classes: Sequence[str]) -> list[str]:
    """Warning about classes that differ only in case, composition, blanks, width, or letters that look alike."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name in classes:
        alike[_key(name)].append(name)
    groups = [names for names in alike.values() if len(names) > 1]
    if not groups:
        return []
    shown = "; ".join(" and ".join(_shown(name) for name in names) for names in groups[:_SHOWN])
    more = f" and {len(groups) - _SHOWN} more" if len(groups) > _SHOWN else ""
    return [f"classes have names that look alike, which may be one class: {shown}{more}. Merge them if they are one"]


def _key(name: str) -> str:
    """The name in lower case, composed, with half-width letters, without invisible characters and extra blanks."""
    visible = "".join(char for char in unicodedata.normalize("NFKC", name) if unicodedata.category(char) != "Cf")
    folded = unicodedata.normalize("NFKC", visible.casefold()).translate(_AS_LATIN).translate(_JOINERS)
    return " ".join(folded.split())


def _shown(name: str) -> str:
    """The name and, with letters beyond ASCII, their codes: without them, both names may look the same."""
    return repr(name) if name.isascii() else f"{name!r} ({name!a})"
