"""Inhibitory normalization of error signals (arXiv:2603.17676), reproduced."""

import sys

__version__ = "0.1.0"

MISSING_PACKAGE = "the package {} is missing: install the environment (pip install --no-deps -r envs/requirements.lock)"

if sys.version_info < (3, 11):  # noqa: UP036 (pip checks it only where the package is installed)
    sys.exit(f"einorm: error: this is Python {sys.version.split()[0]}, 3.11 or newer is needed: use another python")
