"""The one description of which processes make up the simulated and the real stack; launch files and ./dbp read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from dbp_policy.errors import DbpError
from dbp_policy.estop_records import PORT
from dbp_policy.unitree.network import ROBOT_DOMAIN, SIMULATION_DOMAIN


@dataclass(frozen=True)
class Argument:
    """One argument of a stack, the same on `./dbp` and in the launch files."""

    name: str
    description: str
    default: str | None = None
    """None for an argument that has to be given."""


@dataclass(frozen=True)
class Process:
    """One executable of an installed package with its arguments."""

    name: str
    package: str
    executable: str
    arguments: tuple[str, ...] = ()
    parameters: tuple[tuple[str, str | bool], ...] = ()
    """ROS parameters; not empty only for ROS nodes."""
    is_node: bool = False
    may_end: bool = False
    """The stack goes on without it."""
    namespace: str = ""
    """Of a ROS node."""


POLICY = Argument("policy", "ONNX policy to run; empty for the walking policy that ships with dbp_policy", "")
NAMESPACE = Argument("namespace", "ROS namespace of this robot's topics, such as robot1; empty for none", "")
POSTURE = Argument("posture", "how a policy may hold the trunk: four_legs, or front_legs for a handstand", "four_legs")
STAMPED = Argument("stamped_cmd_vel", "true if cmd_vel carries TwistStamped, as Nav2 sends by its parameter", "false")
RUNTIME_DIR = Argument("runtime_dir", "folder of the stack's local sockets; empty for one per user", "")
ESTOP_ARGUMENTS = (
    Argument("estop_endpoints", "names of remote e-stop endpoints that have to answer, by commas; empty for none", ""),
    Argument("estop_key", "file of the key shared with the e-stop endpoints", ""),
    Argument("estop_port", "UDP port at which e-stop endpoints reach the guard", str(PORT)),
)
RECORD = Argument("record", "true to record the run into bags, in a new folder below ./recordings", "false")
SIM_ARGUMENTS = (
    POLICY,
    POSTURE,
    NAMESPACE,
    STAMPED,
    RUNTIME_DIR,
    *ESTOP_ARGUMENTS,
    RECORD,
    Argument("domain", "DDS domain of the simulated robot; 0 is the real robot's and refused", str(SIMULATION_DOMAIN)),
    Argument("headless", "true to run without MuJoCo's viewer", "false"),
    Argument("video", "write a video of the run to this file (mp4) when it ends; empty for none", ""),
    Argument("on_silence", "what the simulated motors do when commands stop: hold or limp", "hold"),
    Argument("noise", "sensor noise of the simulated robot: 0 none, 1 as a real robot's", "0.0"),
)
REAL_ARGUMENTS = (
    Argument("network_interface", "network interface that leads to the robot, such as eth0"),
    Argument("arm", "true: the guard takes the motors once the operator asks to stand; false: dry run", "false"),
    Argument("test_domain", "for tests: DDS domain of a simulated robot on a private interface; empty for 0", ""),
    POLICY,
    POSTURE,
    NAMESPACE,
    STAMPED,
    RUNTIME_DIR,
    *ESTOP_ARGUMENTS,
    RECORD,
)


def local_discovery(ros_distro: str | None) -> dict[str, str]:
    """Environment that keeps a simulation's ROS topics on this host; Humble knows only the older variable."""
    if ros_distro == "humble":
        return {"ROS_LOCALHOST_ONLY": "1"}
    return {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}


def simulated_stack(values: Mapping[str, str]) -> tuple[Process, ...]:
    """Robot, guard and policy node on loopback, in the order to start them; `values` by the names of SIM_ARGUMENTS."""
    v = _checked(values, SIM_ARGUMENTS)
    robot = ["--domain", v["domain"], "--on-silence", v["on_silence"], "--noise", v["noise"]]
    robot += ["--headless"] if _truth(v["headless"]) else []
    robot += ["--video", v["video"]] if v["video"] else []
    robot += _folder(v)
    return (
        Process("robot", "dbp_bringup", "go2_robot", tuple(robot)),
        *_controllers(v, "lo", v["domain"]),
    )


