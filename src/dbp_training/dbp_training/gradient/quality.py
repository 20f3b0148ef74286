"""How good a window's gradient is: a learned model's against the exact one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def gradient_quality(estimate: Sequence[Tensor], exact: Sequence[Tensor]) -> dict[str, float]:
    """Compares two gradients with respect to the same parameters.

    Returns:
        `gradient_cosine`: of the angle between them; `gradient_relative_error`: |estimate - exact| / |exact|.
        Both are NaN where the exact gradient is zero.
    """
    a, b = (torch.cat([part.flatten().double() for part in parts]) for parts in (estimate, exact))
    return {
        "gradient_cosine": (a @ b / (a.norm() * b.norm())).item(),
        "gradient_relative_error": ((a - b).norm() / b.norm()).item(),
    }
