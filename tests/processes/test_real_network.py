"""`./dbp real` on a real interface: a veth pair between two network namespaces, the MuJoCo robot at its other end.

Needs root and iproute2, for the namespaces.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from running_stack import repeat_if_stalled

from dbp_bringup.robot import local_channel
from dbp_bringup.stack import Process
from dbp_bringup.supervisor import executable_path
from dbp_policy.clock import now

DOMAIN = "77"
PATIENCE = 90.0


def executable(name: str) -> list[str]:
    return [sys.executable, str(executable_path(Process(name, "dbp_bringup", name)))]


def test_loopback_is_refused_in_one_line():
    for more in ([], ["--arm"], ["--test-domain", "77"]):
        done = subprocess.run([*executable("real"), "--network-interface", "lo", *more], capture_output=True, text=True)
        assert done.returncode == 2 and not done.stdout
        assert done.stderr == "error: expected an interface that leads to a robot, got loopback 'lo'\n"


class Cable:
    """Two network namespaces and the cable between them; `robot` and `computer` are the ends."""

    def __init__(self) -> None:
        tag = f"{random.randrange(16**4):04x}"
        self.robot, self.computer = f"dbp-r{tag}", f"dbp-c{tag}"  # each the namespace's and its interface's name
        self.ends = (self.robot, self.computer)

    def __enter__(self) -> Cable:
        with contextlib.ExitStack() as undo:
            undo.callback(self.remove)
            for end in self.ends:
                ip("netns", "add", end)
            near, far = (("name", end, "netns", end) for end in self.ends)
            ip("link", "add", *near, "type", "veth", "peer", *far)
            for number, end in enumerate(self.ends):
                ip("-n", end, "address", "add", f"10.77.0.{1 + number}/24", "dev", end)
                for interface in ("lo", end):
                    ip("-n", end, "link", "set", interface, "up")
            undo.pop_all()
        return self

    def __exit__(self, *_) -> None:
        self.remove()

    def remove(self) -> None:
        for end in self.ends:
            subprocess.run(["ip", "netns", "delete", end], stderr=subprocess.DEVNULL)

    @contextlib.contextmanager
    def process(self, end: str, *command: str, **options) -> Iterator[subprocess.Popen]:
        """A process at one end; terminated with the context."""
        process = subprocess.Popen(["ip", "netns", "exec", end, *command], **options)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30.0)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


@pytest.fixture(scope="module")
def namespaces() -> None:
    """Skips where there can be none."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        pytest.skip("network namespaces need root and iproute2")
    if subprocess.run(["ip", "netns", "add", "dbp-try"], capture_output=True).returncode:
        pytest.skip("this system permits no network namespaces")
    ip("netns", "delete", "dbp-try")


class RealRun:
    """`./dbp real` at a terminal of its own, the robot at the cable's other end, and a reader that is neither."""

    def __init__(self, *options: str, robot: tuple[str, ...] = ()) -> None:
        self.options = options
        self.robot = robot
        self.said = ""
        self.truth: list[local_channel.TruthSample] = []
        self._undo = contextlib.ExitStack()

    def __enter__(self) -> RealRun:
        with self._undo:
            cable = self._undo.enter_context(Cable())
            folder = Path(self._undo.enter_context(tempfile.TemporaryDirectory(prefix="dbp-")))
            self._out = folder / "reader.json"
            self._channel = local_channel.Channel(folder, local_channel.TRUTH_SOCKET)
            self._undo.callback(self._channel.close)
            where = ("--network-interface", cable.robot, "--domain", DOMAIN, "--runtime-dir", str(folder))
            robot = (*executable("go2_robot"), "--headless", "--allow-private-interface", *where, *self.robot)
            self._undo.enter_context(cable.process(cable.robot, *robot))
            reader = (sys.executable, __file__, cable.robot, str(self._out))
            self._reader = self._undo.enter_context(cable.process(cable.robot, *reader))
            self._wait_for(lambda: self.truth, "the robot")
            self._terminal, end = os.openpty()
            arguments = ("--network-interface", cable.computer, "--test-domain", DOMAIN, *self.options)
            environment = {**os.environ, "DBP_RUNTIME_DIR": str(folder), "PYTHONUNBUFFERED": "1"}
            streams = dict(stdin=end, stdout=end, stderr=end, env=environment, start_new_session=True)
            real = cable.process(cable.computer, *executable("real"), *arguments, **streams)
            self.real = self._undo.enter_context(real)
            os.close(end)
            self._undo = self._undo.pop_all()
        return self

    def __exit__(self, *_) -> None:
        self._undo.close()
        os.close(self._terminal)

    def press(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())

    def ask(self, key: str, service: str, answer: str) -> None:
        """Presses a key as a person does: again, if a busy machine made the node refuse; until that answer comes."""
        for _ in range(10):
            start = len(self.said)
            self.press(key)
            self.wait_for(rf"{service}: [^\r\n]+[\r\n]", start)
            if re.search(f"{service}: {answer}", self.said[start:]):
                return
            self.watch(1.0)
        raise AssertionError(f"expected {service} to be granted, read:\n{self.said[-3000:]}")

    def wait_for(self, pattern: str, start: int | None = None) -> None:
        """Reads the terminal until something on it matches, new or said from `start` on."""
        start = len(self.said) if start is None else start
        self._wait_for(lambda: re.search(pattern, self.said[start:]), pattern)

    def watch(self, seconds: float) -> None:
        end = now() + seconds
        self._wait_for(lambda: now() > end, "time")

    def _wait_for(self, reached: Callable[[], object], what: str) -> None:
        end = now() + PATIENCE
        while not reached():
            assert now() < end, f"expected {what}, read:\n{self.said[-3000:]}"
            terminal = getattr(self, "_terminal", None)
            if terminal is not None and select.select([terminal], [], [], 0.02)[0]:
                with contextlib.suppress(OSError):  # its process has closed it
                    self.said += os.read(terminal, 4096).decode(errors="replace")
            else:
                time.sleep(0.02)
            self.truth += local_channel.read_truth(self._channel)

    def leave(self) -> int:
        """Ctrl-C; the exit code."""
        self.real.send_signal(signal.SIGINT)
        self._wait_for(lambda: self.real.poll() is not None, "the end")
        return self.real.returncode

    def heard(self) -> dict:
        """Ends the reader: how many commands it heard, at most how many writers there were, the last sport mode."""
        self._reader.terminate()
        self._reader.wait(30.0)
        return json.loads(self._out.read_text())

    def heights(self, since: float) -> np.ndarray:
        return np.array([s.position[2] for s in self.truth if s.stamp > since])


