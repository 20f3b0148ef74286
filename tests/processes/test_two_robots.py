"""Two simulated robots side by side in one ROS domain: each in a namespace, on a DDS domain, in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

import domains
import numpy as np
import pytest
from running_stack import repeat_if_stalled

from dbp_bringup import stack
from dbp_bringup.bench.processes import cpu_seconds
from dbp_bringup.session import Session
from dbp_bringup.supervisor import Supervisor
from dbp_policy.clock import now
from dbp_policy.operator import ask_guard
from dbp_policy.types import Mode, Request

ROOM = 0.9
"""Share of the machine that two stacks may need to be tried."""
NAMES = ("left", "right")


def skip_if_two_are_too_many(session: Session, supervisor: Supervisor) -> None:
    """Two stacks with real-time priority on too few cores leave nothing to anybody else."""
    ids = [supervisor.process_id(name) for name in ("robot", "policy_node", "guard", "standby")]
    begin, before = now(), sum(map(cpu_seconds, ids))
    session.spin(2.0)
    needed = 2.0 * (sum(map(cpu_seconds, ids)) - before) / (now() - begin)
    cores = len(os.sched_getaffinity(0))
    if needed > ROOM * cores:
        pytest.skip(f"two stacks would take {needed:.1f} of this machine's {cores} cores")


@repeat_if_stalled
def test_one_walks_and_is_stopped_while_the_other_stands():
    os.environ.update(stack.local_discovery(None), ROS_DOMAIN_ID=str(domains.fresh()))
    with contextlib.ExitStack() as undo:
        folders = {name: Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="dbp-"))) for name in NAMES}
        sessions = {}
        for name, folder in folders.items():
            values = {"runtime_dir": str(folder), "domain": str(domains.fresh()), "headless": "true", "namespace": name}
            supervisor = undo.enter_context(Supervisor(stack.simulated_stack(values)))
            sessions[name] = undo.enter_context(Session("cmd_vel", supervisor.check, namespace=name))
            sessions[name].wait_ready()
            if len(sessions) == 1:
                skip_if_two_are_too_many(sessions[name], supervisor)
        left, right = sessions.values()
        for session in sessions.values():
            session.demand("stand_up", "standing")
        left.demand("start", "policy")
        left.walk(np.array([0.4, 0.0, 0.0]), 2.0)
        right.spin(0.6)
        assert left.diagnostics["source"] == "autonomy" and right.diagnostics["source"] == "nobody"
        assert (left.mode, right.mode) == ("policy", "standing")
        assert ask_guard(folders["left"], Request.ESTOP).mode == Mode.SETTLING
        left.spin_until(lambda: left.mode == "damping", 4.0, "damping after the stop")
        right.spin(0.6)
        assert right.mode == "standing" and right.diagnostics["latched"] == "False"
        right.demand("sit_down", "damping")
