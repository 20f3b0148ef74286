"""Starts the processes of a stack, watches them, and ends them in the order that keeps the robot safe."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from dbp_bringup.stack import Process
from dbp_policy import clock
from dbp_policy.errors import DbpError

_STOP_ORDER = ("guard", "standby", "policy_node")
"""The guard first: it damps while the others still stand, and tells the standby that it leaves. Then the rest."""
_STOP_TIMEOUT, _WRITING_TIMEOUT = 5.0, 600.0
"""How long a process may take to end, and one that writes a recording or a video first [s]."""
_SETTLE_TIME = 1.0
"""What the guard needs to bring the robot to a stand after the policy has died [s]."""
_PR_SET_PDEATHSIG = 1


def executable_path(process: Process) -> Path:
    """Where colcon installed an executable.

    Raises:
        DbpError: It is not in any prefix of AMENT_PREFIX_PATH.
    """
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        path = Path(prefix) / "lib" / process.package / process.executable
        if prefix and path.is_file():
            return path
    raise DbpError(f"expected {process.package}/{process.executable} in the install space: build and source it")


def command_line(process: Process) -> list[str]:
    """The command that starts a process, as `ros2 run` would."""
    command = [sys.executable, str(executable_path(process)), *process.arguments]
    if process.is_node:
        command.append("--ros-args")
        for name, value in process.parameters:
            command += ["-p", f"{name}:={value}"]
        if process.namespace:
            command += ["-r", f"__ns:=/{process.namespace.strip('/')}"]
    return command


class Supervisor:
    """The processes of one stack. Each runs in a session of its own, so that Ctrl-C reaches only this process.

    Args:
        processes: In the order to start them.
        environment: Added to this process's environment.
        output: File descriptor that takes what they print; None for this process's own output.
    """

    def __init__(
        self,
        processes: Sequence[Process],
        environment: Mapping[str, str] | None = None,
        output: int | None = None,
    ) -> None:
        self.output = output
        self._environment = {**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})}
        self._commands = {p.name: command_line(p) for p in processes}
        self._may_end = {p.name for p in processes if p.may_end}
        self._told: set[str] = set()
        self._running: dict[str, subprocess.Popen] = {}

    def __enter__(self) -> Supervisor:
        for name in self._commands:
            self.start(name)
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def start(self, name: str) -> int:
        """Starts one of the processes, perhaps anew; its process id."""
        self._running[name] = subprocess.Popen(
            self._commands[name],
            env=self._environment,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=self.output,
            preexec_fn=end_with_parent,
        )
        return self._running[name].pid

    def process_id(self, name: str) -> int:
        """Of a running process."""
        return self._running[name].pid

    def check(self) -> None:
        """Raises `DbpError` if a process has ended, once the guard has had the time to make the robot stand."""
        for name, process in self._running.items():
            if process.poll() is None:
                continue
            if name not in self._may_end:
                clock.sleep(_SETTLE_TIME)
                raise DbpError(f"{name} ended with {_reason(process.returncode)}")
            if name not in self._told:
                self._told.add(name)
                print(f"warning: {name} ended with {_reason(process.returncode)}; the stack goes on", file=sys.stderr)

    def ended(self) -> dict[str, int]:
        """Names and exit codes of the processes that have ended."""
        return {name: p.returncode for name, p in self._running.items() if p.poll() is not None}

    def stop(self, *names: str) -> None:
        """Ends processes, all unless named: the guard first, which damps the robot; kills what does not follow."""
        rest = [name for name in self._running if name not in _STOP_ORDER]
        guard = self._running.get("guard")
        if guard is not None and guard.poll() is None and "--dry-run" not in self._commands["guard"]:
            print("stopping: the guard damps the robot first", flush=True)
        for name in names or (*_STOP_ORDER, *rest):
            process = self._running.pop(name, None)
            if process is None:
                continue
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            writes = {"--video", "--out"} & set(self._commands[name])
            timeout = _WRITING_TIMEOUT if writes else _STOP_TIMEOUT
            try:
                process.wait(clock.real(timeout))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                print(f"{name} did not end within {timeout:.0f} s and was killed", file=sys.stderr)


def end_with_parent() -> None:
    """In a new child: asks Linux for SIGTERM when its parent dies, however that dies; the guard then damps."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _reason(code: int) -> str:
    return f"signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"exit code {code}"
