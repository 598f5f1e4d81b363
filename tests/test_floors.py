"""The floors of the house: a file imports from its own floor or lower, and heavy libraries stay on theirs."""

import ast
import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Longest name first: the room of `model.cli.training` is `model.cli`.
FLOOR_OF_ROOM = {
    "model.cli": 4,
    "model.training": 3,
    "model.evaluation": 2,
    "model.serving": 2,
    "model.publishing": 2,
    "model.trainings": 1,
    "model.usage": 1,
    "model.bundle": 1,
    "model.page": 1,
    "model.dataset": 1,
    "model.storage": 1,
    "model": 0,
    "api": 4,
}
FACES = ("model.cli", "api")
HIGHEST_AT_TOP_OF_A_FACE = 1

FLOOR_OF_LIBRARY = {
    "onnxruntime": 2,
    "sklearn": 2,
    "matplotlib": 2,
    "onnx": 3,
    "tf2onnx": 3,
    "mlflow": 3,
    "optuna": 3,
    "keras": 3,
    "tensorflow": 3,
}
# Serves a model whose ONNX export failed its parity check; they are loaded for no other.
MAY_IMPORT_KERAS_LATE = "model.serving.keras_engine"
KERAS = ("keras", "tensorflow")

SOURCES = sorted([*(ROOT / "model").rglob("*.py"), *(ROOT / "api").rglob("*.py")])


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
    return next((room for room in FLOOR_OF_ROOM if module == room or module.startswith(f"{room}.")), None)


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
    floor = FLOOR_OF_ROOM[room]
    for item in imports_of(path):
        if item.typing:
            continue
        target = room_of(item.name)
        library = item.name.partition(".")[0]
        where = f"{path.relative_to(ROOT)}:{item.line} imports {item.name}"
        if target is not None and FLOOR_OF_ROOM[target] > floor:
            yield f"{where} from floor {FLOOR_OF_ROOM[target]}, being on floor {floor} itself"
        elif target in FACES and target != room:
            yield f"{where}, another face"
        elif target is not None and room in FACES and target not in FACES and not item.late:
            if FLOOR_OF_ROOM[target] > HIGHEST_AT_TOP_OF_A_FACE:
                yield f"{where} at its top; a face does so inside a function"
        elif not (module == MAY_IMPORT_KERAS_LATE and library in KERAS and item.late):
            allowed_from = FLOOR_OF_LIBRARY.get(library, 0)
            if allowed_from and (room in FACES or allowed_from > floor):
                yield f"{where}, allowed from floor {allowed_from} and not in a face"


def test_imports_stay_on_their_floor_or_go_down() -> None:
    assert [line for module, path in MODULES.items() for line in violations(module, path)] == []


def test_the_check_sees_what_is_forbidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "import keras\nfrom model.training import trainer\nimport api\n\ndef f():\n    import sklearn\n"
    path = tmp_path / "wrong.py"
    path.write_text(source)
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    assert len(list(violations("model.dataset.wrong", path))) == 4
    assert len(list(violations("model.cli.wrong", path))) == 4


def test_no_import_circle() -> None:
    graph = {
        module: {item.name for item in imports_of(path) if not item.late and not item.typing and item.name in MODULES}
        - {module}
        for module, path in MODULES.items()
    }
    list(TopologicalSorter(graph).static_order())


HEAVY = (*FLOOR_OF_LIBRARY, "pyspark")
SHOW_HEAVY = f"import sys; print([name for name in {HEAVY!r} if name in sys.modules])"


@pytest.mark.parametrize(
    "code",
    [
        "import api; api.get_metadata(); api.get_train_args(); api.get_predict_args()",
        "from model.cli import main; main(['--help'])",
        "from model.cli import main; main(['train', '--help'])",
    ],
)
def test_describing_itself_imports_nothing_heavy(code: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", f"{code}; {SHOW_HEAVY}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines()[-1] == "[]"
