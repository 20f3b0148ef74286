"""Named algorithms: configurations of the one first-order trainer, as functions that return frozen dataclasses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from torch import nn

from dbp_policy.errors import DbpError
from dbp_training.critic import CriticConfig
from dbp_training.dynamics import DynamicsConfig
from dbp_training.entropy import EntropyConfig
from dbp_training.env import Env, Task
from dbp_training.first_order import FirstOrderTrainer
from dbp_training.first_order_config import FirstOrderConfig
from dbp_training.gradient import Analytic, Decoupled, GradientSource, Imagined
from dbp_training.ppo_config import PpoConfig
from dbp_training.sac_config import SacConfig
from dbp_training.tasks.registry import TASKS

if TYPE_CHECKING:
    from dbp_training.ppo import PpoTrainer
    from dbp_training.sac import SacTrainer


@dataclass(frozen=True)
class Algorithm:
    """A first-order trainer's configuration and the gradient source it uses, or a baseline's."""

    name: str
    source: Literal["decoupled", "analytic", "imagined", "none"]
    first_order: FirstOrderConfig | None
    dynamics: DynamicsConfig | None
    """The learned model; None for a source that needs none."""
    ppo: PpoConfig | None = None
    sac: SacConfig | None = None

    @property
    def num_envs(self) -> int:
        """Environments that are stepped together."""
        return (self.ppo or self.sac or self.first_order).num_envs

    @property
    def recurrent(self) -> int:
        """Width of the actor's hidden state, 0 for none."""
        return self.first_order.recurrent if self.first_order is not None else 0

    def make_trainer(self, env: Env, seed: int) -> FirstOrderTrainer | PpoTrainer | SacTrainer:
        """A fresh trainer; seed torch itself before."""
        if self.ppo is not None:
            from dbp_training.ppo import PpoTrainer  # slow to import

            return PpoTrainer(env, self.ppo)
        if self.sac is not None:
            from dbp_training.sac import SacTrainer  # slow to import

            return SacTrainer(env, self.sac, seed)
        return FirstOrderTrainer(env, self.gradient_source(env.task), self.first_order, seed)

    def make_policy(self, task: Task) -> nn.Module:
        """A policy of the trainer's kind, untrained: observation to action."""
        if self.ppo is not None:
            from dbp_training.ppo import PpoPolicy  # slow to import

            return PpoPolicy(task, self.ppo)
        if self.sac is not None:
            from dbp_training.sac import SacPolicy  # slow to import

            return SacPolicy(task, self.sac)
        loop = self.first_order
        return loop.make_actor(task)

    def gradient_source(self, task: Task) -> GradientSource:
        """A fresh gradient source for `task`."""
        if self.source == "analytic":
            return Analytic()
        kind = {"decoupled": Decoupled, "imagined": Imagined}[self.source]
        return kind(self.dynamics, task.state_size, task.action_size)


# Numbers that suit a task --------------------------------------------------------------------------------------------


def _preset(task: str, randomised: bool) -> tuple[FirstOrderConfig, DynamicsConfig]:
    """The loop and the model for a task."""
    if task == "go2_walk":
        # Some 100 windows teach it to walk, of 16 steps as well as of 32, in 32 environments as well as in 64: small
        # ones take the fewest steps. A robot that differs between episodes asks for a larger model.
        dynamics = DynamicsConfig(hidden=(384, 384) if randomised else (256, 256), prefill=8000, initial_updates=200)
        return FirstOrderConfig(32, 16, lr=2e-3), dynamics
    if task in ("go2_balance", "go2_handstand"):  # what a swing leads to comes later than a window ends
        loop = FirstOrderConfig(tail="bootstrap", critic=CriticConfig(hidden=(128, 128)), exploration=0.1)
        return loop, DynamicsConfig(hidden=(384, 384), updates=16, capacity=300_000)
    if not TASKS[task].differentiable:  # near what is published, with a smaller model, and a quarter of Ant's 64
        # environments: windows are as many as there after four times the steps. Updates per step are as published.
        hidden = (256, 128) if task == "humanoid" else (128, 64, 32)
        loop = FirstOrderConfig(16, 16, hidden=hidden, lr=2e-3, tail="bootstrap", critic=CriticConfig())
        if task == "half_cheetah":  # with a bound most seeds keep what they have learned
            loop = replace(loop, adjoint_clip=50.0)
        if task == "ant":  # Noise that is new at every step only shakes it where it stands. Over 100 steps (0.99) the
            # fall that its haste costs once in a thousand counts too little.
            loop = replace(loop, adjoint_clip=20.0, exploration_memory=0.8, discount=0.997)
        return loop, DynamicsConfig(updates=32, prefill=4000, initial_updates=1000, capacity=500_000)
    first_order = FirstOrderConfig(hidden=(64, 64), lr=2e-3, tail="bootstrap", critic=CriticConfig(), measure_every=10)
    return first_order, DynamicsConfig(hidden=(128, 128), batch=256, prefill=6400, initial_updates=500)


