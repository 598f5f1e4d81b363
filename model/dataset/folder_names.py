"""Meaning of folder names: splits, groups such as sites and years, and names that describe no class."""

import functools
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Literal

from model.results import SPLITS, Split

Kind = Literal["single", "group", "number", "plain"]
"""Kind of the names of a level of folders.

single: one name. group: sites, years, dates and the like. number: bare numbers or letters, which may be groups or
classes. plain: anything else."""

_SPLIT_WORDS: Mapping[str, Split] = {
    "train": "train",
    "training": "train",
    "trn": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "validate": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "tst": "test",
    "holdout": "test",
}
# Images for evaluation are a test split unless there is one besides.
_EVALUATION_WORDS = ("eval", "evaluation")

_SUFFIX = re.compile(r"(?<=[a-z]{3})(sets?|data|dataset|images|imgs|photos|split)$")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|[^\W\d_]+")


def _vocabulary(text: str) -> frozenset[str]:
    return frozenset(text.split())


CONTAINERS = _vocabulary(
    "image images img imgs photo photos picture pictures pics jpg jpeg jpegs png tif tiff data dataset datasets raw "
    "all full final files folder dir database db archive"
)
"""Names of folders that contain the class folders, and describe no class."""

UNLABELLED = _vocabulary("unlabeled unlabelled unknown hidden")
"""Words in names of folders whose images have no labels."""

_FILLERS = (
    CONTAINERS | UNLABELLED | _vocabulary("set sets split label labels the new clean cleaned resized cropped augmented")
)

ASIDES = _vocabulary(
    "doc docs documentation fig figs figure figures plot plots asset assets media thumb thumbs thumbnail thumbnails "
    "logo logos screenshot screenshots demo example examples notebook notebooks result results output outputs "
    "prediction predictions paper report reports readme mask masks annotation annotations label labels metadata "
    "unlabeled unlabelled sample-images sample_images"
)
"""Names of folders beside the class folders whose images belong to no class."""

_GROUP_WORDS = _vocabulary(
    "site station location loc place plot camera cam batch part session day week month year date cruise transect "
    "sample sampling run roi field farm region area zone lab laboratory hospital center centre clinic patient subject "
    "specimen individual plate well slide scan trap deployment dive haul tow net depth ctd mission survey series group "
    "grp fold subset collection visit round replicate rep experiment exp device microscope instrument phone user "
    "annotator volunteer observer quadrat block trip season quarter january february march april may june july august "
    "september october november december jan feb mar apr jun jul aug sep sept oct nov dec spring summer autumn fall "
    "winter"
)
_YEAR_OR_DATE = re.compile(r"(19|20)\d\d([-_. ]?(0?[1-9]|1[0-2])([-_. ]?(0?[1-9]|[12]\d|3[01]))?)?|Q[1-4]")
_NUMBER_OR_LETTER = re.compile(r"\d+|[A-Za-z]")


def split_names(names: Iterable[str]) -> dict[Split, list[str]]:
    """Names that stand for a split: split -> its names, in the order of the splits.

    Besides the word of the split, a name may contain numbers, words such as `set` or `images`, and words that the name
    of another split contains too, such as `flowers` in `flowers_train` and `flowers_test`.
    """
    parsed = {name: _parse(name) for name in names}
    splits_of_rest: dict[tuple[str, ...], set[str]] = {}
    for split, rest in parsed.values():
        if split:
            splits_of_rest.setdefault(rest, set()).add(split)
    found: dict[str, list[str]] = {}
    for name, (split, rest) in parsed.items():
        if split and (_is_filler(rest) or len(splits_of_rest[rest]) > 1):
            found.setdefault(split, []).append(name)
    for_evaluation = found.pop("eval", [])
    if for_evaluation:
        found["val" if "test" in found else "test"] = for_evaluation + found.get(
            "val" if "test" in found else "test", []
        )
    return {split: found[split] for split in SPLITS if split in found}


@functools.lru_cache(maxsize=256)
def split_of(name: str) -> Split | None:
    """Split that a name stands for on its own, such as `train`, `test_labels` or `VAL`; None if it is another name."""
    found = split_names([name, "train", "test"])
    return next((split for split, names in found.items() if name in names), None)


def split_in(name: str) -> Split | None:
    """Split whose word is in a name, whatever its other words are, such as `y_train`; None if there is none, or two."""
    split = _parse(name)[0]
    return next((known for known in SPLITS if known == ("test" if split == "eval" else split)), None)


def says_unlabelled(name: str) -> bool:
    """Whether a name says that its images have no labels, such as `test_unlabeled`."""
    return not UNLABELLED.isdisjoint(_words(name))


def kind_of_names(names: Collection[str]) -> Kind:
    """Kind of the names of a level of folders."""
    if len(set(names)) == 1:
        return "single"
    if all(_is_group(name) for name in names):
        return "group"
    if all(_NUMBER_OR_LETTER.fullmatch(name) or _is_group(name) for name in names):
        return "number"
    return "plain"


def describes_no_class(name: str) -> bool:
    """Whether a name is one of `CONTAINERS` or `ASIDES`."""
    return name.lower() in CONTAINERS or name.lower() in ASIDES


def _is_group(name: str) -> bool:
    return bool(_YEAR_OR_DATE.fullmatch(name)) or any(word.rstrip("s") in _GROUP_WORDS for word in _words(name))


def _parse(name: str) -> tuple[str | None, tuple[str, ...]]:
    """Split in a name (None if there is none, or two) and its other words."""
    words = [_SUFFIX.sub("", word) for word in _words(name)]
    meanings = {word: _SPLIT_WORDS.get(word, "eval" if word in _EVALUATION_WORDS else None) for word in words}
    splits = {split for split in meanings.values() if split}
    rest = tuple(word for word in words if meanings[word] is None)
    if rest == ("hold", "out"):
        return "test", ()
    return (splits.pop() if len(splits) == 1 else None), rest


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]


def _is_filler(words: Iterable[str]) -> bool:
    return all(word in _FILLERS or word.isdigit() for word in words)
