"""The launch files describe every argument and start what the stack description says. Needs a ROS 2 installation."""

import sys
from pathlib import Path

import pytest

from dbp_bringup.stack import Process

pytest.importorskip("launch_ros", reason="launch_ros comes only with a ROS 2 installation")

LAUNCH = Path(__file__).parents[2] / "src/dbp_bringup/launch"


@pytest.fixture(params=["go2_sim.launch.py", "go2_real.launch.py"])
def description(request):
    from launch.launch_description_sources import get_launch_description_from_python_launch_file

    return get_launch_description_from_python_launch_file(str(LAUNCH / request.param))


def test_every_argument_is_described(description):
    arguments = description.get_launch_arguments()
    assert arguments
    for argument in arguments:
        assert len(argument.description) > 10


def test_a_real_robot_needs_its_interface_named(description):
    required = {a.name for a in description.get_launch_arguments() if a.default_value is None}
    names = {a.name for a in description.get_launch_arguments()}
    assert required == ({"network_interface"} if "network_interface" in names else set())


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (3, 1)])
def test_the_end_of_a_process_ends_the_launch_which_fails_if_the_process_did(code, expected, tmp_path, monkeypatch):
    from launch import LaunchService

    from dbp_bringup import launching

    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path))
    script = f"import sys; sys.exit({code})"
    monkeypatch.setattr(launching, "executable_path", lambda process: sys.executable)
    ends = Process("ends", "dbp_bringup", "ends", ("-c", script))
    lasts = Process("lasts", "dbp_bringup", "lasts", ("-c", "import time; time.sleep(60)"))
    service = LaunchService(noninteractive=True)
    service.include_launch_description(launching.describe([], lambda values: (lasts, ends)))
    assert service.run() == expected
