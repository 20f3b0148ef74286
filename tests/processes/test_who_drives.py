"""Who drives, on real DDS and real ROS, in the robot's own time as a process that hears rt/lowstate itself tells it."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
from running_stack import RunningStack, repeat_if_stalled
from sensor_msgs.msg import Joy

from dbp_bringup.robot import local_channel
from dbp_policy.clock import now
from dbp_policy.unitree.remote import Remote

FORWARD = np.array([0.4, 0.0, 0.0])
EAR = Path(__file__).with_name("lowstate_ear.py")


class Ear:
    """The ear's process; use as a context, and read `rows` after it."""

    def __init__(self, stack: RunningStack) -> None:
        self._file = stack.folder / "ear.npy"
        self._domain = os.environ["ROS_DOMAIN_ID"]

    def __enter__(self) -> Ear:
        command = [sys.executable, EAR, self._domain, self._file]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout.readline() == "hears\n"
        return self

    def __exit__(self, kind, *_) -> None:
        self._process.terminate()
        self._process.communicate(timeout=20.0)
        if kind is None:
            self.rows = np.load(self._file)

    def tick(self, when: float) -> float:
        """The robot's counter at a monotonic time [ms]."""
        return float(np.interp(when, self.rows[:, 0], self.rows[:, 1]))


class Said:
    """What the stack says of its command, at each change: the counter of the lowstate it was chosen for, and who."""

    def __init__(self, session) -> None:
        self._session = session
        self.rows: list[tuple[int, str, np.ndarray]] = []

    def note(self) -> None:
        d = self._session.diagnostics
        row = (int(d["command_tick_ms"]), d["source"], np.array(d["command"].split(), dtype=float))
        if not self.rows or row[0] > self.rows[-1][0]:
            self.rows.append(row)

    def walk(self, seconds: float, publish=lambda: None) -> None:
        """Autonomy walks forward; `publish` is called at 20 Hz."""
        end = now() + seconds
        while now() < end:
            publish()
            self._session.drive(FORWARD)
            for _ in range(5):
                self._session.spin(0.01)
                self.note()

    def first(self, what, after: float) -> int:
        """Counter of the first row after a counter of which `what(source, velocity)` holds."""
        ticks = [tick for tick, source, velocity in self.rows if tick >= after and what(source, velocity)]
        assert ticks, f"not after {after} in {self.rows}"
        return ticks[0]

    def walk_until(self, what, timeout: float) -> None:
        """Autonomy walks forward until `what(source, velocity)` holds of the newest row."""
        end = now() + timeout
        while not self.rows or not what(*self.rows[-1][1:]):
            assert now() < end, f"not within {timeout} s: {self.rows[-10:]}"
            self.walk(0.1)


@repeat_if_stalled
def test_the_remotes_stick_takes_over_at_once_and_autonomy_waits_for_the_hold_off():
    with RunningStack() as stack:
        stack.walk()
        said = Said(stack.session)
        with Ear(stack) as ear:
            autonomy = now()
            said.walk(3.0)
            local_channel.hold_remote(stack.hands, Remote(present=True, rx=-0.8))
            said.walk(2.0)
            local_channel.hold_remote(stack.hands, Remote(present=True))
            said.walk(3.0)
            end = now()
        recorded = stack.recorded()
    touched, left = ear.rows[ear.rows[:, 3] < -0.5][[0, -1], 1]
    taken = said.first(lambda source, _: source == "remote", touched)
    assert taken - touched <= 100, "ms of the robot's own time"
    let_go = said.first(lambda source, _: source == "nobody", left)
    assert let_go - left <= 100
    assert said.first(lambda _, velocity: not velocity.any(), left) - left <= 200
    back = said.first(lambda source, _: source == "autonomy", left)
    assert 1000 <= back - left <= 1100, "autonomy has to wait for the end of the hold-off"
    assert not [s for tick, s, _ in said.rows if taken <= tick < let_go and s != "remote"]
    assert not [s for tick, s, _ in said.rows if let_go <= tick < back and s != "nobody"]
    ticks = np.interp(recorded.truth[:, 0], ear.rows[:, 0], ear.rows[:, 1], left=-1, right=-1)

    def mean(begin, stop):
        return recorded.truth[(ticks > begin) & (ticks < stop)][:, (4, 7)].mean(axis=0)

    vx, wz = mean(ear.tick(autonomy) + 1500, touched)
    assert vx > 0.25 and abs(wz) < 0.2
    vx, wz = mean(touched + 1000, left)
    assert abs(vx) < 0.15 and wz > 0.4, "the stick asked to turn left"
    assert mean(back + 1000, ear.tick(end))[0] > 0.25, "autonomy walks on"


@repeat_if_stalled
def test_a_teleop_that_is_killed_leaves_zero_velocity_within_200_ms():
    with RunningStack() as stack:
        stack.walk()
        said = Said(stack.session)
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "dbp_bringup.teleop"]
        teleop = subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, text=True, start_new_session=True)
        try:
            with Ear(stack) as ear:
                assert teleop.stdout.readline().startswith("keys:")
                os.write(ours, b"wwww")
                said.walk_until(lambda source, velocity: source == "teleop" and velocity[0] > 0.39, 4.0)
                teleop.send_signal(signal.SIGKILL)
                killed = now()
                said.walk(1.0)
        finally:
            teleop.kill()
            teleop.communicate()
            os.close(ours)
            os.close(theirs)
    killed = ear.tick(killed)
    stopped = said.first(lambda _, velocity: not velocity.any(), killed)
    assert stopped - killed <= 200, "ms of the robot's own time"
    assert not [v for tick, _, v in said.rows if stopped < tick < killed + 1000 and v.any()]


@repeat_if_stalled
def test_the_gamepads_stop_button_stops():
    with RunningStack() as stack:
        stack.walk()
        said = Said(stack.session)
        joy = stack.session.publisher(Joy, "joy")
        said.walk(1.0)
        said.walk(0.2, lambda: joy.publish(Joy(axes=[0.0] * 6, buttons=[0, 1, 0, 0, 0])))
        stack.session.spin_until(lambda: stack.session.mode == "damping", 4.0, "damping after the stop button")
        assert stack.session.diagnostics["latched"] == "True"
