"""The tasks by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from dbp_policy.errors import DbpError
from dbp_training.env import Task
from dbp_training.gradient import Differentiable
from dbp_training.tasks.ant import Ant, AntConfig
from dbp_training.tasks.arm_reach import ArmReach, ArmReachConfig
from dbp_training.tasks.go2_balance import Go2Balance, Go2BalanceConfig
from dbp_training.tasks.go2_handstand import Go2Handstand, Go2HandstandConfig, handstand_randomisation
from dbp_training.tasks.go2_robot import full_randomisation
from dbp_training.tasks.go2_walk import Go2Walk, Go2WalkConfig
from dbp_training.tasks.half_cheetah import HalfCheetah, HalfCheetahConfig
from dbp_training.tasks.hopper import Hopper, HopperConfig
from dbp_training.tasks.humanoid import Humanoid, HumanoidConfig
from dbp_training.tasks.navigation import Navigation, NavigationConfig
from dbp_training.tasks.point_mass import PointMass, PointMassConfig
from dbp_training.tasks.push_t import PushT, PushTConfig
from dbp_training.warp_sim import find_device


@dataclass(frozen=True)
class TaskEntry:
    """What training needs to know of a task."""

    make: Callable[[Any], Task]
    """The task's class."""
    config: type
    """Its configuration, a dataclass with defaults."""
    minutes: float
    """Length of a training unless told [min]."""
    goal: tuple[tuple[str, Literal["<=", ">="], float], ...]
    """Figures of the evaluation and their bounds: what a training is expected to reach; empty for a benchmark, whose
    return has no bound."""
    randomised: Callable[[], Any] | None = None
    """Its configuration for `--randomise full`, or None if nothing in it can be randomised."""

    @property
    def differentiable(self) -> bool:
        """Whether its simulator has a derivative of its own."""
        return issubclass(self.make, Differentiable)

    @property
    def help(self) -> str:
        """The first line of the file's docstring."""
        return inspect.getmodule(self.make).__doc__.strip().splitlines()[0]

    def configure(
        self,
        randomised: bool,
        command_max: tuple[float, ...] | None = None,
        observe_velocity: bool = False,
        device: str = "cpu",
    ) -> Any:
        """The configuration that `--randomise`, `--command-max`, `--observe-velocity` and `--device` ask for.

        Raises:
            DbpError: The task cannot be randomised, follows no velocity command, has no velocity to be estimated, or
                no simulator for the device; or the device is not there.
        """
        if randomised and self.randomised is None:
            raise DbpError(f"{self.make.name}: expected --randomise none, this task always stays the same")
        config = self.randomised() if randomised else self.config()
        if command_max is not None:
            if not hasattr(config, "command_max"):
                raise DbpError(f"{self.make.name}: expected no --command-max, this task follows no velocity command")
            config = replace(config, command_max=command_max)
        if observe_velocity:
            if not hasattr(config, "observe_velocity"):
                raise DbpError(f"{self.make.name}: expected no --observe-velocity, this task estimates none")
            config = replace(config, observe_velocity=True)
        if device != "cpu":
            if not hasattr(config, "physics"):
                raise DbpError(f"{self.make.name}: expected --device cpu, this task has no other simulator")
            config = replace(config, physics=replace(config.physics, device=device))
            find_device(config.physics.warp_device)
        return config


_SUCCESS = (("success", ">=", 0.9),)

TASKS: dict[str, TaskEntry] = {
    "go2_walk": TaskEntry(
        Go2Walk,
        Go2WalkConfig,
        5.0,
        (("planar_velocity_error", "<=", 0.15), ("survival", ">=", 0.9)),
        lambda: Go2WalkConfig(randomisation=full_randomisation()),
    ),
    "go2_balance": TaskEntry(
        Go2Balance,
        Go2BalanceConfig,
        6.0,
        (("balanced_8_s", ">=", 0.8),),
        lambda: Go2BalanceConfig(randomisation=handstand_randomisation()),
    ),
    "go2_handstand": TaskEntry(
        Go2Handstand,
        Go2HandstandConfig,
        15.0,
        (("balanced_8_s", ">=", 0.9),),
        lambda: Go2HandstandConfig(randomisation=handstand_randomisation()),
    ),
    "point_mass": TaskEntry(PointMass, PointMassConfig, 0.5, _SUCCESS),
    "navigation": TaskEntry(Navigation, NavigationConfig, 2.0, _SUCCESS),
    "push_t": TaskEntry(PushT, PushTConfig, 3.0, _SUCCESS),
    "arm_reach": TaskEntry(ArmReach, ArmReachConfig, 1.0, _SUCCESS),
    "hopper": TaskEntry(Hopper, HopperConfig, 10.0, ()),
    "half_cheetah": TaskEntry(HalfCheetah, HalfCheetahConfig, 10.0, ()),
    "ant": TaskEntry(Ant, AntConfig, 20.0, ()),
    "humanoid": TaskEntry(Humanoid, HumanoidConfig, 40.0, ()),
}
