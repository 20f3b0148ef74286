"""Nothing outlives its supervisor, however that ends."""

import signal
import subprocess
import sys
import time

from dbp_bringup.stack import Process
from dbp_bringup.supervisor import executable_path

PROGRAM = """
import sys, time
from dbp_bringup.stack import Process
from dbp_bringup.supervisor import Supervisor
arguments = ("--headless", "--domain", "99", "--runtime-dir", sys.argv[1])
with Supervisor([Process("robot", "dbp_bringup", "go2_robot", arguments)]) as s:
    print(s.process_id("robot"), flush=True)
    time.sleep(60)
"""


def alive(pid: int) -> bool:
    """A process that has ended but was not collected by its parent counts as ended."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_killed_supervisor_leaves_no_process_behind(tmp_path):
    executable_path(Process("robot", "dbp_bringup", "go2_robot"))
    supervisor = subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    pid = int(supervisor.stdout.readline())
    time.sleep(3.0)  # the robot has started and has its own signal handlers
    assert alive(pid)
    supervisor.send_signal(signal.SIGKILL)
    supervisor.wait()
    for _ in range(100):
        if not alive(pid):
            return
        time.sleep(0.1)
    raise AssertionError("the robot is still running")
