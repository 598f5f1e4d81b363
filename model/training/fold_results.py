"""Results of the candidates of a head in the folds of a cross-validation: which to try further, and which is best.

The candidates are the L2 strengths on features as they are, followed by those on whitened features.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from model.training.checkpoints import Checkpoints
from model.training.epochs import score_of
from model.training.head_candidates import HeadOptions

Curve = list[tuple[float, float, float]]
"""Loss, accuracy and macro-F1 of held-out images after each epoch; one row of a converged head, none if not trained."""

# After this many folds and images, a candidate with this many times the loss of the leading one does not lead at the
# end: its lead on the other images would have to be as large.
_MIN_FOLDS, _MIN_IMAGES, _MAX_RATIO = 2, 100, 1.5
# 64 MB. The chosen heads of larger results are trained again.
_MAX_LOGITS = 16_000_000


@dataclasses.dataclass(frozen=True)
class Best:
    """The settings that are best for all folds.

    Attributes:
        number: index of the candidate.
        l2: its L2 strength.
        epochs: its number of epochs.
        whitened: whether its features are whitened.
        loss: its mean loss.
    """

    number: int
    l2: float
    epochs: int
    whitened: bool
    loss: float


class FoldResults:
    """Metrics of each candidate in each fold so far, and its logits where they fit into memory.

    Attributes:
        curves: for each fold that is done, the curves of the candidates.
        logits: for each fold that is done, float32 (candidates, held-out images, classes), NaN for those that were not
            trained; empty if they are not kept.
    """

    def __init__(self, sizes: Sequence[int], classes: int, variants: int, options: HeadOptions) -> None:
        """Args:
        sizes: the number of held-out images of each fold.
        variants: 2 with whitened features, else 1.
        options: those of the candidates on features as they are.
        """
        self._sizes, self._options = sizes, options
        self.candidates = variants * len(options.strengths)
        self.keeps_logits = options.until_converged and sum(sizes) * classes * self.candidates <= _MAX_LOGITS
        self.curves: list[list[Curve]] = []
        self.logits: list[np.ndarray] = []

    def restore(self, checkpoints: Checkpoints) -> None:
        """Restore the folds of an interrupted call; none of an older version, which kept others."""
        found = checkpoints.latest()
        if found is None:
            return
        arrays, state = found
        curves = state.get("measured", [])
        logits = [arrays[f"logits_{fold}"] for fold in range(len(curves)) if f"logits_{fold}" in arrays]
        is_complete = len(logits) == (len(curves) if self.keeps_logits else 0)
        if is_complete and all(len(of_fold) == self.candidates for of_fold in curves):
            self.curves, self.logits = curves, logits

    def save(self, checkpoints: Checkpoints) -> None:
        """Write the folds so far."""
        arrays = {f"logits_{fold}": logits for fold, logits in enumerate(self.logits)}
        checkpoints.save(arrays, {"measured": self.curves})

    def add(self, curves: list[Curve], logits: np.ndarray | None) -> None:
        """Add the results of the next fold."""
        self.curves.append(curves)
        if self.keeps_logits and logits is not None:
            self.logits.append(logits)

    def promising(self) -> np.ndarray:
        """Whether to train each candidate in the next fold, bool (candidates,).

        The best on features as they are is always trained, to compare the whitened ones with.
        """
        done = len(self.curves)
        chosen = self._options.stop_on == "val_loss" and self._options.until_converged
        if not chosen or done < _MIN_FOLDS or sum(self._sizes[:done]) < _MIN_IMAGES:
            return np.ones(self.candidates, bool)
        losses = np.array([loss for loss, _, _ in (curve[-1] for curve in self._means())])
        promising = losses <= _MAX_RATIO * np.nanmin(losses)
        promising[np.nanargmin(losses[: len(self._options.strengths)])] = True
        return promising

    def best(self, candidates: int | None = None) -> Best:
        """The best settings for all folds, of the first `candidates`."""
        means = self._means()[:candidates]
        reached = {
            (number, epoch): score_of(*metrics, self._options.stop_on)
            for number, curve in enumerate(means)
            for epoch, metrics in enumerate(curve)
        }
        number, epoch = min(reached, key=lambda place: reached[place])
        whitened, strength = divmod(number, len(self._options.strengths))
        epochs = self._options.epochs if self._options.until_converged else epoch + 1
        return Best(number, self._options.strengths[strength], epochs, bool(whitened), means[number][epoch][0])

    def _means(self) -> list[Curve]:
        """Mean curve of each candidate over the images of all folds so far; NaN if it was not trained in each."""
        longest = max(len(curve) for of_fold in self.curves for curve in of_fold)
        padded = np.full((len(self.curves), self.candidates, longest, 3), np.nan)
        for fold, of_fold in enumerate(self.curves):
            for number, curve in enumerate(of_fold):
                if curve:
                    # A fold that has stopped stays as it was.
                    padded[fold, number] = [*curve, *[curve[-1]] * (longest - len(curve))]
        means: list[Curve] = np.average(padded, axis=0, weights=self._sizes[: len(self.curves)]).tolist()
        return means
