"""./dbp with a pretended toolchain: what a first use builds, what a later use skips, and how each failure ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = "sim real doctor robot description teleop estop estop-endpoint record replay validate faults bench".split()
COMMANDS += "train compare evaluate play export bench-training torchrun mutants test setup".split()

# A Python whose venv and pip do nothing but leave a trace; all else is the real one.
PYTHON = """#!/usr/bin/env bash
case "$*" in
    *platform.python_version*) echo "${FAKE_VERSION:-3.11.2}" ;;
    *"import venv"*) exit "${FAKE_NO_VENV:-0}" ;;
    *realpath*) readlink -f "$0" ;;
    "-m venv "*) echo venv >>"$TRACE"
        mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && cp "$(dirname "$0")/colcon" "$3/bin/" ;;
    "-m pip "*) echo "pip ${@: -1}" >>"$TRACE"
        [[ "$*" == *"${FAKE_PIP_FAILS:-nothing}"* ]] || exit 0
        echo "ERROR: No matching distribution found for it"; exit 1 ;;
    *) exec REAL "$@" ;;
esac
"""
# A colcon that installs one executable: it tells where and how it was started.
COLCON = """#!/usr/bin/env bash
echo colcon >>"$TRACE"
while [ "$1" != --install-base ]; do shift; done
mkdir -p "$2/lib/dbp_policy" "$2/lib/python3.11/site-packages"
echo "import json, os, sys; print(json.dumps([os.getcwd(), sys.argv[1:], dict(os.environ)]))" >"$2/lib/dbp_policy/estop"
"""


class Checkout:
    """A copy of the repository's build files under a path with spaces, and the pretended tools to build it with."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "my robots" / "dbp"
        self.trace = folder / "trace"
        self.python = folder / "tools" / "python3.11"
        self.root.mkdir(parents=True)
        self.python.parent.mkdir()
        for name in ("dbp", "colcon.meta"):
            shutil.copy(ROOT / name, self.root)
        shutil.copytree(ROOT / "requirements", self.root / "requirements")
        for file in ROOT.glob("src/*/*"):
            if file.is_file():
                (self.root / file.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, self.root / file.relative_to(ROOT))
        self._script(self.root / "requirements/install_unitree.sh", '#!/bin/sh\necho unitree >>"$TRACE"\n')
        self._script(self.python, PYTHON.replace("REAL", sys.executable))
        self._script(self.python.parent / "colcon", COLCON)

    @staticmethod
    def _script(path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)

    def environment(self, **variables: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("DBP_", "PIP_"))}
        return kept | {"DBP_PYTHON": str(self.python), "TRACE": str(self.trace), **variables}

    def run(self, *args: str, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        command, environment = [str(self.root / "dbp"), *args], self.environment(**variables)
        return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120)

    def interrupt(self, program: str) -> tuple[int, str, str]:
        """Puts `program` in the place of an installed one and interrupts it at its first line of output; its exit code,
        the rest of its output and its errors."""
        (self.root / ".dbp/install/lib/dbp_policy/estop").write_text(program)
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen([self.root / "dbp", "estop"], env=self.environment(), **pipes) as process:
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=60)
            return process.returncode, output, errors

    def steps(self) -> list[str]:
        """What the tools were asked for since the last call."""
        steps = self.trace.read_text().splitlines() if self.trace.exists() else []
        self.trace.unlink(missing_ok=True)
        return [Path(step).name if "/" in step else step for step in steps]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def assert_one_error_line(result: subprocess.CompletedProcess[str], *words: str) -> None:
    errors = [line for line in result.stderr.splitlines() if not line.startswith("dbp: ")]
    assert result.returncode == 2
    assert len(errors) == 1 and errors[0].startswith("error: "), result.stderr
    for word in words:
        assert word in errors[0]


@pytest.mark.parametrize("args", [(), ("--help",), ("help",)])
def test_help_lists_every_command_and_builds_nothing(checkout: Checkout, args: tuple[str, ...]) -> None:
    result = checkout.run(*args)
    assert result.returncode == 0
    assert [line.split()[0] for line in result.stdout.splitlines() if line.startswith("  ")] == COMMANDS
    assert checkout.steps() == []


def test_first_use_builds_then_runs_and_later_uses_start_at_once(checkout: Checkout, tmp_path: Path) -> None:
    first = checkout.run("estop", "--why", "two words", cwd=tmp_path)
    cwd, argv, _ = json.loads(first.stdout)
    assert (cwd, argv) == (str(tmp_path), ["--why", "two words"])
    assert checkout.steps() == ["venv", "build.txt", "runtime.txt", "unitree", "colcon"]
    second = checkout.run("estop")
    assert second.returncode == 0 and second.stderr == ""
    assert checkout.steps() == []


def test_ctrl_c_while_a_program_imports_ends_it_without_a_word(checkout: Checkout) -> None:
    checkout.run("setup")
    importing = "import time; print('importing', flush=True); time.sleep(60)"
    assert checkout.interrupt(importing) == (-signal.SIGINT, "", "")


def test_ctrl_c_is_heard_by_a_program_that_runs(checkout: Checkout) -> None:
    checkout.run("setup")
    body = "def body():\n    try: print('running', flush=True); time.sleep(60)\n    finally: print('ended')\n"
    program = f"import sys, time\nfrom dbp_policy.errors import run_main\n{body}sys.exit(run_main(body))"
    shutil.copytree(ROOT / "src/dbp_policy/dbp_policy", checkout.root / ".dbp/build/dbp_policy/dbp_policy")
    assert checkout.interrupt(program) == (130, "ended\n", "")


