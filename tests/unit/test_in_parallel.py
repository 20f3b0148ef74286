"""Work in several processes: what comes of it, and that nobody works on after Ctrl-C or an error."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from dbp_bringup.in_parallel import in_parallel

PATIENCE = 60.0
INTERRUPTED = """
import os, sys, time
from pathlib import Path
from dbp_bringup.in_parallel import in_parallel
from dbp_policy.errors import run_main

def work(name):
    Path(sys.argv[1], name).write_text(str(os.getpid()))
    time.sleep(600)

if __name__ == "__main__":
    sys.exit(run_main(lambda: list(in_parallel(work, [("first",), ("second",), ("third",)], 2))))
"""


def _prepare(word: str) -> None:
    os.environ["PREPARED"] = word


def _answer(number: int) -> tuple[int, str]:
    return number, os.environ["PREPARED"]


def test_every_task_is_done_once_by_processes_that_are_prepared():
    results = in_parallel(_answer, [(i,) for i in range(5)], 2, _prepare, ("yes",))
    assert sorted(results) == [(i, "yes") for i in range(5)]
    assert "PREPARED" not in os.environ


def test_an_error_in_a_task_ends_the_others():
    with pytest.raises(ZeroDivisionError):
        list(in_parallel(divmod, [(1, 0), (1, 1)], 1))


def test_ctrl_c_ends_everything_at_once_and_without_a_word(tmp_path):
    script = tmp_path / "interrupted.py"
    script.write_text(INTERRUPTED)
    begun = [tmp_path / "first", tmp_path / "second"]
    command = [sys.executable, str(script), str(tmp_path)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, start_new_session=True, **pipes) as process:
        while not all(file.exists() and file.read_text() for file in begun):
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
        output = process.communicate(timeout=PATIENCE)
    assert (process.returncode, output) == (130, (b"", b""))
    assert not (tmp_path / "third").exists()
    for file in begun:
        with pytest.raises(ProcessLookupError):
            os.kill(int(file.read_text()), 0)
