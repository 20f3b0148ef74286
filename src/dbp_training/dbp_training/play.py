"""`./dbp play RUN`: watch what a trained policy does, on a screen or as a video."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from dbp_policy.cli import parse
from dbp_policy.errors import DbpError, run_main
from dbp_policy.files import check_folder_of


@dataclass(frozen=True)
class Play:
    """Shows what a trained policy does in its own task, without randomisation: one episode per command or target.

    With a screen a window opens, at real time; Ctrl-C or closing it ends. With --video none is needed.

    Examples:
        ./dbp play runs/DIR
        ./dbp play runs/DIR --command 0.5 0 0.3                 go2_walk: vx, vy [m/s] and wz [rad/s]
        ./dbp play runs/DIR --episodes 1 --video walk.mp4
    """

    run: Annotated[Path, tyro.conf.Positional]
    """Folder of the run; it may still be training."""
    episodes: int = 3
    """How many, of the evaluation's commands or targets in their order."""
    command: tuple[float, ...] | None = None
    """This command or target in all of them."""
    video: Path | None = None
    """Write an MP4 there."""


def play(args: Play) -> int:
    """Runs `./dbp play`; the exit code.

    Raises:
        DbpError: The run cannot be read, the command does not fit, or there is nothing to show it on.
    """
    if args.episodes < 1:
        raise DbpError(f"--episodes: expected at least 1, got {args.episodes}")
    if args.video is not None:
        check_folder_of(args.video, "--video")
        os.environ.setdefault("MUJOCO_GL", "egl")  # MuJoCo chooses its OpenGL when it is imported
    elif not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise DbpError("a window needs a screen (DISPLAY), found none: --video FILE.mp4 writes one instead")
    import torch

    from dbp_training import views
    from dbp_training.evaluate import episodes_of
    from dbp_training.run_folder import RunFolder, load_policy

    torch.set_num_threads(1)
    config, task, policy = load_policy(RunFolder(args.run))
    commands = task.evaluation_commands()[: args.episodes]
    if args.command is not None:
        if len(args.command) != commands.shape[1]:
            raise DbpError(
                f"--command: expected {commands.shape[1]} numbers for {config.task}, got {len(args.command)}"
            )
        commands = torch.tensor([args.command] * args.episodes)
    with views.open_view(task, args.video) as view:
        for number, command in enumerate(commands, start=1):
            print(f"episode {number} of {len(commands)}: command {[round(v, 3) for v in command.tolist()]}", flush=True)
            steps = 0
            for sim, state in episodes_of(task.nominal(), policy, command):
                if not view.show(sim, state, command):
                    return 0
                steps += 1
            end = "" if steps == task.episode_steps else ", then it failed"
            print(f"  {steps * task.dt:.1f} s{end}", flush=True)
    return 0


def main() -> int:
    """Entry point of `./dbp play`."""
    return run_main(lambda: play(parse(Play, "dbp play")))


if __name__ == "__main__":
    sys.exit(main())
