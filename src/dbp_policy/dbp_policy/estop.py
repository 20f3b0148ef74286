"""`./dbp estop`: presses the software stop of the running stack, or releases its latch."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from dbp_policy import paths
from dbp_policy.cli import parse
from dbp_policy.errors import DbpError, run_main
from dbp_policy.operator import ask_guard
from dbp_policy.types import Request


@dataclass(frozen=True)
class Args:
    """Stops the robot and latches: from its legs it is laid down within two seconds, otherwise it is damped at once.

    Pressed a second time it damps at once from wherever it is, as --now does. With --reset the latch is released; the
    robot stays damped. A software protective stop, not an emergency stop: that is the robot's battery switch.
    """

    now: bool = False
    """Damp at once, without laying the robot down first."""
    reset: bool = False
    """Release the latch, once the robot is at rest and no fault is present."""
    runtime_dir: Path = field(default_factory=paths.runtime_dir)
    """Folder of the stack's local sockets."""


def main() -> int:
    """Console entry point."""

    def body() -> int:
        args = parse(Args, "dbp estop")
        for request in (Request.RESET,) if args.reset else (1 + args.now) * (Request.ESTOP,):
            status = ask_guard(args.runtime_dir, request)
        if status.refusal:
            raise DbpError(status.refusal)
        print(f"{'released' if args.reset else 'stopped'}: mode {status.mode_name}, latched {status.latched}")
        return 0

    return run_main(body)


if __name__ == "__main__":
    sys.exit(main())
