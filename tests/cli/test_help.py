"""`--help` is fast and imports no heavy library."""

import os
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

from model.cli.command import topgraft
from model.config import BASIC_OPTIONS, TrainConfig, options_of
from tests.support.command import COMMAND, ROOT, Run
from tests.support.processes import run_measured
from tests.support.subcommands import leaves
from tests.test_floors import HEAVY

SUBCOMMANDS = ((), *(words for words, _ in leaves(topgraft)))
# The interpreter with the libraries that describe the options.
LIBRARIES = [sys.executable, "-c", "import click, marshmallow"]


@pytest.mark.parametrize("subcommand", [(), ("train",), ("predict",)], ids=" ".join)
def test_help_is_fast(subcommand: tuple[str, ...]) -> None:
    # Processor time, not the clock's, and the best of three: other work of the machine must not make this test fail.
    help_text = [*COMMAND, *subcommand, "--help"]
    assert any(_processor_seconds(help_text) < 6 * _processor_seconds(LIBRARIES) for _ in range(3))


def _processor_seconds(command: list[str]) -> float:
    # Coverage would count as well.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return run_measured(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL).processor


def test_help_imports_nothing_heavy() -> None:
    code = (
        f"import sys; from model.cli import main\n"
        f"for words in {SUBCOMMANDS!r}:\n"
        f"    assert main([*words, '--help']) == 0, words\n"
        f"    assert not [name for name in {(*HEAVY, 'numpy', 'PIL')!r} if name in sys.modules], words"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_every_subcommand_is_in_the_help(run: Run) -> None:
    shown = run("--help").stdout
    assert all(subcommand[0] in shown for subcommand in SUBCOMMANDS if subcommand)


def test_help_of_train_shows_defaults_bounds_and_choices(run: Run) -> None:
    shown = " ".join(run("train", "--help").stdout.split())
    assert "--resize squash|pad|crop" in shown
    assert "default: EfficientNetLite0" in shown
    assert "32 to 1024" in shown


@pytest.mark.parametrize("subcommand", ["train", "tune"])
def test_advanced_options_have_a_section_of_their_own(subcommand: str) -> None:
    shown = CliRunner().invoke(topgraft, [subcommand, "--help"]).output
    basic, advanced = (
        re.findall(r"^  --([a-z0-9-]+)", section, re.M) for section in shown.partition("\nAdvanced options:\n")[::2]
    )
    names = [name.replace("_", "-") for name in options_of(TrainConfig)]
    expected = [name.replace("_", "-") for name in BASIC_OPTIONS[TrainConfig]]
    assert [name for name in basic if name in expected] == [name for name in expected if name in basic]
    assert {"dataset", "name", "preset", "json", "workspace"} <= set(basic)
    assert [name for name in advanced if name in names] == advanced
    assert not set(advanced) & set(basic) and {"seed", "epochs", "folds"} <= set(advanced)
    assert "Advanced. " not in shown
