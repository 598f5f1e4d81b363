"""Features in the span of the images: as many as there are images, where these are fewer than the features.

A head that starts from zeros stays in the span of the images that it is trained on, and its L2 penalty treats all
directions alike. In an orthonormal basis of a span that contains all images, training and logits are therefore the same
up to rounding, in a fraction of the time; its weights are those for the features in the basis.
"""

import dataclasses

import numpy as np

from model.training.head_candidates import LabelledFeatures


def in_span(images: LabelledFeatures) -> LabelledFeatures:
    """The same images, with features in an orthonormal basis of their span; unchanged if they are too many."""
    copies = np.concatenate([images.features, *images.views])
    features, *views = np.split(span_features(copies), 1 + len(images.views))
    return dataclasses.replace(images, features=features, views=tuple(views))


def span_features(features: np.ndarray) -> np.ndarray:
    """Features float32 (n, features) in an orthonormal basis of their span: (n, n), or unchanged if n is larger.

    The basis itself is not computed: in it, the images are the rows of the transposed triangle of a QR decomposition.
    """
    images, width = features.shape
    if images >= width:
        return features
    triangle = np.asarray(np.linalg.qr(features.T.astype(np.float64), mode="r"))
    return np.ascontiguousarray(triangle.T, np.float32)