def real_stack(values: Mapping[str, str]) -> tuple[Process, ...]:
    """Guard and policy node on the robot's network; `values` by the names of REAL_ARGUMENTS.

    Unless armed it is a dry run: the guard computes and shows commands, and has no writer to send them by.
    """
    v = _checked(values, REAL_ARGUMENTS)
    return _controllers(v, v["network_interface"], real_domain(v), dry_run=not _truth(v["arm"]))


def real_domain(values: Mapping[str, str]) -> str:
    """The DDS domain of the real stack: the robot's 0, or a test's."""
    return values.get("test_domain") or str(ROBOT_DOMAIN)


def _controllers(v: Mapping[str, str], interface: str, domain: str, dry_run: bool = False) -> tuple[Process, ...]:
    wire = ("--network-interface", interface, "--domain", domain, *_folder(v))
    named = (("policy", v["policy"]), ("posture", v["posture"]), ("runtime_dir", v["runtime_dir"]))
    parameters = tuple((name, value) for name, value in named if value)
    stamped = _truth(v["stamped_cmd_vel"])
    recording = recorders(new_recording(), wire, v["namespace"], stamped) if _truth(v["record"]) else ()
    parameters += (("stamped_cmd_vel", True),) if stamped else ()
    node = Process("policy_node", "dbp_policy", "policy_node", (), parameters, is_node=True, namespace=v["namespace"])
    guard = (*wire, "--posture", v["posture"], *_remote_stops(v))
    if dry_run:  # a standby has a writer of rt/lowcmd, ready to damp
        return *recording, node, Process("guard", "dbp_policy", "guard", (*guard, "--dry-run"))
    return (
        *recording,
        node,
        Process("standby", "dbp_policy", "standby", wire),
        Process("guard", "dbp_policy", "guard", guard),
    )


def new_recording() -> Path:
    """A name for the folder of a recording that begins now."""
    return Path("recordings", datetime.now().strftime("%Y-%m-%d_%H-%M-%S")).absolute()


def recorders(
    folder: Path, wire: tuple[str, ...], namespace: str = "", stamped_cmd_vel: bool = False
) -> tuple[Process, ...]:
    """One bag of the robot's side and one of ROS's: their two kinds of DDS never share a process.

    Args:
        folder: Of the recording.
        wire: The guard's options for network interface, domain and sockets.
        namespace: Of the robot's ROS topics.
        stamped_cmd_vel: cmd_vel carries TwistStamped.
    """
    robot, ros = ("--out", str(folder / "robot"), *wire), ("--out", str(folder / "ros"))
    ros += ("--stamped-cmd-vel",) if stamped_cmd_vel else ()
    return (
        Process("wire_recorder", "dbp_bringup", "wire_recorder", robot, may_end=True),
        Process("ros_recorder", "dbp_bringup", "ros_recorder", ros, is_node=True, may_end=True, namespace=namespace),
    )


def _folder(v: Mapping[str, str]) -> list[str]:
    return ["--runtime-dir", v["runtime_dir"]] if v["runtime_dir"] else []


def remote_stop_values(endpoints: str, key: Path | None) -> dict[str, str]:
    """The values of a command line for `ESTOP_ARGUMENTS`."""
    return {"estop_endpoints": endpoints, "estop_key": str(key.absolute()) if key else ""}


def _remote_stops(v: Mapping[str, str]) -> list[str]:
    given = [name for name in ("estop_endpoints", "estop_key") if v[name]]
    options = [f"--{name.replace('_', '-')}={v[name]}" for name in given]
    return [*options, f"--estop-port={v['estop_port']}"] if given else []


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise DbpError(f"expected true or false, got {text!r}")
    return text.lower() in ("true", "1")


def _checked(values: Mapping[str, str], arguments: tuple[Argument, ...]) -> dict[str, str]:
    known = {a.name: a for a in arguments}
    if unknown := set(values) - set(known):
        raise DbpError(f"expected arguments out of {', '.join(known)}, got {', '.join(sorted(unknown))}")
    merged = {name: values.get(name, a.default) for name, a in known.items()}
    missing = [a.name for a in arguments if a.default is None and not merged[a.name]]
    if missing:
        raise DbpError(f"missing argument: {', '.join(missing)}")
    return merged
