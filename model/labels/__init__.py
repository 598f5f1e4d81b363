"""Labelled photos from Label Studio and COCO files as datasets."""
