"""Candidates for a head that are trained in minibatches.

Stochastic gradient descent with Nesterov momentum (Sutskever et al., 2013), and the L2 penalty as a proximal step,
which is stable at any strength. Dividing each feature by its own deviation, or Adam, which does much the same to the
gradient, costs one to three points of accuracy on small sets.
"""

import numpy as np
from scipy.special import softmax

from model.training.head_candidates import MINIBATCHES, MOMENTUM, Candidates, HeadOptions, Scaling

BATCHES_IN_ONE = 8
"""How many times `batch_size` a batch has where steps are many or weights are many: a step on one changes all weights,
which takes longer than the batch itself."""


class MinibatchCandidates(Candidates):
    """Weights of all candidates with their momentum, of the same shapes."""

    method = MINIBATCHES
    changing = ("kernel", "bias", "kernel_momentum", "bias_momentum", "best_epoch")

    def __init__(self, scaling: Scaling, adjustment: np.ndarray, options: HeadOptions) -> None:
        super().__init__(scaling, adjustment, options)
        self.kernel_momentum, self.bias_momentum = np.zeros_like(self.kernel), np.zeros_like(self.bias)

    def step(self, inputs: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> None:
        """One step of all candidates on a batch: see `model.training.batches.Batch`."""
        error = softmax(inputs @ self.kernel + self.bias + self.adjustment, axis=-1)
        error -= targets
        error *= (weights / len(weights))[None, :, None]
        self.descend(self.kernel, self.kernel_momentum, inputs.T @ error)
        self.descend(self.bias, self.bias_momentum, error.sum(axis=1, keepdims=True))
        self.kernel *= (1 / (1 + self.options.learning_rate * self.strengths))[:, None, None]

    def descend(self, values: np.ndarray, momentum: np.ndarray, gradient: np.ndarray) -> None:
        """Change weights, and their momentum, in place by a gradient of the same shape, which is overwritten."""
        momentum *= MOMENTUM
        momentum += gradient
        gradient += MOMENTUM * momentum
        gradient *= self.options.learning_rate
        values -= gradient
