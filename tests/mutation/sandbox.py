"""A copy of the package and of the tests that mutmut may break, outside the repository, and mutmut's run in it.

mutmut mutates what stands in functions and leaves decorated ones alone. In the copy a property is therefore written as
a method and a property that calls it, so that the laws that stand in properties are tried as well.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import libcst as cst
import libcst.matchers as m

from dbp_policy.errors import DbpError

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src/dbp_policy/dbp_policy"

LEFT_OUT = ("test_fault_matrix.py", "test_guard_machine.py", "test_guard_process.py", "test_standby_process.py")
"""Tests of tests/safety that are left out: minutes of closed loop, random sequences, and of what is not mutated."""

NOT_MUTATED = tuple(f"dbp_policy/guard/{name}.py" for name in ("process", "standby_process"))
"""Command lines, and the standby's handling of real processes and signals, whose tests take real time."""

PROPERTY = "_property"


def lay_out(folder: Path, modules: Sequence[str] = ()) -> None:
    """Copies what the fast tests of the guard need, with mutmut's settings, into an empty folder.

    Args:
        folder: Empty.
        modules: Of the guard, to be mutated, such as `limits` or `checks.imu`; all if there are none.

    Raises:
        DbpError: There is no such module.
    """
    files = [f"dbp_policy/guard/{module.replace('.', '/')}.py" for module in modules]
    for module, file in zip(modules, files, strict=True):
        if not (PACKAGE.parent / file).is_file() or file in NOT_MUTATED:
            raise DbpError(f"expected a module of the guard that is mutated, got {module!r}: no such {file}")
    junk = shutil.ignore_patterns("__pycache__", "mutation")
    shutil.copytree(PACKAGE, folder / "dbp_policy", ignore=junk)
    shutil.copytree(ROOT / "tests/safety", folder / "tests/safety", ignore=junk)
    shutil.copy(ROOT / "tests/conftest.py", folder / "tests")
    shutil.copytree(ROOT / "docs", folder / "docs")
    for path in (folder / "dbp_policy/guard").rglob("*.py"):
        path.write_text(cst.parse_module(path.read_text()).visit(_PropertiesAsMethods()).code)
    settings = {
        "source_paths": ["dbp_policy"],
        "only_mutate": files or ["dbp_policy/guard/*"],
        "do_not_mutate": NOT_MUTATED,
        "also_copy": ["docs"],
        "pytest_add_cli_args_test_selection": ["tests/safety", *(f"--ignore=tests/safety/{name}" for name in LEFT_OUT)],
        "pytest_add_cli_args": ["--hypothesis-profile=mutation", "-p", "no:cacheprovider"],
        "timeout_multiplier": 4.0,
        "timeout_constant": 5.0,
        "use_git_change_detection": False,
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    (folder / "pyproject.toml").write_text("\n".join(["[tool.mutmut]", *lines, ""]))


def mutate(folder: Path, workers: int) -> None:
    """Runs mutmut there.

    mutmut itself ends with an error if the tests fail without a mutant, if they do not reach the mutated code (another
    `dbp_policy` was imported), or if code that raises everywhere does not make them fail.

    Args:
        folder: As `lay_out` made it.
        workers: Processes to use.

    Raises:
        DbpError: mutmut could not do its work.
    """
    elsewhere = [p for p in os.environ.get("PYTHONPATH", "").split(":") if p and not (Path(p) / "dbp_policy").exists()]
    environment = os.environ | {"PYTHONPATH": ":".join(elsewhere), "PYTHONDONTWRITEBYTECODE": "1"}
    program = "import mutmut.__main__ as m; m.cli()"
    command = [sys.executable, "-c", program, "run", "--max-children", str(workers)]
    done = subprocess.run(command, cwd=folder, env=environment)
    if done.returncode:
        raise DbpError(f"mutmut ended with status {done.returncode}; what it says above tells why")


class _PropertiesAsMethods(cst.CSTTransformer):
    """Turns `@property def age(self)` into `def age_property(self)` and `age = property(... that calls it)`."""

    def leave_FunctionDef(self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef):
        if not m.matches(updated_node, m.FunctionDef(decorators=[m.Decorator(decorator=m.Name("property"))])):
            return updated_node
        name = updated_node.name.value
        method = updated_node.with_changes(name=cst.Name(name + PROPERTY), decorators=[])
        call = cst.parse_statement(f"{name} = property(lambda self: self.{name}{PROPERTY}())")
        return cst.FlattenSentinel([method, call])
