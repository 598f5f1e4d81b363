"""The command `topgraft`: one file per group of subcommands, a thin layer over the library.

Heavy libraries are imported only when a subcommand runs, so that `--help` is fast.
"""

from model.cli.command import main

__all__ = ["main"]
