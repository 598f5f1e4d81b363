"""From what a user has on disk to a checked, split `Dataset`, and from bytes to pixels."""

SPLIT_OPTIONS = ("val_fraction", "test_fraction", "group_pattern", "max_bad_fraction", "seed")
DATASET_OPTIONS = ("images_directory", *SPLIT_OPTIONS)
"""The options of `TrainConfig` that say how a dataset is read, and how it is split."""
