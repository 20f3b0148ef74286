"""Who drives: picks the velocity command of the highest-ranked live source and keeps it smooth.

A source counts while its messages are younger than its time-out. The highest rank among those is in charge. When a
source falls silent or is let go it leaves a hold-off during which no lower one may take over: a human who has let go of
the dead-man switch, or whose link broke, gets a robot that stops first, and autonomy takes over only after the
hold-off.

An adapter calls `update` only while its human means it, a joystick's for example only with the enable button held: a
zero velocity is a command like any other and keeps its source in charge. It calls `release` when the human lets go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dbp_policy.errors import DbpError

NOBODY = "nobody"
"""Name of the source in charge when none is."""


@dataclass(frozen=True)
class Source:
    """One source of velocity commands."""

    name: str
    rank: int
    """The highest rank among the live sources is in charge."""
    timeout: float
    """Silence after which the source no longer counts [s]; sources publish at 10 Hz or more."""
    hold_off: float = 0.0
    """How long after its time-out the source still keeps lower ranks from taking over [s]."""


STOP_TIME = 0.08
"""From full speed to zero when nobody is in charge [s]."""
HUMAN_TIMEOUT = 0.12
"""Two messages of a 20 Hz source; with `STOP_TIME` the robot's command is zero 0.2 s after a human's last message."""
HUMAN_HOLD_OFF = 1.0

SOURCES = (
    Source("remote", rank=40, timeout=HUMAN_TIMEOUT, hold_off=HUMAN_HOLD_OFF),
    Source("joy", rank=30, timeout=HUMAN_TIMEOUT, hold_off=HUMAN_HOLD_OFF),
    Source("teleop", rank=20, timeout=HUMAN_TIMEOUT, hold_off=HUMAN_HOLD_OFF),
    Source("autonomy", rank=10, timeout=0.3),
)
"""The robot's own remote, a gamepad, a program of a human such as the keyboard's, and a planner. A further source is a
further row."""


@dataclass(frozen=True)
class CommandLimits:
    """Bounds of vx, vy, wz in body axes [m/s, m/s, rad/s]."""

    low: tuple[float, float, float] = (-0.6, -0.6, -1.0)
    high: tuple[float, float, float] = (0.6, 0.6, 1.0)
    """Velocity range; a policy's own range is in its contract."""
    acceleration: tuple[float, float, float] = (2.0, 2.0, 4.0)
    """Fastest change while a source is in charge [m/s², m/s², rad/s²]."""
    stop_time: float = STOP_TIME
    """Time from full speed to zero when nobody is in charge [s]."""

    def __post_init__(self) -> None:
        low, high, acceleration = (np.asarray(v, dtype=float) for v in (self.low, self.high, self.acceleration))
        if not (low.shape == high.shape == (3,) and np.all(low <= 0.0) and np.all(high >= 0.0)):
            raise DbpError(f"command limits: expected a range around zero, got {self.low} to {self.high}")
        if not (np.all(np.isfinite(low)) and np.all(np.isfinite(high))):
            raise DbpError(f"command limits: expected finite velocities, got {self.low} to {self.high}")
        if not (acceleration.shape == (3,) and np.all(acceleration > 0.0) and np.all(np.isfinite(acceleration))):
            raise DbpError(f"command limits: expected three positive accelerations, got {self.acceleration}")
        if not 0.0 < self.stop_time <= 1.0:
            raise DbpError(f"command limits: expected a stop_time in (0, 1] s, got {self.stop_time}")

    def scale(self, stick: np.ndarray) -> np.ndarray:
        """Velocity of a deflection, -1..1 forward, left, turning left, shape (3,); full deflection is a limit."""
        return np.where(stick >= 0.0, stick * self.high, -stick * self.low)


@dataclass(frozen=True)
class _Message:
    """The newest of a source."""

    stamp: float
    """Its age is counted from here; of a released source, when it was let go [s]."""
    velocity: np.ndarray
    released: bool = False


