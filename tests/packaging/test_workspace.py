"""The workspace as colcon, rosdep and pip see it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ["dbp_bringup", "dbp_policy", "dbp_training"]
# Imports that a ROS 2 installation serves: each must stand in package.xml, for rosdep.
ROS_IMPORTS = {
    *("rclpy", "std_msgs", "sensor_msgs", "geometry_msgs", "nav_msgs", "std_srvs", "diagnostic_msgs", "rosgraph_msgs"),
    *("builtin_interfaces", "rcl_interfaces"),
    *("launch", "launch_ros", "tf2_msgs", "ament_index_python", "dbp_policy", "numpy"),
}


def console_scripts(package: str) -> dict[str, str]:
    """Executable -> "module:function", read from setup.py without running it."""
    tree = ast.parse((ROOT / f"src/{package}/setup.py").read_text())
    (entry_points,) = (
        ast.literal_eval(keyword.value) for keyword in ast.walk(tree) if getattr(keyword, "arg", "") == "entry_points"
    )
    return dict(line.split(" = ") for line in entry_points["console_scripts"])


def imports_of(package: str) -> set[str]:
    """Top-level names that the package's modules and launch files import."""
    names: set[str] = set()
    for file in [*(ROOT / f"src/{package}/{package}").rglob("*.py"), *(ROOT / f"src/{package}").glob("launch/*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
    return names


def test_colcon_sees_three_ament_python_packages(tmp_path: Path) -> None:
    """An invalid package.xml does not fail: it silently turns a package into a plain Python one."""
    colcon = Path(sys.executable).with_name("colcon")
    command = [colcon, "--log-base", tmp_path, "list", "--base-paths", ROOT / "src"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    kinds = {line.split()[0]: line.split()[-1] for line in result.stdout.splitlines()}
    assert kinds == {package: "(ros.ament_python)" for package in PACKAGES}


@pytest.mark.parametrize("package", PACKAGES)
def test_executables_lead_to_a_main(package: str) -> None:
    for executable, target in console_scripts(package).items():
        module, function = target.split(":")
        file = ROOT / "src" / package / (module.replace(".", "/") + ".py")
        assert file.is_file(), f"{executable}: there is no {file.relative_to(ROOT)}"
        defined = {getattr(node, "name", "") for node in ast.parse(file.read_text()).body}
        assert function in defined, f"{executable}: {module} defines no {function}()"


def test_every_command_of_the_script_starts_an_installed_executable() -> None:
    rows = re.findall(r"^[\w-]+ +(?:runtime|training|dev) +(\w+)/(\w+)", (ROOT / "dbp").read_text(), re.MULTILINE)
    assert len(rows) >= 12
    for package, executable in rows:
        if package == "tests":
            assert (ROOT / package / executable / "__main__.py").is_file()
        else:
            assert executable in console_scripts(package)


@pytest.mark.parametrize("package", PACKAGES)
def test_package_xml_names_what_the_code_imports(package: str) -> None:
    root = ElementTree.parse(ROOT / f"src/{package}/package.xml").getroot()
    depends = {e.text.removeprefix("python3-") for e in root if e.tag in ("depend", "exec_depend") and e.text}
    missing = (imports_of(package) & ROS_IMPORTS) - depends - {package}
    assert missing == set(), f"{package}/package.xml lacks {sorted(missing)}"


def test_requirements_are_pinned_exactly() -> None:
    pin = re.compile(r'[\w.\[\]-]+==[\w.+]+(; python_version [<>=]+ "3.11")?')
    for file in (ROOT / "requirements").glob("*.txt"):
        for line in file.read_text().splitlines():
            assert line.startswith("#") or pin.fullmatch(line), f"{file.name}: {line}"


def test_launch_files_and_models_are_installed() -> None:
    for package, folder in (("dbp_policy", "models"), ("dbp_bringup", "launch")):
        assert f"share/{package}/{folder}" in (ROOT / f"src/{package}/setup.py").read_text()
