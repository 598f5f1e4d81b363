"""Training of a classifier on a dataset: cached features, the head, cross-validation, fine-tuning."""