def _exact(name: str, task: str, **changes) -> Algorithm:
    """An algorithm that differentiates the simulator itself."""
    if not TASKS[task].differentiable:
        able = ", ".join(other for other, entry in TASKS.items() if entry.differentiable)
        raise DbpError(f"{name} on {task}: expected a task with a differentiable simulator ({able})")
    first_order, _ = _preset(task, False)
    return Algorithm(name, "analytic", replace(first_order, measure_every=0, **changes), None)


# Algorithms ----------------------------------------------------------------------------------------------------------


def dmo(task: str, randomised: bool = False) -> Algorithm:
    """Simulator forwards, a learned model's derivative backwards (arXiv 2509.00215)."""
    return Algorithm("dmo", "decoupled", *_preset(task, randomised))


def dmo_no_residual(task: str, randomised: bool = False) -> Algorithm:
    """dmo whose model predicts the next state instead of its change."""
    base = dmo(task, randomised)
    return replace(base, name="dmo-no-residual", dynamics=replace(base.dynamics, residual=False))


def dmo_no_value(task: str, randomised: bool = False) -> Algorithm:
    """dmo without its critic: what follows a window does not count."""
    base = dmo(task, randomised)
    if base.first_order.critic is None:
        raise DbpError(f"dmo-no-value on {task}: expected a task where dmo has a critic; here the two are the same")
    return replace(base, name="dmo-no-value", first_order=replace(base.first_order, tail="none", critic=None))


def dmo_recurrent(task: str, randomised: bool = False) -> Algorithm:
    """dmo whose actor and model have a hidden state, to tell what one observation does not, such as friction."""
    base = dmo(task, randomised)
    loop, dynamics = replace(base.first_order, recurrent=64), replace(base.dynamics, recurrent=64)
    return replace(base, name="dmo-recurrent", first_order=loop, dynamics=dynamics)


def dmo_sapo(task: str, randomised: bool = False) -> Algorithm:
    """dmo with SAPO's actor and critics: entropy in the return, a learned deviation, two critics (arXiv 2412.12089)."""
    base = dmo(task, randomised)
    critic = replace(base.first_order.critic or CriticConfig(), ensemble=2, keep=0.0)
    loop = replace(base.first_order, entropy=EntropyConfig(), tail="bootstrap", critic=critic)
    return replace(base, name="dmo-sapo", first_order=loop)


def imagined(task: str, randomised: bool = False) -> Algorithm:
    """The learned model forwards and backwards, as in MAAC: dmo without the swap."""
    return replace(dmo(task, randomised), name="imagined", source="imagined")


def shac(task: str, randomised: bool = False) -> Algorithm:
    """The simulator's own derivative over short windows that end in a critic (arXiv 2204.07137)."""
    return _exact("shac", task)


def apg_bootstrap(task: str, randomised: bool = False) -> Algorithm:
    """The simulator's own derivative over long windows cut into segments, each ending in a critic."""
    return _exact("apg-bootstrap", task, horizon=128, segment=32)


def apg_mc(task: str, randomised: bool = False) -> Algorithm:
    """apg-bootstrap without a critic: a segment goes on with the rewards observed after it, a constant."""
    return _exact("apg-mc", task, horizon=128, segment=32, tail="monte-carlo", critic=None)


def ppo(task: str, randomised: bool = False) -> Algorithm:
    """Proximal policy optimisation by rsl-rl-lib: the baseline (arXiv 1707.06347)."""
    return Algorithm("ppo", "none", None, None, PpoConfig(hidden=_preset(task, randomised)[0].hidden))


def sac(task: str, randomised: bool = False) -> Algorithm:
    """Soft actor-critic by stable-baselines3: the off-policy baseline (arXiv 1812.05905)."""
    return Algorithm("sac", "none", None, None, sac=SacConfig(hidden=_preset(task, randomised)[0].hidden))


ALGORITHMS: dict[str, Callable[[str, bool], Algorithm]] = {
    "dmo": dmo,
    "shac": shac,
    "apg-mc": apg_mc,
    "apg-bootstrap": apg_bootstrap,
    "dmo-recurrent": dmo_recurrent,
    "dmo-sapo": dmo_sapo,
    "imagined": imagined,
    "dmo-no-residual": dmo_no_residual,
    "dmo-no-value": dmo_no_value,
    "ppo": ppo,
    "sac": sac,
}
"""Name to a function of the task's name and whether it is randomised; `DbpError` where it cannot serve the task."""
