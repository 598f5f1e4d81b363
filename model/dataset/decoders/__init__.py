"""Decoders of image formats, one module each; used by `model.dataset.images` only.

Each module has a function `open_FORMAT(content) -> ImageSource`, which reads the header, and decodes nothing.
"""
