"""The faults that a stack like this one has to survive, and what shows that ours does: one row each, none left out.

The reactions and their bounds are those of the catalogue and of the process faults; here only stands who shows what.
"""

from __future__ import annotations

from dataclasses import dataclass

MATRIX, PROCESSES = "./dbp faults", "./dbp faults --processes"


@dataclass(frozen=True)
class Listed:
    """One fault."""

    fault: str
    matrix: tuple[str, ...] = ()
    """Keys of the injections that show it in lockstep (catalogue.py)."""
    processes: tuple[str, ...] = ()
    """What the kinds of the process faults that show it on the real processes begin with (processes/plan.py)."""
    tests: tuple[str, ...] = ()
    """Tests that show it, where it is another layer's."""

    @property
    def shown_by(self) -> list[str]:
        """All of them, for a person."""
        matrix = [f"{MATRIX}: {key}" for key in self.matrix]
        return [*matrix, *(f"{PROCESSES}: {kind}" for kind in self.processes), *self.tests]


_MUX = ("tests/unit/test_command_mux.py",)
_ONNX, _CONTRACT = "tests/contract/test_onnx_policy.py", "tests/contract/test_contract.py"

FAULT_LIST = (
    Listed("lowstate stops", ("lowstate stops",), ("robot killed", "robot stopped")),
    Listed("lowstate repeats its content, its tick advances", ("content frozen, tick goes on",)),
    Listed("tick frozen, messages arrive", ("tick frozen",)),
    Listed("lowstate late by 5, 10, 20, 50 ms", tuple(f"lowstate {ms} ms late" for ms in (5, 10, 20, 50))),
    Listed("single lowstates lost", ("one lowstate in twenty lost",)),
    Listed("lowstates doubled", ("lowstates doubled",)),
    Listed("lowstates reordered", ("lowstates reordered",)),
    Listed("tick jumps back: the robot has restarted", ("robot restarts",)),
    Listed(
        "NaN or infinity in a lowstate",
        tuple(f"not finite: {x}" for x in ("q", "dq", "tau_est", "quaternion", "gyroscope", "accelerometer")),
    ),
    Listed("checksum wrong, once and again", ("one damaged payload", "three damaged payloads", "damaged payloads")),
    Listed("quaternion not of norm 1", ("quaternion of norm 0.9", "quaternion of zeros")),
    Listed("quaternion's sign, quaternion's order", ("quaternion flips its sign", "quaternion in another order")),
    Listed("encoder jumps", ("encoder jumps",)),
    Listed("encoder hangs", ("encoder hangs", "joint speed's sign wrong")),
    Listed("encoder off by 0.05 rad", ("encoder off by 0.05 rad",)),
    Listed("joint past its limit", ("joint past its limit",)),
    Listed("joint faster than it can be", ("joint too fast",)),
    Listed("gyro hangs or is biased", ("gyro hangs", "gyro biased")),
    Listed("accelerometer saturated", ("accelerometer saturated",)),
    Listed("motor hot, motor overheated", ("motor at 75 °C", "motor at 85 °C")),
    Listed("motor loses packets", ("motor loses packets",)),
    Listed("battery low, battery critical", ("battery at 15 %", "battery at 5 %")),
    Listed("voltage sags", ("voltage sags by 22 %",)),
    Listed("foot forces zero or hanging", ("foot forces zero", "foot forces hang")),
    Listed("one foot never touches the ground", tests=("tests/unit/test_estimator.py",)),
    Listed("tilted or upside down", ("tilted by 70 degrees", "upside down")),
    Listed("free fall", ("free fall",)),
    Listed("policy's output not finite", ("target not finite", "stiffness not finite", "stiffness out of range")),
    Listed("policy's output jumps or is out of reach",
           ("target jumps once", "target jumps and jumps", "target out of reach")),
    Listed("policy slow", ("answers 16 ms late", "answers 30 ms late", "answers 70 ms late")),
    Listed("policy hangs while its process lives", ("policy hangs, its process lives",), ("policy stopped",)),
    Listed("policy file missing, truncated or damaged", tests=(_ONNX, "tests/processes/test_bad_policies.py")),
    Listed("policy with wrong dimensions, joint order or scale", tests=(_ONNX, "tests/processes/test_bad_policies.py")),
    Listed("policy with wrong gains or default pose", tests=(_CONTRACT,)),
    Listed("estimate diverges", ("estimator diverges",)),
    Listed("policy process killed", ("policy killed",), ("policy killed",)),
    Listed("guard killed", (), ("guard killed",)),
    Listed("standby killed", ("standby gone",), ("standby killed",)),
    Listed("velocity source, recorder or supervisor killed", (), ("velocity source killed", "recorder killed"),
           ("tests/processes/test_supervisor.py",)),
    Listed("a process stopped and continued", ("guard stopped for 12 ms", "guard stopped for 60 ms",
           "guard stopped for 200 ms"), ("guard stopped", "policy stopped", "standby stopped")),
    Listed("a process stalls for 200 ms, as in a garbage collection", ("guard stopped for 200 ms",),
           ("guard stopped", "policy stopped")),
    Listed("processor hogs", (), ("guard killed", "policy killed", "robot stopped")),
    Listed("wall clock jumps",
           tests=("tests/packaging/test_wall_clock.py", "tests/processes/test_policy_node_clock.py")),
    Listed("flood of foreign messages", (), ("flood",)),
    Listed("second writer of rt/lowcmd, before and after standing up",
           ("another writer appears", "a foreign command"), ("second writer", "second writer before")),
    Listed("two sources of velocity", tests=_MUX),
    Listed("velocity source lost while moving", (), ("velocity source killed",), _MUX),
    Listed("velocity out of range, not finite, or a step", tests=_MUX),
    Listed("network cut for 10 ms, 100 ms, for ever", ("lowstate 10 ms late", "lowstate 50 ms late", "lowstate stops"),
           ("robot stopped",)),
    Listed("e-stop in every mode", ("e-stop on the remote", "e-stop by request", "e-stop endpoint pressed")),
    Listed("e-stop endpoint silent, replaying, or answering wrongly",
           tuple(f"e-stop endpoint {does}" for does in ("answers", "dies", "replays", "answers wrongly"))),
    Listed("e-stop pressed twice, or while settling", ("e-stop twice", "e-stop by request")),
    Listed("restart after an e-stop", ("guard restarts",), ("restarts",)),
    Listed("disk full, log folder read-only", (), ("disk full",)),
)  # fmt: skip
"""In the order of a robot's day: what it says, what it feels, what decides, who runs, who else is there."""
