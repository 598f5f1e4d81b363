"""Names of the columns of tables, as published datasets use them, and the texts of their flags."""

import re
from collections.abc import Mapping, Sequence

from model.results import Split


def _ordered(text: str) -> tuple[str, ...]:
    return tuple(text.split())


IMAGE_NAMES = _ordered(
    "imgfilename filename imagefilename filepath imagepath imgpath path file image imagename imagefile imageid imgid "
    "img imgname photo photoname picture idcode fname fn name id relpath key"
)
"""Columns of file names, the most certain first; all names as `normal` returns them."""

PREDICTION_STRING = "predictionstring"
LABEL_NAMES = (
    _ordered(
        "objectannotationcategory txodisplayname label labels class classname classlabel labelname target targetname y "
        f"dx classid labelid categoryid categoryname expertconsensus {PREDICTION_STRING}"
    ),
    _ordered(
        "category species scientificname breed taxon taxonname commonname diagnosis tag tags variety type annotation "
        "disease landmarkid cultivar"
    ),
)
"""Columns of labels; those of the first row are more certain than those of the second."""

SPLIT_NAMES = _ordered("split datasetsplit set subset partition phase usage dataset fold")
SPLIT_FLAGS: Mapping[str, tuple[Split, Split]] = {
    "isvalid": ("val", "train"),
    "isval": ("val", "train"),
    "istest": ("test", "train"),
    "istrain": ("train", "val"),
}
"""Columns of flags -> split of the images for which they are true, and of the others."""

GROUP_NAMES = _ordered("group groupid")
POSSIBLE_GROUPS = _ordered(
    "patient patientid subject subjectid specimen specimenid lesionid individual individualid animalid site siteid "
    "station stationid sampleid location locationid seqid sequence sequenceid session sessionid video videoid burst "
    "plate well"
)
"""Columns that often have groups of related images."""

STATUS = _ordered("objectannotationstatus objclassifqual classifqual")
VALIDATED = _ordered("validated v")
"""Columns of EcoTaxa, in its files and its interface, and their texts for labels that a person has confirmed."""
OBJECT = _ordered("objectid objorigid objobjid")
HIERARCHY = "objectannotationhierarchy"

_TYPES = frozenset(("[t]", "[f]", ""))
_MISSING = frozenset(("", "nan", "n/a", "#n/a", "null", "<na>"))
_YES, _NO = frozenset(("1", "true", "yes", "1.0")), frozenset(("0", "false", "no", "0.0"))


def normal(name: str) -> str:
    """Name of a column without case, blanks and punctuation."""
    return re.sub(r"[\W_]", "", name.lower())


def is_yes(text: str) -> bool:
    """Whether the text of a flag means yes."""
    return text.lower() in _YES


def is_flag(text: str) -> bool:
    """Whether a text is that of a flag: 0 or 1, false or true, no or yes."""
    return text.lower() in _YES or text.lower() in _NO


def is_missing(text: str) -> bool:
    """Whether a cell has no value: empty, or a text that programs write for that; `none` may be a class."""
    return text == "NA" or text.lower() in _MISSING


def is_type_row(cells: Sequence[str]) -> bool:
    """Whether a row has the types of the columns, as the second row of an EcoTaxa table: `[t]` and `[f]`."""
    return cells[0] in _TYPES and all(cell in _TYPES for cell in cells)
