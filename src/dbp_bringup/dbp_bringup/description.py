"""`./dbp description`: writes the robot's URDF."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from dbp_policy.cli import parse
from dbp_policy.errors import run_main
from dbp_policy.files import check_folder_of, written_whole
from dbp_policy.robot_description import urdf


@dataclass(frozen=True)
class Args:
    """Writes the Go2's URDF: what the policy node publishes on robot_description."""

    out: Path | None = None
    """File to write; the terminal otherwise."""


def main() -> int:
    """Console entry point."""

    def body() -> int:
        args = parse(Args, "dbp description")
        if args.out is None:
            print(urdf(), end="")
            return 0
        check_folder_of(args.out, "--out")
        with written_whole(args.out) as temporary:
            temporary.write_text(urdf())
        return 0

    return run_main(body)


if __name__ == "__main__":
    sys.exit(main())
