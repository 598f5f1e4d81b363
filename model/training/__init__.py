"""From a dataset to a bundle: pretrained backbones, cached features, the head, fine-tuning, export."""
