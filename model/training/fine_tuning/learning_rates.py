"""Learning rates of fine-tuning: the schedule over steps, and factors by depth below the head."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from model.networks.network import stages

_WARM_UP = 0.1
# Howard and Ruder (2018): the rate of each layer group is 2.6 times lower than that of the one above it.
_SLOWER_PER_STAGE = 2.6


def learning_rate(step: int, steps: int, peak: float) -> float:
    """The learning rate of one step: linear warm-up over the first tenth, then cosine decay; always above 0.

    Goyal et al. (2017) for the warm-up, Loshchilov and Hutter (2017) for the cosine.

    Args:
        step: counted from 0.
        steps: number of steps of the training.
        peak: the highest rate.
    """
    warm_up = max(1, int(_WARM_UP * steps))
    if step < warm_up:
        return peak * (step + 1) / warm_up
    return peak * (1 + math.cos(math.pi * (step - warm_up + 1) / (steps - warm_up + 1))) / 2


def factors_by_depth(network: keras.Model, block: keras.Model) -> list[float]:
    """Factors on the learning rate of each of `network.trainable_variables`, in (0, 1].

    1 for the head; below it discriminative rates (Howard and Ruder, 2018), with the layers of one resolution as a
    group.

    Args:
        network: `block` and the head on it.
        block: ends in a feature map.
    """
    factors = {
        id(variable): _SLOWER_PER_STAGE**-depth
        for depth, stage in enumerate(stages(block), start=1)
        for layer in stage
        for variable in layer.trainable_variables
    }
    return [factors.get(id(variable), 1.0) for variable in network.trainable_variables]


class LayerwiseAdam(keras.optimizers.Adam):
    """Adam (Kingma and Ba, 2015) with a factor on the rate of each variable, and a running average of each.

    The average is exponential (Polyak and Juditsky, 1992); it starts with the values at `build`.
    """

    def __init__(self, factors: Sequence[float], average_momentum: float, **options: Any) -> None:
        """Args:
        factors: one for each trainable variable, in order.
        average_momentum: weight of the previous average at each step, in [0, 1); with 0 the average is the weights.
        """
        super().__init__(**options)
        self._factors, self._average_momentum = factors, average_momentum

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Create the state for these variables, in the order of the factors."""
        if self.built:
            return
        super().build(variables)
        self.averages = self.add_optimizer_variables(variables, "average")
        for average, variable in zip(self.averages, variables, strict=True):
            # A copy: JAX donates the memory of an array in a step, and must not do so twice.
            average.assign(np.array(variable))

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable and its average."""
        index = self._get_variable_index(variable)
        super().update_step(gradient, variable, learning_rate * self._factors[index])
        average, kept = self.averages[index], self._average_momentum
        self.assign(average, keras.ops.add(average * kept, keras.ops.multiply(variable, 1 - kept)))
