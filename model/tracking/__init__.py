"""Tracking of trainings in TensorBoard and MLflow."""
