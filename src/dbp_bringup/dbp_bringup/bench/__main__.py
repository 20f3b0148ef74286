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


def main() -> int:
    """Console entry point."""
    return run_main(lambda: run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Runs the bench that the first argument names with the rest."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: dbp bench NAME [--json FILE]\n")
        for name, text in BENCHES.items():
            print(f"  {name:10s} {text}")
        return 0
    name, *rest = arguments
    if name not in BENCHES:
        raise DbpError(f"bench: expected one of {', '.join(BENCHES)}, got {name!r}")
    return importlib.import_module(f"dbp_bringup.bench.{name}").main(rest) or 0


if __name__ == "__main__":
    sys.exit(main())
