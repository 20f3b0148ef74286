"""Pictures of the MuJoCo robot: the live viewer, and videos rendered from a recorded motion after the run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import mujoco
import numpy as np

from dbp_policy.errors import DbpError

VIDEO_HZ, VIDEO_SIZE = 30, (720, 480)


def open_viewer(model: mujoco.MjModel, data: mujoco.MjData):
    """MuJoCo's passive viewer.

    Raises:
        DbpError: There is no screen.
    """
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise DbpError("the viewer expects a screen (DISPLAY), found none: use --headless")
    from mujoco import viewer  # opens GLFW on import

    try:
        return viewer.launch_passive(model, data, show_left_ui=False, show_right_ui=False)
    except Exception as error:  # GLFW's failures have no common class
        raise DbpError(f"the viewer did not open ({error}): use --headless") from None


class Video:
    """Collects poses while the robot runs and renders them when it has stopped: rendering would hold up the physics.

    Args:
        path: Video file to write.
        model: The robot's model.

    Raises:
        DbpError: This machine cannot render off screen.
    """

    def __init__(self, path: Path, model: mujoco.MjModel) -> None:
        if not path.parent.is_dir():
            raise DbpError(f"video: expected an existing folder, got {path.parent}")
        self._path = path
        self._model = model
        self._poses: list[np.ndarray] = []
        self._renderer()

    def record(self, data: mujoco.MjData) -> None:
        """Takes a frame, to be called `VIDEO_HZ` times a second."""
        self._poses.append(data.qpos.copy())

    def write(self, progress: Callable[[str], None] = lambda text: print(text, file=sys.stderr)) -> None:
        """Renders and writes the file."""
        import imageio_ffmpeg

        renderer, data = self._renderer(), mujoco.MjData(self._model)
        temporary = self._path.with_name(f".{self._path.name}")
        writer = imageio_ffmpeg.write_frames(
            os.fspath(temporary), VIDEO_SIZE, fps=VIDEO_HZ, quality=7, output_params=["-f", "mp4"], macro_block_size=8
        )
        writer.send(None)
        for index, pose in enumerate(self._poses):
            if index % (5 * VIDEO_HZ) == 0:
                progress(f"video: frame {index} of {len(self._poses)}")
            data.qpos[:] = pose
            mujoco.mj_forward(self._model, data)
            renderer.update_scene(data, "track")
            writer.send(np.ascontiguousarray(renderer.render()))
        writer.close()
        renderer.close()
        temporary.replace(self._path)
        progress(f"video: wrote {self._path}")

    def _renderer(self) -> mujoco.Renderer:
        try:
            return mujoco.Renderer(self._model, VIDEO_SIZE[1], VIDEO_SIZE[0])
        except Exception as error:  # each GL backend has its own
            raise DbpError(
                f"video: expected off-screen OpenGL, got {error} "
                "(on a machine without a GPU: apt-get install libosmesa6 and set MUJOCO_GL=osmesa)"
            ) from None
