"""The simulated stack, headless and on its feet, for the benches that watch its processes."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dbp_bringup import stack
from dbp_bringup.session import Session
from dbp_bringup.supervisor import Supervisor


@dataclass(frozen=True)
class WalkingStack:
    """A stack in the policy's mode."""

    session: Session
    supervisor: Supervisor
    folder: Path
    """Of its local sockets."""
    process_ids: dict[str, int]
    """By the names of the stack's processes."""


@contextlib.contextmanager
def walking_stack(domain: int, policy: Path | None = None, noise: float = 0.0) -> Iterator[WalkingStack]:
    """Starts the stack and the policy; in the end the guard damps the robot before the others go.

    Args:
        domain: DDS domain of the simulated robot.
        policy: ONNX policy, or None for the one that ships.
        noise: Sensor noise.

    Raises:
        DbpError: It does not get there.
    """
    os.environ.update(stack.local_discovery(os.environ.get("ROS_DISTRO")))
    with tempfile.TemporaryDirectory(prefix="dbp-") as folder:
        values = {"runtime_dir": folder, "domain": str(domain), "noise": str(noise), "headless": "true"}
        processes = stack.simulated_stack({**values, "policy": str(policy.absolute()) if policy else ""})
        with Supervisor(processes) as supervisor, Session("cmd_vel", supervisor.check) as session:
            session.wait_ready()
            session.demand("stand_up", "standing")
            session.spin(0.5)
            session.demand("start", "policy")
            ids = {p.name: supervisor.process_id(p.name) for p in processes}
            yield WalkingStack(session, supervisor, Path(folder), ids)
