"""The search for a backbone and options, on cached features, before a training."""
