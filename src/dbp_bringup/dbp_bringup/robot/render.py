"""Renders recorded poses of a model off screen: `python -m dbp_bringup.robot.render MODEL.mjb POSES.npy OUT.mp4`.

Without arguments it only tries whether the OpenGL back end chosen by MUJOCO_GL works. See picture.py.
"""

from __future__ import annotations

import sys
from pathlib import Path

import imageio_ffmpeg
import mujoco
import numpy as np

from dbp_bringup.robot.picture import VIDEO_HZ
from dbp_policy.files import written_whole

SIZE = (720, 480)
"""Width and height; multiples of 8, as video encoders want."""


def render(model: mujoco.MjModel, poses: np.ndarray, path: Path) -> None:
    """Writes a video of `poses` (frames, nq), whole or not at all."""
    data = mujoco.MjData(model)
    with written_whole(path) as temporary, mujoco.Renderer(model, SIZE[1], SIZE[0]) as renderer:
        writer = imageio_ffmpeg.write_frames(
            str(temporary), SIZE, fps=VIDEO_HZ, quality=7, output_params=["-f", "mp4"], macro_block_size=8
        )
        writer.send(None)
        for index, pose in enumerate(poses):
            if index % (2 * VIDEO_HZ) == 0:
                print(f"\rvideo: {100 * index // len(poses)} %", end="", file=sys.stderr, flush=True)
            data.qpos[:] = pose
            mujoco.mj_forward(model, data)
            renderer.update_scene(data, "track")
            writer.send(np.ascontiguousarray(renderer.render()))
        writer.close()
    print(f"\rvideo: wrote {path}", file=sys.stderr)


def main(arguments: list[str]) -> None:
    """Renders, or tries the back end."""
    if not arguments:
        with mujoco.Renderer(mujoco.MjModel.from_xml_string("<mujoco/>"), 8, 8) as renderer:
            renderer.render()
        return
    model, poses, out = arguments
    render(mujoco.MjModel.from_binary_path(model), np.load(poses), Path(out))


if __name__ == "__main__":
    main(sys.argv[1:])
