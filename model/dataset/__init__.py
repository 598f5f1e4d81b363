"""Datasets: layouts, lists, checks, splits, and decoding of images."""

SPLIT_OPTIONS = ("val_fraction", "test_fraction", "group_pattern", "max_bad_fraction", "seed")
LAYOUT_OPTIONS = (
    "images_directory",
    "class_level",
    "table",
    "image_column",
    "label_column",
    "split_column",
    "group_column",
)
# Photos that cannot be read are counted, and do not end the work.
FEATURIZE_OPTIONS = (*LAYOUT_OPTIONS, *(name for name in SPLIT_OPTIONS if name != "max_bad_fraction"))
DATASET_OPTIONS = (*LAYOUT_OPTIONS, *SPLIT_OPTIONS)
"""Options of `TrainConfig` that control how a dataset is read and split."""
