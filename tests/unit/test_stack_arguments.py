"""The description of the real stack: a dry run unless armed, and never a writer of motor commands in a dry run."""

from __future__ import annotations

import pytest

from dbp_bringup import stack
from dbp_policy.errors import DbpError

ETH0 = {"network_interface": "eth0"}


def processes(**values: str) -> dict[str, tuple[str, ...]]:
    return {p.name: p.arguments for p in stack.real_stack({**ETH0, **values})}


@pytest.mark.parametrize("arm", [None, "false", "False", "0"])
def test_unless_armed_the_guard_is_told_to_send_nothing_and_there_is_no_standby(arm):
    found = processes(**({} if arm is None else {"arm": arm}))
    assert set(found) == {"policy_node", "guard"} and "--dry-run" in found["guard"]


@pytest.mark.parametrize("arm", ["true", "True", "1"])
def test_armed(arm):
    found = processes(arm=arm)
    assert set(found) == {"policy_node", "standby", "guard"} and "--dry-run" not in found["guard"]
    assert found["guard"][:4] == found["standby"][:4] == ("--network-interface", "eth0", "--domain", "0")


def test_a_recording_of_ros_is_made_in_the_robots_namespace():
    found = {p.name: p for p in stack.real_stack({**ETH0, "namespace": "robot1", "record": "true"})}
    assert found["ros_recorder"].is_node and found["ros_recorder"].namespace == "robot1"
    assert found["policy_node"].namespace == "robot1"


def test_a_stamped_cmd_vel_is_recorded_as_such():
    assert "--stamped-cmd-vel" not in processes(record="true")["ros_recorder"]
    assert "--stamped-cmd-vel" in processes(record="true", stamped_cmd_vel="true")["ros_recorder"]


def test_anything_else_is_refused():
    with pytest.raises(DbpError, match="expected true or false, got 'yes'"):
        processes(arm="yes")


def test_a_tests_domain_replaces_the_robots():
    assert processes(test_domain="77")["guard"][2:4] == ("--domain", "77")
    assert stack.real_domain({"test_domain": ""}) == "0"


def test_guard_and_policy_node_are_told_the_same_posture():
    for make, given in (
        (stack.simulated_stack, {}),
        (stack.real_stack, ETH0),
        (stack.real_stack, ETH0 | {"arm": "true"}),
    ):
        for posture in ("four_legs", "front_legs"):
            found = {p.name: p for p in make({**given, **({} if posture == "four_legs" else {"posture": posture})})}
            arguments = found["guard"].arguments
            assert arguments[arguments.index("--posture") + 1] == posture
            assert dict(found["policy_node"].parameters)["posture"] == posture


def test_the_simulation_is_never_a_dry_run():
    assert not any("--dry-run" in p.arguments for p in stack.simulated_stack({}))