def test_runs_through_a_link(checkout: Checkout, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(checkout.root / "dbp")
    result = subprocess.run([tmp_path / "link"], capture_output=True, text=True)
    assert result.returncode == 0 and "usage" in result.stdout


def test_simulation_does_not_install_torch_and_training_adds_it(checkout: Checkout) -> None:
    checkout.run("setup")
    assert "training.txt" not in checkout.steps()
    checkout.run("setup", "training")
    assert checkout.steps()[-1] == "training.txt"
    assert "torch" not in (ROOT / "requirements/runtime.txt").read_text().split("\n", 1)[1]


def test_what_changed_is_built_again(checkout: Checkout) -> None:
    checkout.run("setup", "dev")
    checkout.steps()
    with (checkout.root / "requirements/dev.txt").open("a") as file:
        file.write("another==1.0\n")
    checkout.run("setup", "dev")
    assert "venv" not in (steps := checkout.steps()) and "dev.txt" in steps
    with (checkout.root / "src/dbp_policy/setup.py").open("a") as file:
        file.write("# another executable\n")
    assert checkout.run("estop").returncode == 0
    assert checkout.steps() == [], "a stop never waits for a build"
    assert checkout.run("setup").returncode == 0
    assert (steps := checkout.steps())[-1] == "colcon" and "venv" not in steps
    with (checkout.root / "requirements/runtime.txt").open("a") as file:
        file.write("another==1.0\n")
    checkout.run("setup")
    assert checkout.steps()[0] == "venv"  # an upgrade in place could leave two versions' files


def test_a_failed_build_never_counts(checkout: Checkout) -> None:
    result = checkout.run("estop", FAKE_PIP_FAILS="runtime.txt")
    assert_one_error_line(result, "No matching distribution found for it", "setup.log")
    assert not (checkout.root / ".dbp/built/runtime").exists()
    checkout.steps()
    assert checkout.run("estop").returncode == 0
    assert checkout.steps()[0] == "venv"


def test_failing_to_add_training_leaves_the_runtime_usable(checkout: Checkout) -> None:
    checkout.run("setup")
    assert_one_error_line(checkout.run("train", FAKE_PIP_FAILS="training.txt"))
    checkout.steps()
    assert checkout.run("estop").returncode == 0
    assert checkout.steps() == []


def test_a_sourced_ros_does_not_leak_in(checkout: Checkout) -> None:
    result = checkout.run(
        "estop",
        AMENT_PREFIX_PATH="/home/me/ws/install:/opt/ros/jazzy",
        PYTHONPATH="/opt/ros/jazzy/lib/python3.12/site-packages",
        LD_LIBRARY_PATH="/opt/ros/jazzy/lib:/usr/local/cuda/lib64:/home/me/ws/install/lib",
        RMW_IMPLEMENTATION="rmw_cyclonedds_cpp",
        CYCLONEDDS_HOME="/opt/ros/jazzy",
        ROS_DOMAIN_ID="7",
    )
    _, _, environment = json.loads(result.stdout)
    foreign = [k for k, v in environment.items() if "/opt/ros" in v or "/home/me/ws" in v]
    assert foreign == []
    assert "RMW_IMPLEMENTATION" not in environment
    assert "/usr/local/cuda/lib64" in environment["LD_LIBRARY_PATH"].split(":")
    assert environment["ROS_DOMAIN_ID"] == "7"  # what the user says about the network stays


@pytest.mark.parametrize("version", ["3.9.18", "3.13.0"])
def test_unsupported_python(checkout: Checkout, version: str) -> None:
    assert_one_error_line(checkout.run("sim", FAKE_VERSION=version), "3.10, 3.11 or 3.12", version)
    assert checkout.steps() == []


def test_missing_venv_module(checkout: Checkout) -> None:
    assert_one_error_line(checkout.run("sim", FAKE_NO_VENV="1"), "venv", "sudo apt-get install python3.11-venv")


def test_missing_python(checkout: Checkout) -> None:
    assert_one_error_line(checkout.run("sim", DBP_PYTHON="/nowhere/python3"), "/nowhere/python3 was not found")


def test_unwritable_folder(checkout: Checkout) -> None:
    assert_one_error_line(checkout.run("sim", DBP_HOME="/proc/dbp"), "cannot write to /proc/dbp")


def test_unknown_command_and_layer(checkout: Checkout) -> None:
    assert_one_error_line(checkout.run("dance"), "'dance'")
    assert_one_error_line(checkout.run("setup", "everything"), "runtime, training, gpu or dev")


def test_no_network(tmp_path: Path) -> None:
    """The real script with a real Python and a closed port where the package index should be."""
    variables = {"DBP_HOME": str(tmp_path), "DBP_PYTHON": sys._base_executable, "PIP_CONFIG_FILE": os.devnull}
    variables |= {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": ""}
    command = [str(ROOT / "dbp"), "sim"]
    result = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, timeout=240)
    assert_one_error_line(result, "the package index cannot be reached (Connection refused)")
    assert list((tmp_path / "built").iterdir()) == []
