"""Pictures of the MuJoCo robot: the live viewer, and a video of a recorded motion, rendered after the run.

Rendering would hold up the physics, and MuJoCo chooses its OpenGL once, on import: so `render` does it in a process of
its own, with the first of MuJoCo's off-screen back ends that works here.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import mujoco
import numpy as np

from dbp_policy.errors import DbpError
from dbp_policy.files import check_folder_of

VIDEO_HZ = 30
_BACKENDS = ("egl", "osmesa")


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
    """Collects poses while the robot runs; writes the video when it has stopped.

    Args:
        path: Video file to write.
        model: The robot's model.

    Raises:
        DbpError: The folder does not exist, or this machine cannot render off screen.
    """

    def __init__(self, path: Path, model: mujoco.MjModel) -> None:
        check_folder_of(path, "--video")
        self._path = path
        self._model = model
        self._poses: list[np.ndarray] = []
        self._backend = _working_backend()

    def record(self, data: mujoco.MjData) -> None:
        """Takes a frame, to be called `VIDEO_HZ` times a second."""
        self._poses.append(data.qpos.copy())

    def write(self) -> None:
        """Renders and writes the file; says how far it is."""
        with tempfile.TemporaryDirectory() as folder:
            model, poses = Path(folder) / "model.mjb", Path(folder) / "poses.npy"
            mujoco.mj_saveModel(self._model, str(model))
            np.save(poses, np.array(self._poses).reshape(-1, self._model.nq))
            _render(self._backend, str(model), str(poses), str(self._path), check=True)


def _working_backend() -> str:
    for backend in [os.environ["MUJOCO_GL"]] if os.environ.get("MUJOCO_GL") else _BACKENDS:
        if _render(backend, check=False, quiet=True) == 0:
            return backend
    raise DbpError("video: expected off-screen OpenGL, found none (on Debian and Ubuntu: apt-get install libegl1)")


def _render(backend: str, *arguments: str, check: bool, quiet: bool = False) -> int:
    command = [sys.executable, "-m", "dbp_bringup.robot.render", *arguments]
    done = subprocess.run(command, env={**os.environ, "MUJOCO_GL": backend}, capture_output=quiet)
    if check and done.returncode:
        raise DbpError(f"video: rendering ended with exit code {done.returncode}")
    return done.returncode
