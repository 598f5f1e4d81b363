"""Comparison of trained models on the same images: `compare_models`."""

from model.evaluation.comparison.gate import Gate
from model.evaluation.comparison.models import compare_models
from model.evaluation.comparison.result import Comparison

__all__ = ["Comparison", "Gate", "compare_models"]
