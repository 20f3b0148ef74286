"""Where the derivative of the dynamics comes from.

| source      | forward state            | backward                                          |
|-------------|--------------------------|---------------------------------------------------|
| `Decoupled` | simulator                | learned model, evaluated at the real states       |
| `Analytic`  | differentiable simulator | the simulator itself                              |
| `Imagined`  | learned model            | the same model, evaluated at the imagined states  |
"""

from dbp_training.gradient.analytic import Analytic, Differentiable
from dbp_training.gradient.decoupled import Decoupled
from dbp_training.gradient.imagined import Imagined
from dbp_training.gradient.source import GradientSource, carry, clip_adjoint, swap

__all__ = ["Analytic", "Decoupled", "Differentiable", "GradientSource", "Imagined", "carry", "clip_adjoint", "swap"]
