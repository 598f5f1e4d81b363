"""Limited-memory BFGS (Nocedal, 1980; Liu and Nocedal, 1989): directions from the last changes of a gradient.

The state is plain arrays, so that an interrupted training is resumed with the direction that it would have had; the
optimizers of SciPy keep theirs to themselves.
"""

import numpy as np

MAX_PAIRS = 10
# A pair with less curvature is rounding.
_SMALLEST_CURVATURE = 1e-10


class CurvaturePairs:
    """The last steps of an optimization, with the changes of the gradient along them."""

    def __init__(self) -> None:
        self._steps: list[np.ndarray] = []
        self._changes: list[np.ndarray] = []
        self._curvatures: list[float] = []

    def add(self, step: np.ndarray, change: np.ndarray) -> None:
        """Add a step float32 (size,) and the change of the gradient, and drop the oldest of more than MAX_PAIRS."""
        curvature = float(step @ change)
        if curvature <= _SMALLEST_CURVATURE * float(change @ change):
            return
        for values, value in ((self._steps, step), (self._changes, change)):
            values.append(value)
            del values[:-MAX_PAIRS]
        self._curvatures = [*self._curvatures, curvature][-MAX_PAIRS:]

    def direction(self, gradient: np.ndarray) -> np.ndarray:
        """The direction of a step, float32 (size,), as long as a full step; without pairs, the negative gradient.

        Args:
            gradient: float32 (size,).
        """
        direction = -gradient
        pairs = list(zip(self._steps, self._changes, self._curvatures, strict=True))
        factors = []
        for step, change, curvature in reversed(pairs):
            factor = float(step @ direction) / curvature
            direction -= np.float32(factor) * change
            factors.append(factor)
        if pairs:
            _, change, curvature = pairs[-1]
            direction *= np.float32(curvature / float(change @ change))
        for (step, change, curvature), factor in zip(pairs, reversed(factors), strict=True):
            direction += np.float32(factor - float(change @ direction) / curvature) * step
        return direction

    def state(self) -> dict[str, np.ndarray]:
        """Steps and changes, float32 (pairs, size) each, for `restore`."""
        return {"steps": np.array(self._steps), "changes": np.array(self._changes)}

    def restore(self, steps: np.ndarray, changes: np.ndarray) -> None:
        """Restore the state that `state` returned."""
        self._steps, self._changes, self._curvatures = [], [], []
        for step, change in zip(steps, changes, strict=True):
            self.add(step, change)
