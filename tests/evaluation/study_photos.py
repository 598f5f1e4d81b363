"""Photos with features of which each class has its own cluster, for tests of what a report shows of them."""

from pathlib import Path

import numpy as np
from scipy.special import softmax

from model.evaluation.photo_features import PhotoFeatures
from model.results import Sample
from model.serving.reference_features import build_reference_features


def photo_features(
    images: int = 120, classes: int = 3, wrong: int = 0, seed: int = 0, folder: Path = Path()
) -> PhotoFeatures:
    """Photos of which the first `wrong` have the label of the next class; every fourth is not a training photo."""
    rng = np.random.default_rng(seed)
    true = np.arange(images) % classes
    means = np.random.default_rng(7).gamma(2.0, size=(classes, 60)) * 3
    features = (means[true] + rng.gamma(1.0, size=(images, 60))).astype(np.float32)
    labels = np.where(np.arange(images) < wrong, (true + 1) % classes, true)
    logits = rng.normal(0, 1, (images, classes))
    logits[np.arange(images), true] += 4
    names = tuple(f"class{label}/{row}.png" for row, label in enumerate(labels.tolist()))
    samples = tuple(Sample(folder / name, name, int(label)) for name, label in zip(names, labels, strict=True))
    splits = tuple(("val" if row % 8 == 3 else "test") if row % 4 == 3 else "train" for row in range(images))
    train = np.flatnonzero(np.array(splits) == "train")
    reference = build_reference_features(features[train], labels[train], [names[row] for row in train])
    probabilities = softmax(logits, axis=1).astype(np.float32)
    return PhotoFeatures(
        tuple(f"class{label}" for label in range(classes)), samples, splits, features, probabilities, reference
    )
