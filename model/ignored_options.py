"""Options of a training that have no effect beside the others."""

from model.config import TrainConfig, non_default_options

_OF_PRETRAINED = ("learning_rate", "l2", "refit", "fine_tune", "fine_tune_epochs")
_OF_FINE_TUNING = ("fine_tune_epochs", "fine_tune_learning_rate")


def ignored_options(config: TrainConfig, *, has_splits: bool, cross_validated: bool) -> list[str]:
    """Sentences about options that differ from their defaults but have no effect.

    Args:
        has_splits: whether the dataset has its own splits.
        cross_validated: whether cross-validation replaces the test split.
    """
    reasons: list[tuple[tuple[str, ...], str]] = []
    if config.weights == "none":
        folds = ("folds",) if (config.folds or 0) > 1 else ()
        reasons.append(((*_OF_PRETRAINED, *folds), "weights = none trains all layers from random weights"))
    elif config.fine_tune == "none":
        reasons.append((_OF_FINE_TUNING, "fine_tune = none does not train the backbone"))
    if config.tune_minutes is None:
        reasons.append((("tune_backbones",), "without tune_minutes there is no search"))
    if config.augmentation == "none":
        reasons.append((("augmented_views",), "augmentation = none creates no views"))
    if has_splits:
        reasons.append((("test_fraction",), "the dataset has its own splits"))
    elif cross_validated:
        reasons.append((("test_fraction",), "cross-validation replaces the test split: set folds = 0 for a test split"))
    set_options = non_default_options(config)
    changed = [([name for name in names if name in set_options], reason) for names, reason in reasons]
    return [f"{', '.join(names)}: set, but has no effect, because {reason}" for names, reason in changed if names]
