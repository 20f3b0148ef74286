"""Everything the guard watches in the robot's own messages, in one place: the faults that the lowstates show."""

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

    @property
    def state(self) -> RobotState | None:
        """The newest lowstate."""
        return self._lowstate.state

    def update(
        self, states: Sequence[RobotState], corrupt: int, command: MotorCommand, mode: Mode, now: float
    ) -> list[str]:
        """Takes what arrived since the last call; the faults present.

        Args:
            states: Good lowstates, oldest first.
            corrupt: How many payloads came with a wrong length or checksum.
            command: The last command given.
            mode: The guard's.
            now: Time [s].
        """
        previous = self.state
        faults = list(self._lowstate.update(states, corrupt, now))
        state = self.state
        if state is not None and state is not previous:
            self._shown = tuple(self._faults_of(state, command, mode))
        return [*faults, *self._shown]

    def _faults_of(self, state: RobotState, command: MotorCommand, mode: Mode) -> Iterator[str]:
        if any(state.remote) and decode_remote(state.remote).estop_pressed:
            yield "estop"
        yield from self._frozen.update(state)
        yield from heat_faults(state)
        yield from self._battery.update(state)
        yield from self._lost.update(state)
        if not is_valid(state):
            yield "lowstate_invalid"
            return
        yield from posture_faults(state, self._nose_down if mode == Mode.POLICY else 0.0)
        yield from self._encoders.update(state, command)
        yield from self._gyro.update(state)
        yield from self._gravity.update(state, mode == Mode.DAMPING)
        yield from self._free_fall.update(state)
        yield from self._feet.update(state)
