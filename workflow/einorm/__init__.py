"""Inhibitory normalization of error signals (arXiv:2603.17676), reproduced."""

__version__ = "0.1.0"
