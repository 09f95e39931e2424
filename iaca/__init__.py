"""Inconsistency-Aware Cross-Attention (IACA): the executable companion of the paper.

Kept free of heavy imports, so that `iaca --help` and the chart renderer answer at once.
"""

__version__ = "0.1.0"
