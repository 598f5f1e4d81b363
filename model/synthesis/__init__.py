"""Synthetic photos: cut-outs pasted on drawn backgrounds, and the demo dataset."""
