"""Training the backbone with the head: how much of it, on which devices, at which rates."""
