"""From what a user has on disk to a checked, split `Dataset`, and from bytes to pixels."""
