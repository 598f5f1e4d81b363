"""The command `topgraft`: a file per group of subcommands, thin over the library.

Nothing heavy is imported before a subcommand does its work, so that every `--help` is instant.
"""

from model.cli.command import main

__all__ = ["main"]
