"""The command `topgraft`: its subcommands, global options, and the exit status of each error."""

import errno
import io
import os
import re
import sys
import tempfile
import traceback
from collections.abc import Sequence

import click

from model import __version__
from model.addresses import redacted
from model.cli.backbones import backbones
from model.cli.comparison import compare
from model.cli.datasets import check
from model.cli.demo import demo
from model.cli.doctor import doctor
from model.cli.empty_arguments import refuse_empty_arguments
from model.cli.evaluation import evaluate
from model.cli.exporting import export
from model.cli.featurizing import featurize_command
from model.cli.importing import import_command
from model.cli.labels import import_labels_command
from model.cli.models import models
from model.cli.monitor import monitor
from model.cli.options import workspace_option
from model.cli.output import accept_all_characters, log_to_stderr, print_error, print_json, print_line, print_text
from model.cli.page import page
from model.cli.path_errors import typed_path_problem
from model.cli.pipelines import pipeline
from model.cli.prediction import predict
from model.cli.publishing import child_module, publish
from model.cli.serve import serve
from model.cli.storage import pack, pull, push
from model.cli.studio import studio
from model.cli.suggestions import suggest_labels_command
from model.cli.synthesis import synthesize_command
from model.cli.training import resume, train
from model.cli.tuning import tune
from model.errors import NO_SPACE, ConfigError, TopgraftError
from model.home import prepare_home
from model.reading import with_class
from model.received import MAX_QUOTED
from model.resources import blas_threads
from model.sharing import ownership_hint

EXIT_FAULT = 1
EXIT_STORAGE = 5
EXIT_INTERRUPTED = 130
# Values in messages of click.
_LONG_VALUE = re.compile(rf"'[^']{{{MAX_QUOTED},}}'|\S{{{MAX_QUOTED},}}")
STORAGE_ERRNOS = (*NO_SPACE, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO)


class OrderedGroup(click.Group):
    """Command group that lists its subcommands in the order of definition."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Names of the subcommands in the order of definition."""
        return list(self.commands)


@click.group(cls=OrderedGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="topgraft")
@workspace_option
def topgraft() -> None:
    """Train image classifiers on your own photos, and use them.

    \b
    Exit status: 0 success, 1 internal error, 2 usage or configuration, 3 dataset or image,
    4 model not found or damaged, 5 storage or network, 6 a limit was not kept, 130 interrupted.
    """


for subcommand in (
    demo,
    import_labels_command,
    synthesize_command,
    check,
    train,
    tune,
    resume,
    backbones,
    import_command,
    export,
    pull,
    push,
    pack,
    publish,
    child_module,
    evaluate,
    compare,
    predict,
    featurize_command,
    suggest_labels_command,
    serve,
    page,
    studio,
    pipeline,
    models,
    monitor,
    doctor,
):
    topgraft.add_command(subcommand)
refuse_empty_arguments(topgraft)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    An error is one message on standard error. With `--json` it is also an object with `status` "error"
    and `message` on standard output, which is therefore always JSON.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    # TensorFlow logs every missing GPU library as an error, although it works without.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.update(blas_threads())
    accept_all_characters()
    log_to_stderr()
    prepare_home()
    try:
        return topgraft.main(given, prog_name="topgraft", standalone_mode=False) or 0
    except click.ClickException as error:
        _shorten(error)
        shown = io.StringIO()
        error.show(shown)
        print_text(shown.getvalue().rstrip("\n"), err=True)
        return _failed(given, error.format_message(), error.exit_code)
    except TopgraftError as error:
        print_error(error.message)
        return _failed(given, error.message, error.exit_status)
    except (click.Abort, KeyboardInterrupt):
        print_line("Interrupted.", err=True)
        return _failed(given, "interrupted", EXIT_INTERRUPTED)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in STORAGE_ERRNOS:
            message = f"{error.filename or 'the disk'}: {error.strerror}. Check the free space and the permissions."
            if error.errno in (errno.EACCES, errno.EPERM) and error.filename:
                message += ownership_hint(os.fsdecode(error.filename))
            print_error(message)
            return _failed(given, message, EXIT_STORAGE)
        if isinstance(error, FileNotFoundError) and error.filename is None and tempfile.tempdir is None:
            message = f"{error.strerror}. Set TMPDIR to a folder that can be written to and has free space."
            print_error(message)
            return _failed(given, message, EXIT_STORAGE)
        if isinstance(error, OSError) and (problem := typed_path_problem(error, given)):
            print_error(problem)
            return _failed(given, problem, ConfigError.exit_status)
        print_text(redacted(traceback.format_exc().rstrip("\n")), err=True)
        print_line("This is an internal error of topgraft. Please report it with the traceback above.", err=True)
        return _failed(given, f"unexpected {with_class(error)}", EXIT_FAULT)


def _shorten(error: click.ClickException) -> None:
    """Shorten the values that click quotes in a message."""
    shortened = _LONG_VALUE.sub(lambda value: f"{value[0][: MAX_QUOTED - 3]}...", error.message)
    object.__setattr__(error, "message", shortened)


def _failed(arguments: Sequence[str], message: str, exit_status: int) -> int:
    # Read from the arguments: after a usage error there are no parsed options.
    if "--json" in arguments:
        print_json({"status": "error", "message": message, "exit_status": exit_status})
    return exit_status
