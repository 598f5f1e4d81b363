"""Synthetic photos: cut-outs pasted on synthetic backgrounds, and the demo dataset."""
