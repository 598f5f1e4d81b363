"""Output of the command: data on standard output, everything else on standard error."""

import io
import json
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import click

from model import durable
from model.logs import protect_logs
from model.measurements import with_interval
from model.results import SECONDS_LEFT, Progress
from model.shown import encodable, indented, printable, printable_json, printable_text
from model.storage.interface import DOWNLOAD, UPLOAD, VERIFY

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TaskID
    from rich.text import Text

EXIT_LIMIT = 6
"""Exit status of a command whose result does not keep a limit that was given, such as `--min-accuracy`."""

SECONDS_BETWEEN_LINES = 5.0
# Width of tables that are not written to a terminal: each row stays on one line.
TABLE_COLUMNS = 200


def print_line(text: str, err: bool = False) -> None:
    """Print one line to standard output, or to standard error; line feeds in it are replaced by their code."""
    _write(printable(text), err)


def print_lines(lines: Iterable[str]) -> None:
    """Print lines to standard output as `print_line` does."""
    for line in lines:
        print_line(line)


def print_text(text: str, err: bool = False) -> None:
    """Print a text of several lines; a value from outside in it has no line feeds."""
    _write(printable_text(text), err)


def print_error(message: str) -> None:
    """Print an error message to standard error; its further lines are indented."""
    _write(indented(printable_text(f"Error: {message}")), err=True)


def confirm(question: str) -> None:
    """Ask on standard error whether to go ahead.

    Raises:
        click.Abort: the user does not confirm.
    """
    click.confirm(printable(question), abort=True, err=True)


def _write(text: str, err: bool = False) -> None:
    """Write visible text to a terminal or file of any encoding."""
    stream = sys.stderr if err else sys.stdout
    stream.write(encodable(text, stream.encoding) + "\n")
    stream.flush()


class StderrHandler(logging.Handler):
    """Log handler that writes to the current standard error, so that log lines and progress bars do not mix."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one log record as a line."""
        # `ProtectingFilter` has indented the further lines.
        print_text(self.format(record), err=True)


def log_to_stderr() -> None:
    """Log to standard error: INFO and above from Topgraft, WARNING and above from other libraries."""
    handler = StderrHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    protect_logs()
    logging.getLogger("model").setLevel(logging.INFO)


def accept_all_characters() -> None:
    """Replace characters that the encoding of the terminal does not have, such as ellipses of rich, by their codes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_json(content: Any) -> None:
    """Print one JSON document to standard output; `durable.to_json` lists the supported types."""
    plain = durable.to_json(content)
    document = printable_json(json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False))
    if encodable(document, sys.stdout.encoding) != document:
        document = printable_json(json.dumps(plain, indent=2))
    _write(document)


@contextmanager
def progress_display() -> Iterator[Progress]:
    """Progress on standard error: bars on a terminal, lines elsewhere."""
    if not sys.stderr.isatty():
        lines = LineProgress()
        try:
            yield lines
        finally:
            lines.flush()
        return
    with _bars() as bars:
        yield BarProgress(bars)


@contextmanager
def status_display() -> Iterator[Callable[[str], None]]:
    """A function that shows what is running, none if empty; only on a terminal."""
    from rich.console import Console

    console = Console(stderr=True, markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        yield lambda text: None
        return
    with ExitStack() as shown:

        def show(text: str) -> None:
            shown.close()
            if text:
                shown.enter_context(console.status(printable(text)))

        yield show


class LineProgress:
    """Progress as lines: the last step of each phase, and at most one other step every five seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._phase = ""
        self._written_at = 0.0
        self._held_back = ""
        self._written = ""

    def __call__(self, phase: str, done: int, total: int, /, **metrics: float) -> None:
        """Write the step, or keep it until the next line is due."""
        if phase != self._phase:
            self.flush()
            self._phase, self._written_at = phase, 0.0
        step = f"{phase} {done}/{total}{_unit(phase)}"
        self._held_back = " ".join([step, format_metrics(metrics), _time_left(metrics)]).rstrip()
        if done == total or self._clock() - self._written_at >= SECONDS_BETWEEN_LINES:
            self.flush()

    def flush(self) -> None:
        """Write the pending step, if any: the last one of a phase that stops early."""
        if self._held_back and self._held_back != self._written:
            print_line(self._held_back, err=True)
            self._written_at = self._clock()
        self._written, self._held_back = self._held_back or self._written, ""


class BarProgress:
    """Progress as bars, one per phase."""

    def __init__(self, bars: "Bars") -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, phase: str, done: int, total: int, /, **metrics: float) -> None:
        """Update the bar of the phase."""
        if phase not in self._tasks:
            for earlier in self._tasks.values():
                self._bars.stop_task(earlier)
            self._tasks[phase] = self._bars.add_task(printable(phase), total=total, metrics="")
        shown = f"{_unit(phase)} {format_metrics(metrics)}".strip()
        self._bars.update(self._tasks[phase], completed=done, total=total, metrics=printable(shown))


def format_metrics(metrics: dict[str, float]) -> str:
    """Format metrics on one line with four digits each, without the time left."""
    return " ".join(f"{name}={value:.4g}" for name, value in metrics.items() if name != SECONDS_LEFT)


def _unit(phase: str) -> str:
    return " kB" if phase in (DOWNLOAD, UPLOAD, VERIFY) else ""


def _time_left(metrics: dict[str, float]) -> str:
    return f"({metrics[SECONDS_LEFT]:.0f} s left)" if metrics.get(SECONDS_LEFT, 0.0) > 0 else ""


def format_percentage(value: float) -> str:
    """Format a fraction in [0, 1] as a percentage."""
    return f"{100 * value:.1f} %"


def accuracy_line(metrics: Mapping[str, Any], photos: str = "photos") -> str:
    """Format accuracy and macro-F1 with their intervals and the number of images, as far as they were measured.

    Args:
        metrics: `images`, `accuracy`, `macro_f1` and their intervals.
        photos: name of the images, for example `test photos`.
    """
    if metrics.get("accuracy") is None:
        return "accuracy not measured"
    images = f" of {metrics['images']:,} {photos}" if metrics.get("images") is not None else ""
    f1 = metrics.get("macro_f1")
    accuracy = with_interval(metrics["accuracy"], metrics.get("accuracy_interval"), images)
    macro_f1 = "not measured" if f1 is None else with_interval(f1, metrics.get("macro_f1_interval"))
    return f"accuracy {accuracy}, macro-F1 {macro_f1}"


def table_console() -> "Console":
    """Console of rich for tables on standard output: every text and cell is shown as it is, without markup."""
    from rich.console import Console

    class PlainConsole(Console):
        """Console whose texts are escaped: rich leaves terminal sequences in them."""

        def render_str(self, text: str, **options: Any) -> "Text":
            """One line of visible characters."""
            return super().render_str(encodable(printable(text), self.encoding), **options)

    plain: dict[str, Any] = {"markup": False, "highlight": False, "emoji": False}
    terminal = PlainConsole(**plain)
    return terminal if terminal.is_terminal else PlainConsole(**plain, width=TABLE_COLUMNS)


def _bars() -> "Bars":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    return Bars(
        TextColumn("{task.description:<12}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[metrics]}", markup=False),
        console=Console(stderr=True),
    )
