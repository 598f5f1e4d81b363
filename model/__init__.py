"""Topgraft's classifier library: no HTTP here, and importing it imports nothing heavy.

Data flows through the packages in this order:
dataset -> training -> bundle -> serving -> evaluation.
"""

__version__ = "0.3.0"
