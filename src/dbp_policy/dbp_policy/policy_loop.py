"""The policy side of the control loop: an answer to every lowstate, a new joint target every policy period. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from dbp_policy.errors import DbpError
from dbp_policy.estimation.estimator import Estimate, Estimator
from dbp_policy.guard.guard import BLEND_TIME
from dbp_policy.policy_tick import PolicyTick
from dbp_policy.runner import Runner
from dbp_policy.types import GuardStatus, JointTarget, Mode, RobotState

LATE_MS = 5
"""A policy tick that answers a lowstate this much after the one it was due at is late [ms]."""

VELOCITY_MAX = 4.0
"""An estimated velocity beyond this is none of a Go2 [m/s] (its data sheet: 3.7 m/s)."""


@dataclass(frozen=True)
class Driven:
    """The velocity command of one policy tick."""

    tick_ms: int
    """The robot's counter at the lowstate it was chosen for."""
    command: np.ndarray
    """vx, vy, wz as the policy got them, shape (3,) [m/s, m/s, rad/s]."""
    source: str
    """Who is in charge."""


class PolicyLoop:
    """Runs estimator and policy on the stream of lowstates, on the robot's own millisecond counter.

    Args:
        runner: The policy.
        velocity_command: Gives the command vx, vy, wz and its source for (now, halt); asked once per policy tick.
        estimate: Whether the caller wants estimates. A policy that reads the velocity gets them in any case.
    """

    def __init__(
        self,
        runner: Runner,
        velocity_command: Callable[[float, bool], tuple[np.ndarray, str]],
        estimate: bool = True,
    ) -> None:
        self._velocity_command = velocity_command
        self._estimator = Estimator() if estimate else None
        self._mode = Mode.DAMPING
        self._granted = 0.0
        self.estimate: Estimate | None = None
        self.driven = Driven(0, np.zeros(3), "")
        """The velocity command of the last policy tick."""
        self.problem = ""
        """Why the last tick without an answer had none."""
        self.ticks = 0
        self.late_ticks = 0
        self.on_tick: Callable[[PolicyTick], None] | None = None
        """Is given the record of every policy tick."""
        self._lowstates: list[int] = []
        self.use(runner)

    def use(self, runner: Runner) -> None:
        """Changes the policy between two lowstates; the estimate goes on. Not for a moment when the robot follows it.

        Args:
            runner: The new policy, at the beginning of an episode.
        """
        self._runner = runner
        if self._estimator is None and runner.contract.reads_velocity:
            self._estimator = Estimator()
        self._period_ms = round(1000.0 / runner.contract.rate_hz)
        self._due_ms: int | None = None
        self._target: JointTarget | None = None
        self._begins_episode = True

    @property
    def command(self) -> np.ndarray:
        """The velocity command of the last policy tick, shape (3,)."""
        return self.driven.command

    def on_state(self, state: RobotState, status: GuardStatus, now: float) -> JointTarget | None:
        """Answers one lowstate: with a new target if a policy tick was due, else with the one that is held.

        What cannot be answered, a lowstate or an output of the policy with NaN in it, gets no answer, and the guard
        acts on that; the policy then begins anew.

        That the answers come is how the guard knows that this side works. Outside the guard's policy mode the policy
        runs all the same, with zero command, so that its targets are fresh when the operator starts it; it begins a new
        episode when the mode is entered. The command stays zero until the guard has blended the policy in: until then
        the motors get a mixture of its targets and the stand, which no policy has trained to do more with than stand.
        """
        if self._estimator is not None:
            self.estimate = self._estimator.update(state)
        if status.mode == Mode.POLICY != self._mode:
            self._reset()
            self._granted = now
        self._mode = status.mode
        self._lowstates.append(state.tick_ms)
        if self._is_due(state.tick_ms) or self._target is None:
            begins_episode, self._begins_episode = self._begins_episode, False
            try:
                self._target = self._tick(state, status, now)
            except DbpError as error:
                self.problem, self._target = str(error), None
                self._reset()
            self._tell(begins_episode, now)
        if self._target is None:
            return None
        return replace(
            self._target, stamp=now, state_tick_ms=state.tick_ms, estimator_diverged=self._estimate_diverged()
        )

    def _tick(self, state: RobotState, status: GuardStatus, now: float) -> JointTarget:
        share = min(status.speed_scale, 1.0) if status.speed_scale > 0.0 else 0.0  # also for NaN
        blended = status.mode == Mode.POLICY and now - self._granted >= BLEND_TIME[Mode.POLICY]
        command, source = self._velocity_command(now, not blended or share == 0.0)
        self.driven = Driven(state.tick_ms, share * command, source)
        self.ticks += 1
        velocity_body = np.zeros(3) if self.estimate is None else self.estimate.velocity_body
        return self._runner.step(state, self.driven.command, velocity_body, now)

    def _reset(self) -> None:
        self._runner.reset()
        self._begins_episode = True

    def _tell(self, begins_episode: bool, now: float) -> None:
        """Hands the record of this tick to whoever wants it."""
        lowstates, self._lowstates = tuple(self._lowstates), []
        if self.on_tick is None:
            return
        unknown, estimate = np.full(3, np.nan), self.estimate
        self.on_tick(
            PolicyTick(
                stamp=now,
                command=self.command,
                velocity_body=unknown if estimate is None else estimate.velocity_body,
                position_odom=unknown if estimate is None else estimate.position_odom,
                target_q_sdk=np.full(12, np.nan) if self._target is None else self._target.q_sdk,
                number=self.ticks,
                mode=self._mode,
                begins_episode=begins_episode,
                policy=self._runner.policy,
                lowstates=lowstates,
                observation=self._runner.observation,
            )
        )

    def _estimate_diverged(self) -> bool:
        if self.estimate is None:
            return False
        velocity = self.estimate.velocity_body
        return not velocity @ velocity <= VELOCITY_MAX**2

    def _is_due(self, tick_ms: int) -> bool:
        """Absolute schedule on the robot's clock; after a gap or a restart of the robot it starts anew."""
        if self._due_ms is None or not abs(tick_ms - self._due_ms) <= 5 * self._period_ms:
            self._due_ms = tick_ms
        if tick_ms < self._due_ms:
            return False
        late = tick_ms - self._due_ms
        if late >= LATE_MS:
            self.late_ticks += 1
        self._due_ms += self._period_ms
        if tick_ms >= self._due_ms:
            self._due_ms = tick_ms + self._period_ms
        return True
