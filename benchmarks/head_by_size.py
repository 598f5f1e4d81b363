"""Processor time of the head by the numbers of photos and classes, beside scikit-learn's L-BFGS.

How: drawn features of 1,280 dimensions with decreasing variance, as those of a network, in classes that overlap. Both
train for four L2 strengths on the same rows, on one thread, and choose one of them on the same validation rows:
Topgraft as in a training with default options, scikit-learn by `LogisticRegression` with `max_iter=100` for each
strength, in float32 and on the same scaled features. Accuracy is that on 3,000 other rows.

Depends on: the difficulty of the classes, which determines the number of iterations.
"""

import argparse
import time
import warnings

import numpy as np
import threadpoolctl
from scipy.special import log_softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from benchmarks.tables import markdown_table, times, verdict
from model.training.full_batch_candidates import scaled_with_views
from model.training.head import is_full_batch, train_head
from model.training.head_candidates import L2_CANDIDATES, MOMENTUM, HeadOptions, LabelledFeatures

SIZES = ("1000x10", "1000x100", "10000x10", "10000x100", "10000x1000", "100000x10", "100000x100")
FEATURES, LATENT = 1280, 256
TEST, VAL = 3000, 0.15
OPTIONS = HeadOptions(epochs=100, patience=15, batch_size=32, learning_rate=1.0, l2=None, seed=0)
GOAL = 2.0
POINTS = 0.005

Way = tuple[float, float, str]
"""Processor seconds, accuracy on the test rows, and the number of iterations."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sizes", nargs="*", default=SIZES, help="photos x classes, such as 1000x10")
    rows, slower, worse = [], [], []
    for size in parser.parse_args().sizes:
        photos, classes = map(int, size.split("x"))
        train, val = (_draw(count, classes, seed) for seed, count in enumerate((photos, max(1, round(VAL * photos)))))
        test = _draw(TEST, classes, 2)
        with threadpoolctl.threadpool_limits(1):
            ours, theirs = _ours(train, val, test, classes), _theirs(train, val, test)
        ratio = ours[0] / theirs[0]
        slower += [size] * (ratio > GOAL)
        worse += [size] * (ours[1] < theirs[1] - POINTS)
        method = "L-BFGS" if is_full_batch(FEATURES, classes, OPTIONS) else "minibatches"
        rows.append([f"{photos:,}", f"{classes:,}", method, *_cells(ours), *_cells(theirs), times(ratio, 2)])
    header = ["training photos", "classes", "topgraft", "processor time", "accuracy", "epochs"]
    print(markdown_table([*header, "scikit-learn", "accuracy", "iterations", "topgraft to scikit-learn"], rows))
    print()
    print(f"- {verdict(f'at most {GOAL:.0f} times the time of scikit-learn at each size', not slower)}")
    print(f"- {verdict(f'accuracy at most {100 * POINTS:.1f} points lower at each size', not worse)}")


def _draw(rows: int, classes: int, seed: int) -> LabelledFeatures:
    fixed, rng = np.random.default_rng(99), np.random.default_rng(seed)
    spectrum = (1 + np.arange(LATENT, dtype=np.float32)) ** -0.5
    mixing = fixed.standard_normal((LATENT, FEATURES), np.float32) / np.float32(np.sqrt(LATENT))
    centres = fixed.standard_normal((classes, LATENT), np.float32)
    labels = rng.permutation(np.arange(rows) % classes)
    latent = (centres[labels] + 4 * rng.standard_normal((rows, LATENT), np.float32)) * spectrum
    features = np.maximum(3 * latent @ mixing + 0.3 * rng.standard_normal((rows, FEATURES), np.float32), 0)
    return LabelledFeatures(features, labels, np.ones(rows, np.float32))


def _ours(train: LabelledFeatures, val: LabelledFeatures, test: LabelledFeatures, classes: int) -> Way:
    started = time.process_time()
    head = train_head(train, val, classes, OPTIONS)
    seconds = time.process_time() - started
    return seconds, float((head.logits(test.features).argmax(axis=1) == test.labels).mean()), str(len(head.history))


def _theirs(train: LabelledFeatures, val: LabelledFeatures, test: LabelledFeatures) -> Way:
    scaling, inputs = scaled_with_views(train)
    scaled_val, scaled_test = scaling.scaled(val.features), scaling.scaled(test.features)
    started, iterations = time.process_time(), []
    best, accuracy = np.inf, 0.0
    for strength in L2_CANDIDATES:
        fitted = LogisticRegression(C=1 / (strength * (1 - MOMENTUM) * len(inputs)), max_iter=100)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted.fit(inputs, train.labels)
        iterations.append(int(fitted.n_iter_.max()))
        logs = log_softmax(fitted.decision_function(scaled_val), axis=1)
        loss = -float(logs[np.arange(len(logs)), val.labels].mean())
        if loss < best:
            best, accuracy = loss, fitted.score(scaled_test, test.labels)
    return time.process_time() - started, float(accuracy), " + ".join(map(str, iterations))


def _cells(way: Way) -> list[str]:
    seconds, accuracy, iterations = way
    return [f"{seconds:.1f} s", f"{accuracy:.3f}", iterations]


if __name__ == "__main__":
    main()
