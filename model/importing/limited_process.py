"""Import of untrusted files in a child process with a limit on time and memory.

What a file claims is checked before it is used, but ONNX Runtime, HDF5, Keras and TensorFlow have the last word: the
child is ended when they take too long or too much, and the error is that of a model that cannot be imported.
"""

import sys
from pathlib import Path
from typing import Any

from model.bundle import Bundle, open_bundle
from model.errors import ModelError
from model.importing.imgclas import TrainedFolder, read_trained_folder
from model.importing.imported import Imported
from model.processes import answer_parent, limit_memory, run_child
from model.reading import describe

_SECONDS_TO_CHECK = 300.0
_SECONDS_TO_CONVERT = 1800.0
# TensorFlow and the tensors of one image; the rest grows with the files.
_BYTES_TO_CHECK = 4 * 1024**3
_BYTES_TO_CONVERT = 12 * 1024**3
_COPIES = 8


def check_in_child(directory: Path, work: Path) -> Bundle:
    """Call `check_untrusted_bundle` in a child process.

    Raises:
        ModelError, ModelDamagedError: as `check_untrusted_bundle`, or the check takes too long or too much memory.
    """
    task = f"check of {directory.name}"
    run_child(__name__, "check", directory, work, task=task, failure=ModelError, seconds=_SECONDS_TO_CHECK)
    return open_bundle(directory)


def convert_in_child(source: Path, folder: TrainedFolder, name: str, destination: Path, work: Path) -> Imported:
    """Call `import_imgclas` in a child process.

    Raises:
        ModelError: as `import_imgclas`, or the conversion takes too long or too much memory.
    """
    task = f"conversion of {folder.directory.name}"
    arguments = (source, folder.directory, name, destination, work)
    result: dict[str, Any] = run_child(
        __name__, "convert", *arguments, task=task, failure=ModelError, seconds=_SECONDS_TO_CONVERT
    )
    return Imported(open_bundle(destination).manifest, result["max_difference"], tuple(result["warnings"]))


def main(task: str, *arguments: str) -> int:
    """Main function of the child process."""
    work = _convert if task == "convert" else _check
    return answer_parent(lambda: _explained(work, *arguments), f"import of {arguments[0]}")


def _explained(work: Any, *arguments: str) -> Any:
    try:
        return work(*arguments)
    except (MemoryError, RecursionError) as error:
        raise ModelError(
            f"{arguments[0]}: expected a model that can be checked, received one that cannot: {describe(error)}."
        ) from error


def _check(directory: str, work: str) -> None:
    limit_memory(_BYTES_TO_CHECK + _COPIES * _largest_file(Path(directory)))
    from model.importing.untrusted_bundle import check_untrusted_bundle

    check_untrusted_bundle(Path(directory), Path(work))


def _convert(source: str, directory: str, name: str, destination: str, work: str) -> dict[str, Any]:
    folder = read_trained_folder(Path(directory))
    limit_memory(_BYTES_TO_CONVERT + _COPIES * folder.checkpoint.stat().st_size)
    from model.importing.untrusted_keras import check_untrusted_network

    first_check = Path(work) / "check"
    first_check.mkdir()
    check_untrusted_network(folder.checkpoint, first_check)
    # Loaded late: most hostile files are refused before, without TensorFlow.
    from model.networks.tensorflow_import import import_tensorflow

    import_tensorflow()
    from model.importing.imgclas_import import import_imgclas

    imported = import_imgclas(Path(source), folder, name, Path(destination), Path(work))
    return {"max_difference": imported.max_difference, "warnings": list(imported.warnings)}


def _largest_file(directory: Path) -> int:
    return max((path.lstat().st_size for path in directory.rglob("*")), default=0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
