"""DDS and ROS domains for tests: none comes twice before all others did, since an ended one may still be heard."""

from __future__ import annotations

import itertools
import random

ALL = range(2, 100)
"""Beyond 101 their ports can be taken by outgoing connections (Linux's ephemeral ports)."""

_order = itertools.cycle(random.sample(ALL, len(ALL)))


def fresh() -> int:
    """A domain that hardly anyone else is on."""
    return next(_order)
