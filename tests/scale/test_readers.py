"""Other programs read the parts by their pattern, next to the plan, the listing and the principal components."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas
import pyarrow.dataset
import pytest

from model.scale.featurize import FeaturizeResult
from tests.support.separate_environments import separate_environment

Run = Callable[..., FeaturizeResult]
COLUMNS = ["path", "label", "split", "features", "width", "height", "sha256", "error"]
_READERS = """
import sys, duckdb, polars
count = f"select label, count(*) from '{sys.argv[1]}' where error is null group by label order by 1"
print(duckdb.sql(count).fetchall())
print(polars.scan_parquet(sys.argv[1]).collect().shape)
"""


@pytest.fixture
def out(run: Run, photos: Path, tmp_path: Path) -> Path:
    """Features of sixteen photos and a broken one, with principal components."""
    (photos / "red" / "broken.jpg").write_bytes(b"no photo")
    run(components=2)
    return tmp_path / "out"


def test_pandas_and_pyarrow_read_the_parts(out: Path) -> None:
    parts = [str(path) for path in sorted(out.glob("part-*.parquet"))]
    table = pandas.read_parquet(parts)
    assert list(table.columns) == COLUMNS and len(table) == 17 and table["error"].notna().sum() == 1
    assert pyarrow.dataset.dataset(parts).count_rows() == 17


@pytest.mark.slow
@pytest.mark.system
def test_duckdb_and_polars_read_the_parts(out: Path) -> None:
    programs = separate_environment("readers", ["duckdb>=1.1,<2", "polars>=1.20,<2"])
    command = [programs / "python", "-c", _READERS, out / "part-*.parquet"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.stdout.splitlines() == ["[('blue', 8), ('red', 8)]", "(17, 8)"], ran.stderr
