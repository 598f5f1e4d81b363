"""The rooms of the library: which may import which, and where heavy libraries are allowed."""

import ast
import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# From the ground up: a room imports only itself and rooms before it. `model` stands for the files directly in model/
# that have no line of their own.
ROOMS = (
    "model",
    "model.web",
    "model.files",
    "model.storage",
    "model.dataset",
    "model.promotion",
    "model.bundle",
    "model.registry",
    "model.features",
    "model.serving",
    "model.evaluation",
    "model.labels",
    "model.curation",
    "model.synthesis",
    "model.networks",
    "model.scale",
    "model.training",
    "model.export",
    "model.tuning",
    "model.publishing",
    "model.importing",
    "model.tracking",
    "model.runs",
    "model.pipelines",
    "model.usage",
    "model.page",
    "model.studio",
    "model.cli",
    "api",
    "topgraft",
)
FACES = ("model.cli", "api", "topgraft")
# Files of a face import these at their top, and all others inside functions: describing a face loads nothing heavy.
LIGHT_ROOMS = (
    *("model", "model.files", "model.storage", "model.dataset", "model.promotion", "model.bundle", "model.registry"),
    *("model.runs", "model.usage", "model.page", "model.web"),
)
LIGHT_MODULES = ("model.serving.model_cache", "model.evaluation.report.policy")

# The first room that may import a library; the faces may not at all.
FIRST_ROOM_OF_LIBRARY = {
    "onnxruntime": "model.features",
    "sklearn": "model.features",
    "freetype": "model.features",
    "onnx": "model.features",
    "tf2onnx": "model.networks",
    "mlflow": "model.networks",
    "optuna": "model.networks",
    "keras": "model.networks",
    "tensorflow": "model.networks",
    "pyspark": "model.scale",
}
# Serves a model whose ONNX export failed its parity check; they are loaded for no other.
MAY_IMPORT_KERAS_LATE = "model.serving.keras_engine"
KERAS = ("keras", "tensorflow")

SOURCES = sorted(path for package in ("model", "api", "topgraft") for path in (ROOT / package).rglob("*.py"))


@dataclasses.dataclass(frozen=True)
class Import:
    """One name imported: `late` inside a function, `typing` under TYPE_CHECKING."""

    name: str
    line: int
    late: bool
    typing: bool


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in SOURCES}


def room_of(module: str) -> str | None:
    """The room of a module of ours, the one with the longest name; None for a library."""
    rooms = [room for room in ROOMS if module == room or module.startswith(f"{room}.")]
    return max(rooms, key=len, default=None)


def imports_of(path: Path) -> Iterator[Import]:
    yield from _walk(ast.parse(path.read_text(encoding="utf-8")), late=False, typing=False)


def _walk(node: ast.AST, late: bool, typing: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, child.lineno, late, typing) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"line {child.lineno}: relative import"
            for alias in child.names:
                submodule = f"{child.module}.{alias.name}"
                name = submodule if submodule in MODULES else str(child.module)
                yield Import(name, child.lineno, late, typing)
        else:
            in_function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            checking = isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")
            yield from _walk(child, late or in_function, typing or checking)


def violations(module: str, path: Path) -> Iterator[str]:
    room = room_of(module)
    assert room is not None
    for item in imports_of(path):
        if item.typing:
            continue
        target = room_of(item.name)
        where = f"{path.relative_to(ROOT)}:{item.line} imports {item.name}"
        if target is None:
            library = item.name.partition(".")[0]
            if not may_import_library(module, room, library, item.late):
                yield f"{where}, allowed from {FIRST_ROOM_OF_LIBRARY[library]} on and not in a face"
        elif target in FACES and target != room:
            yield f"{where}, another face"
        elif ROOMS.index(target) > ROOMS.index(room):
            yield f"{where}, from a room above {room}"
        elif room in FACES and target not in (*LIGHT_ROOMS, room) and item.name not in LIGHT_MODULES and not item.late:
            yield f"{where} at its top; a face does so inside a function"


def may_import_library(module: str, room: str, library: str, late: bool) -> bool:
    first = FIRST_ROOM_OF_LIBRARY.get(library)
    if first is None or (module == MAY_IMPORT_KERAS_LATE and library in KERAS and late):
        return True
    return room not in FACES and ROOMS.index(room) >= ROOMS.index(first)


def test_a_room_imports_only_rooms_below_it() -> None:
    assert [line for module, path in MODULES.items() for line in violations(module, path)] == []


