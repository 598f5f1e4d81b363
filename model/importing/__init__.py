"""Models trained elsewhere, taken over as data, never as code."""
