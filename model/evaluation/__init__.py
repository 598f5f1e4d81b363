"""Evaluation of a trained model: metrics with confidence intervals, calibration, comparison, the report."""
