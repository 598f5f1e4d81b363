"""Import of models trained elsewhere, read as data and never as code."""
