"""Hands on sticks: what the robot's remote and a gamepad ask of the command mux. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dbp_policy.command import CommandMux
from dbp_policy.unitree.remote import decode_remote

DEAD_ZONE = 0.1
"""Of a stick on the remote, out of 1: one that rests does not stand at zero, and driving is a touch, not noise."""


class RemoteSticks:
    """The Go2's own remote. A stick beyond the dead zone drives, and one that returns is let go.

    Args:
        mux: Gets the source `remote`.
    """

    def __init__(self, mux: CommandMux) -> None:
        self._mux = mux
        self._driving = False
        self._resting = b""

    def update(self, remote: bytes, now: float) -> None:
        """Takes a lowstate's 40 bytes.

        Args:
            remote: The bytes.
            now: When the lowstate was received, monotonic [s].
        """
        if remote == self._resting:  # nearly always, 500 times a second
            return
        hand = decode_remote(remote)
        stick = np.array([_beyond_dead_zone(x) for x in (hand.ly, -hand.lx, -hand.rx)])
        if stick.any():
            self._driving, self._resting = True, b""
            self._mux.update("remote", self._mux.limits.scale(stick), now)
            return
        self._resting = remote
        if self._driving:
            self._driving = False
            self._mux.release("remote", now)


def _beyond_dead_zone(deflection: float) -> float:
    """0 in the dead zone, from there growing to 1."""
    return np.sign(deflection) * max(0.0, abs(deflection) - DEAD_ZONE) / (1.0 - DEAD_ZONE)


@dataclass(frozen=True)
class GamepadMap:
    """Which of a gamepad's buttons and axes mean what; the names are those of ros2/teleop_twist_joy."""

    enable_button: int = 4
    """Held to drive: the left shoulder button of an Xbox pad."""
    stop_button: int = 1
    """Presses the e-stop: B of an Xbox pad; -1 for none."""
    axis_x: int = 1
    """Left stick forward."""
    axis_y: int = 0
    """Left stick to the left."""
    axis_yaw: int = 3
    """Right stick to the left."""

    def axes(self) -> tuple[int, int, int]:
        """Of vx, vy, wz."""
        return self.axis_x, self.axis_y, self.axis_yaw


class Gamepad:
    """A gamepad as the ROS driver `joy` publishes it. It drives while the enable button is held.

    Args:
        mux: Gets the source `joy`.
        mapping: Buttons and axes.
    """

    def __init__(self, mux: CommandMux, mapping: GamepadMap | None = None) -> None:
        self._mux = mux
        self._map = mapping or GamepadMap()
        self._driving = self._stopping = False

    def update(self, axes: Sequence[float], buttons: Sequence[int], now: float) -> bool:
        """Takes a message.

        Args:
            axes: -1..1, forward and left positive; beyond that they count as at their end.
            buttons: 1 while held.
            now: When it arrived, monotonic [s].

        Returns:
            Whether the stop button has just been pressed; it needs no enable button.
        """
        m = self._map
        held = 0 <= m.stop_button < len(buttons) and bool(buttons[m.stop_button])
        pressed, self._stopping = held and not self._stopping, held
        enabled = m.enable_button < len(buttons) and bool(buttons[m.enable_button])
        if enabled and len(axes) > max(m.axes()):
            self._driving = True
            stick = np.array([axes[i] for i in m.axes()], dtype=float)
            self._mux.update("joy", self._mux.limits.scale(np.clip(stick, -1.0, 1.0)), now)
        elif enabled or len(buttons) <= m.enable_button:
            got = f"{len(axes)} axes and {len(buttons)} buttons"
            self._mux.drop("joy", f"expected axes {m.axes()} and button {m.enable_button}, got {got}")
        elif self._driving:
            self._driving = False
            self._mux.release("joy", now)
        return pressed
