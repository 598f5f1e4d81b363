"""Tables of labels that EcoTaxa exports."""

from pathlib import Path

import pytest

from model.dataset.layouts import find_layout
from tests.support.tables import LABELS, NAMES, labelled, refusal, write

ECOTAXA = (
    "object_id\tobject_lat\tobject_annotation_category\tobject_annotation_status\tobject_annotation_hierarchy\t"
    "img_file_name\timg_rank\n"
    """[t]\t[f]\t[t]\t[t]\t[t]\t[t]\t[f]
o1\t43.1\tash\tvalidated\tliving>tree>ash\ta1.jpg\t0
o1\t43.1\tash\tvalidated\tliving>tree>ash\ta2.jpg\t1
o2\t43.1\tbirch\tValidated\tliving>tree>birch\tb1.jpg\t0
o3\t43.1\tbirch\tvalidated\tliving>tree>birch\tb2.jpg\t0
o4\t43.1\tash\tpredicted\tliving>tree>ash\tc1.jpg\t0
o5\t43.1\tash\tpredicted\tliving>tree>ash\tgone.jpg\t0
o6\t43.1\tash\tdubious\tliving>tree>ash\tc2.jpg\t0
o7\t43.1\t\t\t\tc3.jpg\t0
"""
)


def test_of_an_ecotaxa_table_only_validated_rows_are_used(tmp_path: Path) -> None:
    images = [f"{name}.jpg" for name in (*NAMES, "c1", "c2", "c3")]
    listing = find_layout(write(tmp_path, *images, ecotaxa_export_tsv=ECOTAXA))
    assert labelled(listing) == LABELS
    assert any(
        "4 rows whose object_annotation_status is not validated were not used: 2 predicted, 1 dubious, 1 (empty)"
        in warning
        for warning in listing.warnings
    )
    assert listing.groups["a1.jpg"] == listing.groups["a2.jpg"] != listing.groups["b1.jpg"]


@pytest.mark.parametrize(
    "header",
    [
        "object_id\tobject_annotation_category\tobject_annotation_status\timg_file_name",
        "obj.orig_id\ttxo.display_name\tobj.classif_qual\timg.file_name",
    ],
)
@pytest.mark.parametrize("states", [("V", "P", "D"), ("validated", "predicted", "dubious")])
def test_rows_of_ecotaxa_are_used_by_their_states(tmp_path: Path, header: str, states: tuple[str, ...]) -> None:
    good, predicted, dubious = states
    rows = [f"o{name}\t{LABELS[name]}\t{good}\t{name}.jpg" for name in NAMES]
    rest = [f"oc1\tash\t{predicted}\tc1.jpg", f"oc2\tash\t{dubious}\tc2.jpg"]
    write(tmp_path, *(f"{name}.jpg" for name in (*NAMES, "c1", "c2")), e_tsv="\n".join([header, *rows, *rest]))
    listing = find_layout(tmp_path)
    assert labelled(listing) == LABELS
    assert any(f"not validated were not used: 1 {predicted}, 1 {dubious}" in warning for warning in listing.warnings)
    write(tmp_path, e_tsv="\n".join([header, *rest]))
    message = refusal(tmp_path, table="e.tsv")
    assert "expected labels of two classes or more, found none. e.tsv: 2 rows whose" in message
    assert "remove the column with their states to use all rows" in message


def test_ecotaxa_tables_of_several_samples_are_one_dataset(tmp_path: Path) -> None:
    header, types, *rows = ECOTAXA.splitlines(keepends=True)
    for number, part in enumerate((rows[:2], rows[2:4])):
        names = [f"sample{number}/" + row.split("\t")[5] for row in part]
        write(tmp_path, *names, **{f"sample{number}__ecotaxa_tsv": "".join([header, types, *part])})
    listing = find_layout(tmp_path)
    assert labelled(listing) == LABELS


def test_a_category_of_two_taxa_is_a_warning(tmp_path: Path) -> None:
    text = ECOTAXA.replace("living>tree>ash\ta2", "living>dust>ash\ta2")
    listing = find_layout(write(tmp_path, *(f"{name}.jpg" for name in (*NAMES, "c1", "c2", "c3")), e_tsv=text))
    assert any("such as ash: living>dust>ash and living>tree>ash" in warning for warning in listing.warnings)
