"""A wrong command line ends in one line that names what was wrong."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import dataclass

import pytest

from dbp_policy.cli import parse
from dbp_policy.errors import DbpError


@dataclass(frozen=True)
class Args:
    """Does a thing.

    At length.
    """

    interface: str
    """Where to."""
    cmd: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """What."""


def test_a_right_command_line():
    assert parse(Args, "dbp x", ["--interface", "a", "--cmd", "1", "2", "3"]) == Args("a", (1.0, 2.0, 3.0))


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        ([], "--interface"),
        (["--interface", "a", "--nope", "3"], "--nope"),
        (["--interface", "a", "--cmd", "1", "2"], "Expected 3 values"),
        (["--interface", "a", "--cmd", "1", "2", "x"], "--cmd"),
    ],
)
def test_a_wrong_command_line_is_refused_in_one_line(argv, named):
    with pytest.raises(DbpError) as error:
        parse(Args, "dbp x", argv)
    assert named in str(error.value)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith("(dbp x --help tells more)")


def test_help_teaches(capsys):
    with pytest.raises(SystemExit) as end:
        parse(Args, "dbp x", ["--help"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert "At length." in out and "Where to." in out


@pytest.mark.parametrize("amount", [10, 200_000], ids=["held back to the end", "more than a pipe takes"])
def test_output_that_nobody_reads_any_more_ends_quietly(amount):
    code = f"import sys; from dbp_policy.errors import run_main; sys.exit(run_main(lambda: print('x' * {amount})))"
    reading, writing = os.pipe()
    os.close(reading)
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    ended = subprocess.run(
        [sys.executable, "-c", code], stdout=writing, stderr=subprocess.PIPE, text=True, env=buffered
    )
    os.close(writing)
    assert ended.stderr == "" and ended.returncode == (0 if amount == 10 else 141)


def test_a_program_without_an_output_ends_as_any_other():
    code = "import sys; from dbp_policy.errors import run_main; sys.exit(run_main(lambda: print('x') or 3))"
    ended = subprocess.run(["sh", "-c", 'exec "$0" -c "$1" >&-', sys.executable, code], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (3, "")


@pytest.mark.parametrize("unbuffered", [["-u"], []], ids=["unbuffered", "buffered"])
def test_a_line_is_one_write_so_that_those_of_several_processes_do_not_mix(unbuffered):
    code = "import sys; from dbp_policy.errors import say; say('one line', sys.stderr); say('another', sys.stderr)"
    hears, says = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)  # a message for each write
    with hears, says:
        subprocess.run([sys.executable, *unbuffered, "-c", code], stderr=says, check=True)
        assert [hears.recv(100), hears.recv(100)] == [b"one line\n", b"another\n"]
