"""The command on an empty workspace, as in the tests of the command line."""

from tests.cli.conftest import run, workspace
from tests.dataset.conftest import shared_datasets

__all__ = ["run", "shared_datasets", "workspace"]
