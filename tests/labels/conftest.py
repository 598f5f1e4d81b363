"""The command on an empty workspace, as in the tests of the command line."""

from tests.cli.conftest import run, workspace

__all__ = ["run", "workspace"]
