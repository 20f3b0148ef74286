"""`./dbp teleop`: drives a running stack from the keyboard of this terminal."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dbp_bringup.session import COMMAND_PERIOD, Session
from dbp_bringup.stack import local_discovery
from dbp_policy import paths
from dbp_policy.cli import parse
from dbp_policy.clock import now
from dbp_policy.errors import DbpError, run_main
from dbp_policy.keyboard import Keyboard
from dbp_policy.operator import ask_guard
from dbp_policy.types import Request

STEP = {
    "w": (0.1, 0.0, 0.0),
    "s": (-0.1, 0.0, 0.0),
    "a": (0.0, 0.1, 0.0),
    "d": (0.0, -0.1, 0.0),
    "q": (0.0, 0.0, 0.2),
    "e": (0.0, 0.0, -0.2),
}
"""What a key adds to vx, vy, wz [m/s, m/s, rad/s]."""

SERVICE = {"1": "stand_up", "2": "start", "3": "sit_down", "x": "estop", "r": "reset"}
LIMIT = np.array([0.6, 0.6, 1.0])
KEY_TIMEOUT = 5.0
"""The velocity returns to zero this long after the last driving key [s]: a terminal does not tell whether anybody sits
at it."""
HOLD = 1.0
"""A resting keyboard keeps the robot from autonomy for this long after its last key [s]."""

HELP = """keys:  1 stand up   2 start the policy   3 sit down   x STOP (damps, latches)   r reset
       w/s forward/back   a/d left/right   q/e turn   space zero velocity   Ctrl-C quit
       (the velocity returns to zero 5 s after the last driving key)"""


class Driver:
    """Turns keys into a velocity: each key adds a step, and the sum stays for `KEY_TIMEOUT`. Pure."""

    def __init__(self) -> None:
        self.velocity = np.zeros(3)
        self._touched = -np.inf

    def press(self, key: str, now: float) -> str | None:
        """Takes a key; returns the service it asks for, if any. Anything but a driving key stops."""
        self._touched = now
        if key in STEP:
            self.velocity = np.clip(self.velocity + STEP[key], -LIMIT, LIMIT)
            return None
        self.velocity = np.zeros(3)
        return SERVICE.get(key)

    def in_charge(self, now: float) -> bool:
        """Whether to publish: while driving, and for a moment after the last key."""
        if now - self._touched > KEY_TIMEOUT:
            self.velocity = np.zeros(3)
        return bool(self.velocity.any()) or now - self._touched < HOLD


def ask(session: Session, service: str, runtime_dir: Path) -> str:
    """Asks for a service and says what came of it; a stop goes to the guard itself first, past ROS."""
    try:
        if service == "estop":
            with contextlib.suppress(DbpError):  # no guard on this host: through ROS, then
                return ask_guard(runtime_dir, Request.ESTOP).mode_name + ", latched"
        return session.ask(service)[1]
    except DbpError as error:
        return f"FAILED, {error}"


def drive(session: Session, runtime_dir: Path, watch: Callable[[], None] = lambda: None) -> None:
    """Drives by keys until Ctrl-C.

    Args:
        session: Has to publish as teleop.
        runtime_dir: Folder of the stack's local sockets: a stop goes that way first.
        watch: Called again and again, to raise if the stack has died.
    """
    driver = Driver()
    with Keyboard() as keyboard:
        print(HELP, flush=True)  # only now: a key pressed before the keyboard is taken is thrown away
        while True:
            watch()
            for key in keyboard.keys():
                service = driver.press(key, now())
                if service:
                    print(f"\r\033[K{service}: {ask(session, service, runtime_dir)}")
            if driver.in_charge(now()):
                session.drive(driver.velocity)
            session.spin(COMMAND_PERIOD)
            v = " ".join(f"{x:+.1f}" for x in driver.velocity)
            text = f"{session.mode:12s} vx vy wz: {v}  {session.diagnostics.get('faults', '')}"
            print(f"\r\033[K{text[:100]}", end="", flush=True)


@dataclass(frozen=True)
class Args:
    """Drives a running stack from this keyboard; a key pressed here overrides autonomy on cmd_vel."""

    network: bool = False
    """Reach a stack on another host, as started by `dbp real`; otherwise ROS stays on this one."""
    namespace: str | None = None
    """The stack's ROS namespace, such as robot1."""
    runtime_dir: Path = field(default_factory=paths.runtime_dir)
    """Folder of the stack's local sockets, if it runs on this host: a stop goes that way first."""


def main() -> int:
    """Console entry point."""

    def body() -> int:
        args = parse(Args, "dbp teleop")
        if not args.network:
            os.environ.update(local_discovery(os.environ.get("ROS_DISTRO")))
        with Session("cmd_vel_teleop", namespace=args.namespace) as session:
            drive(session, args.runtime_dir)
        return 0

    return run_main(body)


if __name__ == "__main__":
    sys.exit(main())
