"""What `./dbp play` shows an episode with: MuJoCo's viewer or renderer, or a drawing; live or as a video."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import mujoco
import numpy as np
from torch import Tensor

from dbp_policy.errors import DbpError
from dbp_policy.files import written_whole
from dbp_training.env import Task
from dbp_training.tasks.analytic import AnalyticTask

SIZE = (720, 480)
"""Width and height of a video; multiples of 8, as encoders want."""


class View(Protocol):
    """Shows one step after another."""

    def show(self, sim: Any, state: Tensor, command: Tensor) -> bool:
        """Shows a step; False once the person at the screen has seen enough."""


@contextmanager
def open_view(task: Task, video: Path | None) -> Iterator[View]:
    """A view of a task's episodes: a window, or `video`, which is written whole or not at all.

    Raises:
        DbpError: Neither works here.
    """
    drawn = isinstance(task, AnalyticTask)
    if video is None:
        with _Window(task) if drawn else _viewer(task) as view:
            yield view
        return
    import imageio_ffmpeg

    options = {"fps": 1.0 / task.dt, "quality": 7, "output_params": ["-f", "mp4"], "macro_block_size": 8}
    with written_whole(video) as temporary:
        writer = imageio_ffmpeg.write_frames(str(temporary), SIZE, **options)
        writer.send(None)
        picture = _Drawing(task) if drawn else _Rendering(task)
        yield _Film(picture, writer)
        writer.close()
        picture.close()
    print(f"wrote {video}")


class _Film:
    def __init__(self, picture: Any, writer: Any) -> None:
        self._picture, self._writer = picture, writer

    def show(self, sim: Any, state: Tensor, command: Tensor) -> bool:
        self._writer.send(np.ascontiguousarray(self._picture.frame(sim, state, command)))
        return True


# MuJoCo --------------------------------------------------------------------------------------------------------------


class _Rendering:
    """Frames off screen."""

    def __init__(self, task: Task) -> None:
        self._model, self._data = _model_of(task)
        self._camera = "track" if "track" in _cameras(self._model) else -1
        self._model.vis.global_.offwidth, self._model.vis.global_.offheight = SIZE
        try:
            self._renderer = mujoco.Renderer(self._model, SIZE[1], SIZE[0])
        except Exception as error:  # each back end fails in its own way
            raise DbpError(f"video: expected off-screen OpenGL (MUJOCO_GL egl or osmesa), got: {error}") from None

    def frame(self, sim: Any, _state: Tensor, _command: Tensor) -> np.ndarray:
        _pose(self._model, self._data, sim)
        self._renderer.update_scene(self._data, self._camera)
        return self._renderer.render()

    def close(self) -> None:
        self._renderer.close()


@contextmanager
def _viewer(task: Task) -> Iterator[View]:
    from mujoco import viewer  # opens GLFW on import

    model, data = _model_of(task)
    try:
        window = viewer.launch_passive(model, data, show_left_ui=False, show_right_ui=False)
    except Exception as error:  # GLFW's failures have no common class
        raise DbpError(f"the viewer did not open ({error}): --video FILE.mp4 needs no screen") from None
    with window:
        if "track" in _cameras(model):
            window.cam.type, window.cam.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, model.camera("track").id
        yield _Passive(window, model, data, task.dt)


class _Passive:
    def __init__(self, window: Any, model: mujoco.MjModel, data: mujoco.MjData, dt: float) -> None:
        self._window, self._model, self._data, self._dt = window, model, data, dt
        self._due = time.monotonic()

    def show(self, sim: Any, _state: Tensor, _command: Tensor) -> bool:
        with self._window.lock():
            _pose(self._model, self._data, sim)
        self._window.sync()
        self._due = max(self._due + self._dt, time.monotonic())
        time.sleep(self._due - time.monotonic() if self._due > time.monotonic() else 0.0)
        return self._window.is_running()


def _model_of(task: Task) -> tuple[mujoco.MjModel, mujoco.MjData]:
    model = task.picture_model()
    return model, mujoco.MjData(model)


def _cameras(model: mujoco.MjModel) -> set[str]:
    return {model.camera(i).name for i in range(model.ncam)}


def _pose(model: mujoco.MjModel, data: mujoco.MjData, sim: Any) -> None:
    data.qpos[:] = sim.qpos[0]
    mujoco.mj_forward(model, data)


# Drawings ------------------------------------------------------------------------------------------------------------


class _Drawing:
    """Frames of an analytic task's lines."""

    def __init__(self, task: AnalyticTask) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self._task = task
        self._figure = Figure(figsize=(SIZE[0] / 100, SIZE[1] / 100), dpi=100)
        self._canvas, self._axes = FigureCanvasAgg(self._figure), self._figure.subplots()

    def frame(self, _sim: Any, state: Tensor, command: Tensor) -> np.ndarray:
        draw(self._axes, self._task, state, command)
        self._canvas.draw()
        return np.asarray(self._canvas.buffer_rgba())[..., :3]

    def close(self) -> None:
        self._figure.clear()


class _Window:
    """The same in a window."""

    def __init__(self, task: AnalyticTask) -> None:
        from matplotlib import pyplot

        self._pyplot, self._task = pyplot, task
        self._figure, self._axes = pyplot.subplots()

    def __enter__(self) -> _Window:
        return self

    def __exit__(self, *_) -> None:
        self._pyplot.close(self._figure)

    def show(self, _sim: Any, state: Tensor, command: Tensor) -> bool:
        draw(self._axes, self._task, state, command)
        self._pyplot.pause(self._task.dt)
        return self._pyplot.fignum_exists(self._figure.number)


def draw(axes: Any, task: AnalyticTask, state: Tensor, command: Tensor) -> None:
    """Draws an analytic task's lines on matplotlib's axes."""
    axes.clear()
    for name, points in task.lines(state.double(), command.double()).items():
        axes.plot(*points.T, label=name, marker="o" if len(points) == 1 else None)
    left, right, bottom, top = task.window
    axes.set(xlim=(left, right), ylim=(bottom, top), aspect="equal", xlabel="m", ylabel="m")
    axes.legend(loc="upper left")