class CommandMux:
    """The velocity command multiplexer. One thread may call `command` while another calls everything else.

    Args:
        limits: Velocity and acceleration limits.
        sources: Who may drive.

    Raises:
        DbpError: Two sources share a name or a rank, or a time is negative.

    Attributes:
        limits: May be assigned to; a velocity outside new ones is left at the acceleration limit.
        reason: Why the source in charge is in charge, or why nobody is, for people.
        dropped: Messages refused so far, by source.
        problem: Why the last one was refused, for people.
    """

    LONGEST_STEP = 0.1
    """More time than this between two calls does not allow a larger change [s]; stopping is exempt."""
    FUTURE = 0.1
    """A message stamped further ahead than this is dropped [s]: the clocks disagree, and its age cannot be known."""

    def __init__(self, limits: CommandLimits | None = None, sources: Sequence[Source] = SOURCES) -> None:
        self.limits = limits or CommandLimits()
        self._sources = sorted(sources, key=lambda s: -s.rank)
        for values, what in (([s.name for s in sources], "names"), ([s.rank for s in sources], "ranks")):
            if len(set(values)) != len(values):
                raise DbpError(f"command sources: expected different {what}, got {values}")
        for s in sources:
            if not (s.timeout > 0.0 and s.hold_off >= 0.0):
                raise DbpError(f"command source {s.name}: expected timeout > 0 and hold_off >= 0, got {s}")
        self._timeouts = {s.name: s.timeout for s in sources}
        self._messages: dict[str, _Message] = {}
        self._velocity = np.zeros(3)
        self._last: float | None = None
        self.dropped = {s.name: 0 for s in sources}
        self.problem = ""
        self.reason = "no source has sent a command yet"

    def update(self, source: str, velocity: np.ndarray, now: float, age: float = 0.0) -> bool:
        """Takes a message; one that is not three finite numbers, is too old or comes from the future is dropped and
        keeps nobody alive.

        Args:
            source: Name of a source.
            velocity: vx, vy, wz in body axes, shape (3,) [m/s, m/s, rad/s]; out of range it is clipped.
            now: When it arrived, monotonic [s].
            age: How long before that it was sent, as its stamp says [s].

        Returns:
            Whether it was taken.

        Raises:
            DbpError: There is no such source.
        """
        self._check(source)
        velocity = np.asarray(velocity, dtype=float)
        if velocity.shape != (3,) or not np.isfinite(velocity).all():
            return self.drop(source, f"expected vx, vy, wz as finite numbers, got {velocity.tolist()}")
        if not -self.FUTURE <= age <= self._timeouts[source]:
            return self.drop(source, f"expected a stamp up to {self._timeouts[source]} s old, got one {age:.3g} s old")
        self._messages[source] = _Message(now - max(age, 0.0), velocity)
        return True

    def drop(self, source: str, problem: str) -> bool:
        """Counts a message that says nothing; False."""
        self._check(source)
        self.dropped[source] += 1
        self.problem = f"{source}: {problem}"
        return False

    def release(self, source: str, now: float) -> None:
        """The source's human has let go: it is silent from now on, and its hold-off begins."""
        self._check(source)
        self._messages[source] = _Message(now, np.zeros(3), released=True)

    def _check(self, source: str) -> None:
        if source not in self.dropped:
            raise DbpError(f"command source: expected one of {sorted(self.dropped)}, got {source!r}")

    def command(self, now: float, halt: bool = False) -> tuple[np.ndarray, str]:
        """The command of this moment.

        Args:
            now: Monotonic time [s].
            halt: Zero is wanted whatever the sources say; who is in charge does not change.

        Returns:
            vx, vy, wz, shape (3,), and the name of the source in charge or `NOBODY`.
        """
        limits = self.limits
        low, high = np.array(limits.low), np.array(limits.high)
        name, wanted = self._in_charge(now)
        dt = 0.0 if self._last is None else max(0.0, now - self._last)
        self._last = now if self._last is None else max(self._last, now)
        if halt or name == NOBODY:
            largest = dt * np.maximum(high, -low) / limits.stop_time
            wanted = np.zeros(3)
        else:
            largest = min(dt, self.LONGEST_STEP) * np.array(limits.acceleration)
        change = np.clip(wanted, low, high) - self._velocity
        # One factor for all three keeps the direction of the change.
        distance = np.abs(change)
        factors = np.divide(largest, distance, out=np.ones(3), where=distance > largest)
        self._velocity = self._velocity + float(factors.min()) * change
        return self._velocity.copy(), name

    def _in_charge(self, now: float) -> tuple[str, np.ndarray]:
        for s in self._sources:
            message = self._messages.get(s.name)
            if message is None:
                continue
            age = now - message.stamp
            if not message.released and age <= s.timeout:
                self.reason = f"{s.name} is the highest source that sends"
                return s.name, message.velocity
            if age <= s.hold_off + (0.0 if message.released else s.timeout):
                left = "was let go" if message.released else "last sent"
                self.reason = f"{s.name} {left} {age:.1f} s ago; lower sources wait for its hold-off to end"
                return NOBODY, np.zeros(3)
        self.reason = "every source is silent" if self._messages else "no source has sent a command yet"
        return NOBODY, np.zeros(3)
