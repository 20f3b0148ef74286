"""`./dbp teleop`: drives a running stack from the keyboard of this terminal."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
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

STOP = "x"
SERVICE = {"1": "stand_up", "2": "start", "3": "sit_down", STOP: "estop", "r": "reset"}
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


def ask(session: Session, service: str, runtime_dir: Path | None, give_up: Callable[[], bool] = lambda: False) -> str:
    """Asks for a service and says what came of it.

    Args:
        session: With the stack.
        service: Which.
        runtime_dir: Folder of the stack's local sockets, by which a stop goes to the guard itself first, past ROS;
            None if the stack need not be the one on this host.
        give_up: Whether to wait no longer; asked again and again.
    """
    try:
        if service == "estop" and runtime_dir is not None:
            with contextlib.suppress(DbpError):  # no guard on this host: through ROS, then
                return ask_guard(runtime_dir, Request.ESTOP).mode_name + ", latched"
        return session.ask(service, give_up)[1]
    except DbpError as error:
        return f"FAILED, {error}"


def serve(session: Session, service: str, runtime_dir: Path | None, keys: Callable[[], Iterable[str]]) -> Iterator[str]:
    """Asks for a service, and for a stop as soon as that key is pressed meanwhile; what came of each, to be shown.

    A key typed ahead would count seconds later as if it were pressed then: all others are thrown away.

    Args:
        session: With the stack.
        service: Which.
        runtime_dir: As of `ask`.
        keys: The keys pressed since its last call.
    """
    asked: str | None = service
    while asked is not None:
        stop = False

        def stop_pressed() -> bool:
            nonlocal stop
            stop = stop or STOP in keys()
            return stop

        yield f"{asked}: {ask(session, asked, runtime_dir, stop_pressed)}"
        asked = SERVICE[STOP] if stop_pressed() else None


def drive(session: Session, runtime_dir: Path | None, watch: Callable[[], None] = lambda: None) -> None:
    """Drives by keys until Ctrl-C.

    Args:
        session: Has to publish as teleop.
        runtime_dir: As of `ask`.
        watch: Called again and again, to raise if the stack has died.
    """
    driver = Driver()
    with Keyboard() as keyboard:
        print(HELP, flush=True)  # only now: a key pressed before the keyboard is taken is thrown away
        while True:
            watch()
            for key in keyboard.keys():
                service = driver.press(key, now())
                for answer in serve(session, service, runtime_dir, keyboard.keys) if service else ():
                    print(f"\r\033[K{answer}")
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
    runtime_dir: Path | None = None
    """Folder of the stack's local sockets, if it runs on this host: a stop goes that way first, past ROS. Without
    --network and --namespace it is where `./dbp sim` and `./dbp real` put it."""

    def way_past_ros(self) -> Path | None:
        """The folder for `ask`: not that of another stack which happens to run on this host."""
        anywhere = self.network or self.namespace
        return self.runtime_dir or (None if anywhere else paths.runtime_dir())


def main() -> int:
    """Console entry point."""

    def body() -> int:
        args = parse(Args, "dbp teleop")
        if not args.network:
            os.environ.update(local_discovery(os.environ.get("ROS_DISTRO")))
        with Session("cmd_vel_teleop", namespace=args.namespace) as session:
            drive(session, args.way_past_ros())
        return 0

    return run_main(body)


if __name__ == "__main__":
    sys.exit(main())
