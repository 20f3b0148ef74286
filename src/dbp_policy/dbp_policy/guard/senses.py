"""Everything the guard watches in the robot's own messages, in one place: the faults that the lowstates show.

What motors follow is judged before the command goes out. What wears down or only forbids a start (heat, battery, lost
packets, feet, gravity) may wait until it is on its way, and counts from the next step on: caches are cold when a
lowstate comes, and each check then costs several times what it costs later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dbp_policy.guard.checks.body import BatteryWatch, FootWatch, LostWatch, heat_faults
from dbp_policy.guard.checks.imu import FreeFallWatch, GravityWatch, GyroWatch
from dbp_policy.guard.checks.joints import EncoderWatch
from dbp_policy.guard.checks.lowstate import FrozenWatch, LowstateWatch, is_valid, posture_faults
from dbp_policy.types import Mode, MotorCommand, RobotState
from dbp_policy.unitree.remote import decode_remote


class Senses:
    """Owns the watches on the robot's side. Faults of a lowstate stay present until the next one.

    Args:
        nose_down: How far nose down a policy may hold the trunk, `go2.POSTURES` [rad].
    """

    def __init__(self, nose_down: float = 0.0) -> None:
        self._nose_down = nose_down
        self._lowstate = LowstateWatch()
        self._frozen = FrozenWatch()
        self._encoders = EncoderWatch()
        self._gyro = GyroWatch()
        self._gravity = GravityWatch()
        self._free_fall = FreeFallWatch()
        self._battery = BatteryWatch()
        self._lost = LostWatch()
        self._feet = FootWatch()
        self._shown: tuple[str, ...] = ()
        self._caught_up: RobotState | None = None
        """The lowstate that the watches which may wait have seen."""
        self._shown_later: tuple[str, ...] = ()

    @property
    def state(self) -> RobotState | None:
        """The newest lowstate."""
        return self._lowstate.state

    def update(
        self, states: Sequence[RobotState], corrupt: int, command: MotorCommand, mode: Mode, now: float
    ) -> list[str]:
        """Takes what arrived since the last call; the faults present. First catches up with the lowstate before.

        Args:
            states: Good lowstates, oldest first.
            corrupt: How many payloads came with a wrong length or checksum.
            command: The last command given.
            mode: The guard's.
            now: Time [s].
        """
        self.catch_up(mode)
        previous = self.state
        faults = list(self._lowstate.update(states, corrupt, now))
        state = self.state
        if state is not None and state is not previous:
            self._shown = tuple(self._faults_of(state, command, mode))
        if previous is None:  # of the first one all is known at once
            self.catch_up(mode)
        return [*faults, *self._shown, *self._shown_later]

    def catch_up(self, mode: Mode) -> None:
        """Has the watches that may wait look at the newest lowstate, once; their faults count from the next update on.

        Args:
            mode: The guard's.
        """
        state = self.state
        if state is not None and state is not self._caught_up:
            self._caught_up = state
            self._shown_later = tuple(self._later_faults_of(state, mode))

    def _faults_of(self, state: RobotState, command: MotorCommand, mode: Mode) -> Iterator[str]:
        if any(state.remote) and decode_remote(state.remote).estop_pressed:
            yield "estop"
        yield from self._frozen.update(state)
        if not is_valid(state):
            yield "lowstate_invalid"
            return
        yield from posture_faults(state, self._nose_down if mode == Mode.POLICY else 0.0)
        yield from self._encoders.update(state, command)
        yield from self._gyro.update(state)
        yield from self._free_fall.update(state)

    def _later_faults_of(self, state: RobotState, mode: Mode) -> Iterator[str]:
        yield from heat_faults(state)
        yield from self._battery.update(state)
        yield from self._lost.update(state)
        if "lowstate_invalid" not in self._shown:
            yield from self._gravity.update(state, mode == Mode.DAMPING)
            yield from self._feet.update(state)
