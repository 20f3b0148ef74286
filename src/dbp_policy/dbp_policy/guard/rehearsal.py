"""What a guard that sends nothing shows in place of its commands. Pure."""

from __future__ import annotations

from dbp_policy import go2
from dbp_policy.guard.guard import GuardOutput
from dbp_policy.types import Mode, MotorCommand

PERIOD = 2.0
"""A command that would be sent is shown this often [s], and on every change of mode."""


class Rehearsal:
    """Picks the commands that are worth a line."""

    def __init__(self) -> None:
        self._shown: tuple[Mode, float] | None = None
        """Mode and time of the last line."""

    def line(self, output: GuardOutput, now: float) -> str:
        """The line of one step, empty for none.

        Args:
            output: The guard's step.
            now: Time [s].
        """
        mode = output.status.mode
        repeated = self._shown is not None and mode == self._shown[0] and now - self._shown[1] < PERIOD
        if output.command is None or repeated:
            return ""
        self._shown = mode, now
        faults = f" [{', '.join(output.status.faults)}]" if output.status.faults else ""
        return f"dry run, {mode.name.lower()}{faults}: would send {describe(output.command)}"


def describe(command: MotorCommand) -> str:
    """Gains and, of joints that are stiff, angles: `kp 60 kd 5, FR 0.00 0.80 -1.50, FL ...` [rad]."""
    kp, kd = (" to ".join(f"{v:g}" for v in sorted({x.min(), x.max()})) for x in (command.kp, command.kd))
    if not command.kp.any():
        return f"damping, kd {kd}"
    legs = zip(go2.LEGS, command.q.reshape(4, 3), strict=True)
    return f"kp {kp} kd {kd}, " + ", ".join(f"{leg} " + " ".join(f"{q:.2f}" for q in leg_q) for leg, leg_q in legs)
