"""`./dbp bench NAME`: measurements, each against a reference in the same run; a module of this folder each."""

from __future__ import annotations

import importlib
import sys

from dbp_policy.errors import DbpError, run_main

BENCHES = {
    "codec": "decode a LowState and encode a LowCmd, beside the SDK's own codec",
    "control": "lowstate to lowcmd beside a loop on the SDK, load of the processes, stages of a policy tick",
    "estimator": "the state estimator against the truth of simulated walks: velocity, drift, consistency, time",
    "soak": "the simulated stack walks for an hour: memory, faults, overruns; exit code 1 if it fails",
}

TRAINING = "where each second of a training goes, and the environments beside the bare simulator"
"""A bench of dbp_training, which this package does not know: `./dbp` finds it there."""


def main() -> int:
    """Console entry point."""
    return run_main(lambda: run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Runs the bench that the first argument names with the rest."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: dbp bench NAME [--json FILE]\n")
        for name, text in {**BENCHES, "training": TRAINING}.items():
            print(f"  {name:10s} {text}")
        return 0
    name, *rest = arguments
    if name == "training":
        raise DbpError("bench training: expected it to be asked of dbp_training: ros2 run dbp_training bench_training")
    if name not in BENCHES:
        raise DbpError(f"bench: expected one of {', '.join(BENCHES)}, got {name!r}")
    return importlib.import_module(f"dbp_bringup.bench.{name}").main(rest) or 0


if __name__ == "__main__":
    sys.exit(main())
