"""What the stack's processes cost: processor time while the simulated robot walks headless."""

from __future__ import annotations

import numpy as np

from dbp_bringup.bench.processes import cpu_seconds
from dbp_bringup.bench.walking import walking_stack
from dbp_policy import clock
from dbp_policy.clock import now
from dbp_policy.errors import DbpError

COMMAND = (0.5, 0.0, 0.3)


def measure(domain: int, seconds: float) -> dict[str, float]:
    """Each process's share of one core over a walk [%]; the robot's is MuJoCo's and no part of a real stack.

    Raises:
        DbpError: The walk was interrupted.
    """
    with walking_stack(domain) as walking:
        ids = walking.process_ids
        walking.session.walk(np.array(COMMAND), 1.0)
        begin, before = now(), {name: cpu_seconds(pid) for name, pid in ids.items()}
        walking.session.walk(np.array(COMMAND), seconds)
        elapsed, after = clock.real(now() - begin), {name: cpu_seconds(pid) for name, pid in ids.items()}
        if walking.session.mode != "policy":
            faults = walking.session.diagnostics["faults"] or "none now"
            raise DbpError(f"expected the robot to walk for {seconds:g} s, got mode {walking.session.mode} ({faults})")
        walking.session.demand("sit_down", "damping")
    return {f"{name}_percent": round(100.0 * (after[name] - before[name]) / elapsed, 2) for name in ids}
