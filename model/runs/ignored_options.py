"""Options that were set and change nothing, because of other options or of the dataset."""

from model.config import TrainConfig

_OF_PRETRAINED = ("learning_rate", "l2", "refit", "fine_tune", "fine_tune_epochs")
_OF_FINE_TUNING = ("fine_tune_epochs", "fine_tune_learning_rate")


def ignored_options(config: TrainConfig, *, has_splits: bool, cross_validated: bool) -> list[str]:
    """A sentence for each reason why options that differ from their defaults are without effect.

    Args:
        has_splits: whether the dataset brings its own splits.
        cross_validated: whether folds take the place of a test split that would be made.
    """
    reasons: list[tuple[tuple[str, ...], str]] = []
    if config.weights == "none":
        folds = ("folds",) if (config.folds or 0) > 1 else ()
        reasons.append(((*_OF_PRETRAINED, *folds), "weights = none trains all layers at once, from random numbers"))
    elif config.fine_tune == "none":
        reasons.append((_OF_FINE_TUNING, "fine_tune = none leaves the backbone as it is"))
    if config.tune_minutes is None:
        reasons.append((("tune_backbones",), "without tune_minutes nothing is tuned"))
    if config.augmentation == "none":
        reasons.append((("augmented_views",), "augmentation = none makes no views"))
    if has_splits:
        reasons.append((("test_fraction",), "the dataset brings its own splits"))
    elif cross_validated:
        reasons.append((("test_fraction",), "cross-validation takes the place of the test: folds = 0 to have one"))
    changed = [(_changed(config, names), reason) for names, reason in reasons]
    return [f"{', '.join(names)}: set, but without effect, because {reason}" for names, reason in changed if names]


def _changed(config: TrainConfig, names: tuple[str, ...]) -> list[str]:
    defaults = TrainConfig()
    return [name for name in names if getattr(config, name) != getattr(defaults, name)]
