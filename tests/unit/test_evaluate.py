"""The evaluation is the same every time, and tells standing from falling."""

from __future__ import annotations

import math

import pytest
import torch

from dbp_training.evaluate import evaluate
from dbp_training.tasks.go2_robot import Randomisation
from dbp_training.tasks.go2_walk import Go2Walk, Go2WalkConfig

torch.set_num_threads(1)
TASK = Go2Walk(Go2WalkConfig(episode_s=3.0, randomisation=Randomisation()))


def _give_way(observation: torch.Tensor) -> torch.Tensor:
    return torch.cat([torch.zeros(len(observation), 2), torch.ones(len(observation), 10)], -1)


@pytest.mark.parametrize("top", [(0.6, 0.6, 1.0), (1.0, 0.6, 1.5)])
def test_the_commands_are_always_the_same_and_span_the_range(top):
    task = Go2Walk(Go2WalkConfig(command_max=top))
    commands, again = task.evaluation_commands(), task.evaluation_commands()
    assert torch.equal(commands, again) and commands.shape == (64, 3)
    top = torch.tensor(top)
    assert commands[0].tolist() == [0.0, 0.0, 0.0] and (commands == top).all(-1).any()
    assert (commands.abs() <= top + 1e-6).all()
    assert (commands.max(0).values > 0.8 * top).all() and (commands.min(0).values < -0.8 * top).all()


def test_a_policy_that_gives_way_does_not_survive_and_is_scored_all_the_same():
    result = evaluate(TASK, _give_way, TASK.evaluation_commands(16))
    assert result["survival"] == 0.0
    assert not any(math.isinf(value) for value in result.values())


def test_standing_still_has_the_error_of_the_commanded_speed():
    """In the first seconds at zero action the robot stays up and in place."""
    task = Go2Walk(Go2WalkConfig(episode_s=1.2, randomisation=Randomisation(), kp=60.0, kd=3.0))
    commands = torch.tensor([[0.3, 0.4, 0.0]]).repeat(4, 1)
    result = evaluate(task, lambda observation: torch.zeros(len(observation), 12), commands)
    assert result["survival"] == 1.0
    assert abs(result["planar_velocity_error"] - 0.5) < 0.05
    assert abs(result["mean_velocity_error"] - 0.5) < 0.05
    assert abs(result["trot_agreement"] - 0.5) < 0.05  # all feet down: right for the half that should be


def test_two_evaluations_agree_whatever_was_drawn_between():
    commands = TASK.evaluation_commands(8)
    first = evaluate(TASK, _give_way, commands)
    torch.randn(100)
    second = evaluate(TASK, _give_way, commands)
    assert str(first) == str(second)
