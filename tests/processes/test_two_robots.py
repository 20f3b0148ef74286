"""Two simulated robots side by side in one ROS domain: each in a namespace, on a DDS domain, in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

import domains
import numpy as np
from running_stack import repeat_if_stalled, slow_motion

from dbp_bringup import stack
from dbp_bringup.session import Session
from dbp_bringup.supervisor import Supervisor
from dbp_policy.operator import ask_guard
from dbp_policy.types import Mode, Request

NAMES = ("left", "right")


@repeat_if_stalled
def test_one_walks_and_is_stopped_while_the_other_stands():
    slow_motion(stacks=2)
    os.environ.update(stack.local_discovery(None), ROS_DOMAIN_ID=str(domains.fresh()))
    with contextlib.ExitStack() as undo:
        folders = {name: Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="dbp-"))) for name in NAMES}
        sessions = {}
        for name, folder in folders.items():
            values = {"runtime_dir": str(folder), "domain": str(domains.fresh()), "headless": "true", "namespace": name}
            supervisor = undo.enter_context(Supervisor(stack.simulated_stack(values)))
            sessions[name] = undo.enter_context(Session("cmd_vel", supervisor.check, namespace=name))
            sessions[name].wait_ready()
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
