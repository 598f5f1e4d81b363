"""Image classifiers by transfer learning: train, evaluate and use a model in one import.

    import topgraft

    result = topgraft.train("photos")
    model = topgraft.load(result.model)
    print(model.predict("photo.jpg").labels[0])

Every name is imported on first use: `import topgraft` loads neither TensorFlow nor ONNX Runtime.
"""

from typing import TYPE_CHECKING, Any

from model import __version__

if TYPE_CHECKING:
    from model import errors
    from model.config import PredictConfig, TrainConfig
    from model.training_result import TrainingResult
    from model.workspace import Workspace
    from topgraft._data_functions import (
        export_model,
        featurize,
        import_labels,
        import_model,
        pack,
        send_files,
        synthesize,
    )
    from topgraft._functions import check, compare, evaluate, load, predict, resume, train, tune

__all__ = [
    "PredictConfig",
    "TrainConfig",
    "TrainingResult",
    "Workspace",
    "__version__",
    "check",
    "compare",
    "errors",
    "evaluate",
    "export_model",
    "featurize",
    "import_labels",
    "import_model",
    "load",
    "pack",
    "predict",
    "resume",
    "send_files",
    "synthesize",
    "train",
    "tune",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from topgraft import _data_functions, _functions

    value = globals()[name] = getattr(_functions, name, None) or getattr(_data_functions, name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