@repeat_if_stalled
def test_a_dry_run_shows_commands_and_sends_none(namespaces):
    with RealRun() as run:
        run.wait_for(r"warning +sport mode +'normal' is active")
        run.wait_for("real: ready, DRY RUN: nothing is sent")
        run.wait_for("keys: ", start=0)  # what is typed before is thrown away
        begin = now()
        run.ask("1", "stand_up", "dry run: standing_up")
        run.wait_for("guard: dry run, standing.*: would send kp 60 kd 5, FR ", start=0)
        run.watch(3.0)
        run.ask("x", "estop", "dry run: [a-z_]+, latched")
        run.wait_for(r"guard: dry run, damping \[.*estop.*: would send damping", start=0)
        run.watch(1.0)
        assert run.leave() == 130
        heard = run.heard()
        assert heard == {"commands": 0, "writers": 0, "sport_mode": "normal"}, "nothing, and nothing to send any by"
        heights = run.heights(begin)
        assert len(heights) > 100 and np.ptp(heights) < 0.005, "the robot lies where it lay"


@repeat_if_stalled
def test_armed_it_has_the_sport_mode_lie_down_releases_it_stands_walks_and_sits(namespaces):
    with RealRun("--arm", robot=("--start", "standing")) as run:
        assert run.truth[0].position[2] > 0.25, "its sport mode keeps it standing"
        run.wait_for("guard: ready")
        run.wait_for("real: ready, armed", start=0)
        run.wait_for("keys: ", start=0)
        assert run.truth[-1].position[2] < 0.12 and min(s.up_z for s in run.truth) > 0.95, "and has laid it down"
        begin = now()
        run.watch(1.0)
        assert np.ptp(run.heights(begin)) < 0.01, "armed alone moves nothing"
        run.ask("1", "stand_up", "standing_up")
        run.wait_for(r"\[Kstanding ")
        run.watch(0.5)
        assert run.truth[-1].position[2] > 0.28
        run.ask("2", "start", "policy")
        run.press("wwww")
        walking = now()
        run.watch(4.0)
        speed = np.mean([s.velocity_body[0] for s in run.truth if s.stamp > walking + 2.0])
        assert 0.25 < speed < 0.55
        run.ask(" 3", "sit_down", "sitting_down")
        run.wait_for(r"\[Kdamping ")
        run.watch(0.5)
        assert run.truth[-1].position[2] < 0.12
        assert run.leave() == 130
        assert min(s.up_z for s in run.truth) > 0.8, "it never fell"
        heard = run.heard()
        assert heard["commands"] > 2000 and heard["writers"] == 2 and heard["sport_mode"] == ""


# The reader, a process of its own ------------------------------------------------------------------------------------


def read(interface: str, out: str) -> int:
    """Listens on rt/lowcmd until ended; writes what it heard."""
    from dbp_policy.unitree import wire
    from dbp_policy.unitree.channels import Participant
    from dbp_policy.unitree.motion_switcher import MotionSwitcherClient

    participant = Participant(interface, int(DOMAIN))
    commands, switcher = participant.reader(wire.LOWCMD_TOPIC, depth=512), MotionSwitcherClient(participant)
    heard = {"commands": 0, "writers": 0, "sport_mode": None}
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ended.append(number))
    ask_at = 0.0
    while not ended:
        commands.wait(0.05)
        heard["commands"] += len(commands.take())
        heard["writers"] = max(heard["writers"], commands.matched)
        switcher.poll()
        heard["sport_mode"] = switcher.mode
        if now() > ask_at:
            switcher.check()
            ask_at = now() + 0.3
    Path(out).write_text(json.dumps(heard))
    return 0


if __name__ == "__main__":
    sys.exit(read(*sys.argv[1:]))