def imports_by_string(path: Path) -> Iterator[str]:
    """Calls of `import_module` or `__import__` with a name of ours, which no search and no type checker sees."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        called = ast.unparse(node.func).split(".")[-1] if isinstance(node, ast.Call) else ""
        source = ast.unparse(node) if called in ("import_module", "__import__") else ""
        if any(f"'{package}" in source for package in ("model", "api", "topgraft")):
            yield f"{path.relative_to(ROOT)}: {source}"


def test_no_module_of_ours_is_imported_by_a_string() -> None:
    assert [line for path in MODULES.values() for line in imports_by_string(path)] == []


# Programs started as child processes with `python -m`, and the packages of static files.
NAMED_BY_STRINGS = {
    *(
        "model.dataset.decoding_child",
        "model.curation.verdict_process",
        "model.tracking.mlflow_run",
        "model.page",
        "model.studio",
    ),
    *("model.pipelines.step_process", "model.pipelines.kernel"),
}


def modules_named_by_strings(path: Path) -> Iterator[str]:
    """String literals that are the name of a module in a room."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        name = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
        if "." in name and name in MODULES:
            yield name


def test_no_other_module_is_named_by_a_string() -> None:
    assert {name for path in MODULES.values() for name in modules_named_by_strings(path)} == NAMED_BY_STRINGS


def test_every_room_exists() -> None:
    assert [room for room in ROOMS if room not in MODULES] == []


def test_the_check_sees_what_is_forbidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "import keras\nfrom model.training import head\nimport api\n\ndef f():\n    import sklearn\n"
    path = tmp_path / "wrong.py"
    path.write_text(source + '    importlib.import_module("model.runs.trainer")\n')
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    assert len(list(violations("model.dataset.wrong", path))) == 4
    assert len(list(violations("model.cli.wrong", path))) == 4
    assert len(list(imports_by_string(path))) == 1


def test_no_import_circle() -> None:
    graph = {
        module: {item.name for item in imports_of(path) if not item.late and not item.typing and item.name in MODULES}
        - {module}
        for module, path in MODULES.items()
    }
    list(TopologicalSorter(graph).static_order())


HEAVY = tuple(FIRST_ROOM_OF_LIBRARY)
SHOW_HEAVY = f"import sys; print([name for name in {HEAVY!r} if name in sys.modules])"


@pytest.mark.parametrize(
    "code",
    [
        "import api; api.get_metadata(); api.get_train_args(); api.get_predict_args()",
        "from topgraft import *",
        "from model.cli import main; main(['--help'])",
        "from model.cli import main; main(['train', '--help'])",
    ],
)
def test_describing_itself_imports_nothing_heavy(code: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", f"{code}; {SHOW_HEAVY}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines()[-1] == "[]"


def test_importing_topgraft_loads_less_than_importing_the_plug_in() -> None:
    loaded = {package: modules_after(f"import {package}") for package in ("topgraft", "api")}
    ours = {name for name in loaded["topgraft"] if name.split(".")[0] in ("api", "model", "topgraft")}
    assert ours == {"model", "topgraft"} and "numpy" not in loaded["topgraft"]
    assert len(loaded["topgraft"]) < len(loaded["api"])


def modules_after(code: str) -> list[str]:
    ran = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.split()


def test_preparing_a_dataset_loads_no_storage() -> None:
    code = (
        "import sys, model.dataset.prepare; print([name for name in sys.modules if name.startswith('model.storage')])"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"


# Functions that read content of any origin, and the files that may call them because they bound it themselves. All
# others call `model.reading`, whose one error stands for everything that bad input makes a parser raise.
PARSERS: dict[str, tuple[str, ...]] = {
    "json.load": (),
    "json.loads": ("model/reading.py", "api/arguments.py"),
    "yaml.load": (),
    "yaml.safe_load": ("model/schema.py",),
    "ast.literal_eval": (),
    "pickle.load": (),
    "pickle.loads": (
        "api/worker.py",
        "api/worker_messages.py",
        "api/worker_process.py",
        "model/dataset/decoding_child.py",
        "model/scale/worker.py",
    ),
    "pickle.Unpickler": (),
    "np.load": ("model/training/checkpoints.py", "model/training/fine_tuning/input_store.py"),
    "h5py.File": (
        "model/export/keras_file.py",
        "model/importing/untrusted_backbone.py",
        "model/importing/untrusted_keras.py",
    ),
    "csv.reader": ("model/dataset/tables/files.py", "model/tables.py"),
    "csv.DictReader": (),
    "tarfile.open": (
        "model/files/archives.py",
        "model/files/packing.py",
        "model/files/tar_members.py",
        "model/pipelines/dataset_checksum.py",
        "model/publishing/archive.py",
    ),
    "zipfile.ZipFile": (
        "model/dataset/tables/files.py",
        "model/export/keras_file.py",
        "model/export/keras_template.py",
        "model/files/arrays.py",
        "model/files/zip_members.py",
        "model/importing/untrusted_keras.py",
        "model/studio/work.py",
    ),
}


@pytest.mark.parametrize("parser", PARSERS)
def test_content_is_parsed_only_where_it_is_bounded(parser: str) -> None:
    callers = {
        path.relative_to(ROOT).as_posix()
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == parser
    }
    assert callers == set(PARSERS[parser]), f"{parser}: call read_json or parse_json of model/reading.py instead"
