"""Who may import whom: dbp_training -> dbp_policy <- dbp_bringup, and heavy libraries only in named adapters."""

from __future__ import annotations

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

SOURCES = Path(__file__).resolve().parents[2] / "src"
OURS = ("dbp_policy", "dbp_training", "dbp_bringup")

MESSAGES = {"std_msgs", "sensor_msgs", "geometry_msgs", "nav_msgs", "std_srvs", "diagnostic_msgs", "builtin_interfaces"}
ROS = {"rclpy", "rosgraph_msgs", "rcl_interfaces", "tf2_msgs", *MESSAGES}
DDS = {"cyclonedds", "unitree_sdk2py"}
# What a module of dbp_policy may import besides the standard library and numpy.
ADAPTERS = {
    "dbp_policy.cli": {"tyro"},
    "dbp_policy.diagnostics": ROS,
    "dbp_policy.onnx_policy": {"onnxruntime"},
    "dbp_policy.ros_messages": ROS,
    "dbp_policy.ros_parameters": ROS,
    "dbp_policy.unitree.crc": {"fastcrc"},
    "dbp_policy.unitree.sdk": DDS,
    "dbp_policy.unitree.channels": DDS,
    "dbp_policy.unitree.rpc": DDS,
    "dbp_policy.unitree.motion_switcher": DDS,
    "dbp_policy.unitree.sport": DDS,
}
# Processes wire adapters together; everything else stays free of ROS, DDS and ONNX, whatever it imports on the way.
PROCESSES = {
    "dbp_policy.guard.process": set(),
    "dbp_policy.guard.standby_process": set(),
    "dbp_policy.policy_node": ROS,
    "dbp_policy.estop": set(),
    "dbp_policy.estop_endpoint": set(),
}


def modules(package: str) -> list[str]:
    root = SOURCES / package
    names = (file.relative_to(root).with_suffix("") for file in (root / package).rglob("*.py"))
    return sorted(".".join(name.parts).removesuffix(".__init__") for name in names)


def file_of(module: str) -> Path | None:
    path = SOURCES / module.split(".")[0] / module.replace(".", "/")
    return next((f for f in (path.with_suffix(".py"), path / "__init__.py") if f.is_file()), None)


@cache
def imports(module: str) -> frozenset[str]:
    """Every name the module imports, at its top or inside a function: our modules in full, of others the first part."""
    file = file_of(module)
    assert file is not None, module
    names = {module.rpartition(".")[0]} - {""}  # importing a.b runs a
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{module}: imports are absolute"
            submodules = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {node.module} | {name for name in submodules if name.startswith(OURS) and file_of(name)}
    return frozenset(name if name.startswith(OURS) else name.split(".")[0] for name in names)


def reached(module: str) -> set[str]:
    """Everything that importing the module, and calling into it, may import."""
    seen: set[str] = set()
    todo = [module]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += imports(name) if name.startswith(OURS) and file_of(name) else []
    return seen


def foreign(names: frozenset[str] | set[str]) -> set[str]:
    return {name for name in names if not name.startswith(OURS)} - sys.stdlib_module_names - {"numpy"}


@pytest.mark.parametrize(
    "package, forbidden",
    [
        ("dbp_policy", {"torch", "mujoco", "dbp_training", "dbp_bringup"}),
        ("dbp_training", {"dbp_bringup", "rclpy"} | DDS),
        ("dbp_bringup", {"dbp_training", "torch"}),
    ],
)
def test_the_arrows_between_packages(package: str, forbidden: set[str]) -> None:
    assert modules(package)
    for module in modules(package):
        assert {name.split(".")[0] for name in imports(module)} & forbidden == set(), module


@pytest.mark.parametrize("module", modules("dbp_policy"))
def test_only_named_adapters_import_more_than_numpy(module: str) -> None:
    assert foreign(imports(module)) <= (ADAPTERS | PROCESSES).get(module, set())


@pytest.mark.parametrize("module", [m for m in modules("dbp_policy") if m not in ADAPTERS and m not in PROCESSES])
def test_pure_modules_reach_no_adapter(module: str) -> None:
    assert foreign(reached(module)) <= {"fastcrc"}


@pytest.mark.parametrize("module", [m for m in modules("dbp_policy") if m.startswith("dbp_policy.guard")])
def test_the_guard_reaches_neither_ros_nor_onnx(module: str) -> None:
    assert foreign(reached(module)) & ({"onnxruntime"} | ROS) == set()


@pytest.mark.parametrize("name", ["finding", "environment", "robot", "legs", "guided"])
def test_the_doctors_checks_are_pure(name: str) -> None:
    assert foreign(reached(f"dbp_bringup.doctor.{name}")) <= {"fastcrc"}


@pytest.mark.parametrize(
    "module, forbidden",
    [
        ("dbp_bringup.bags.wire_recorder", ROS),
        ("dbp_bringup.bags.ros_recorder", DDS),
        ("dbp_bringup.bags.replay", ROS | DDS),
    ],
)
def test_the_two_kinds_of_dds_are_recorded_apart_and_a_replay_needs_neither(module: str, forbidden: set[str]) -> None:
    assert foreign(reached(module)) & forbidden == set()


@pytest.mark.parametrize("module", [m for m in modules("dbp_training") if m != "dbp_training.warp_sim"])
def test_one_file_knows_warp(module: str) -> None:
    assert not foreign(imports(module)) & {"warp", "mujoco_warp"}
