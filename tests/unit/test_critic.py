"""The critic regresses, its target follows slowly, and the actor's tail goes through it without training it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from dbp_policy.errors import DbpError
from dbp_training.algorithms import shac
from dbp_training.critic import Critic, CriticConfig
from dbp_training.env import Env
from dbp_training.first_order import FirstOrderTrainer
from dbp_training.first_order_config import FirstOrderConfig
from dbp_training.gradient import Analytic
from dbp_training.gradient.quality import gradient_quality
from dbp_training.returns import window_returns
from dbp_training.tasks.point_mass import PointMass, PointMassConfig

torch.set_num_threads(1)


def _critic(**changes) -> Critic:
    torch.manual_seed(0)
    return Critic(replace(CriticConfig(hidden=(32,), lr=3e-3), **changes), 3)


def test_it_learns_a_function():
    critic, generator = _critic(), torch.Generator().manual_seed(0)
    for _ in range(20):
        inputs = torch.randn(128, 3, generator=generator)
        figures = critic.learn(inputs, 5.0 + inputs[:, 0] - inputs[:, 1] ** 2, generator, 0.0)
    assert figures["critic_loss"] < 0.3
    torch.testing.assert_close(critic.value(torch.tensor([[1.0, 0.0, 0.0]])).item(), 6.0, atol=0.5, rtol=0)


def test_the_target_is_the_polyak_average():
    critic = _critic(keep=0.75)
    before = [p.clone() for p in critic.target.parameters()]
    critic.learn(torch.randn(64, 3), torch.randn(64), torch.Generator().manual_seed(0), 0.0)
    for old, slow, new in zip(before, critic.target.parameters(), critic.network.parameters(), strict=True):
        torch.testing.assert_close(slow, 0.75 * old + 0.25 * new)


def test_a_value_has_a_slope_in_the_state_alone():
    critic, inputs = _critic(), torch.randn(5, 3, requires_grad=True)
    assert torch.equal(critic.value(inputs), torch.zeros(5))  # nothing is known yet
    critic.learn(inputs.detach(), torch.randn(5), torch.Generator().manual_seed(0), 0.0)
    critic._optimiser.zero_grad(set_to_none=True)
    critic.value(inputs).sum().backward()
    assert inputs.grad.abs().sum() > 0.0
    assert all(p.grad is None for p in [*critic.network.parameters(), *critic.target.parameters()])


def test_targets_that_are_not_finite_stop_the_training():
    with pytest.raises(DbpError, match="critic: expected a finite loss"):
        _critic().learn(torch.randn(8, 3), torch.full((8,), float("nan")), torch.Generator(), 0.0)


# In the trainer ------------------------------------------------------------------------------------------------------


def _trainer(episode_steps: int = 100, num_envs: int = 2, **changes) -> FirstOrderTrainer:
    torch.manual_seed(0)
    task = PointMass(PointMassConfig(episode_steps=episode_steps))
    config = replace(shac("point_mass").first_order, num_envs=num_envs, horizon=4, hidden=(8,), **changes)
    return FirstOrderTrainer(Env(task, num_envs, 0, stagger=False), Analytic(), config, 0)


def _known_value(trainer: FirstOrderTrainer) -> None:
    """V = 7 + 3 x, of the state's first element."""
    trainer.critic.value = lambda inputs: 7.0 + 3.0 * inputs[..., 0]


@pytest.mark.parametrize("episode_steps", [100, 2])
def test_a_window_and_a_time_limit_go_on_with_the_value_of_the_state_before_the_reset(episode_steps):
    trainer = _trainer(episode_steps)
    _known_value(trainer)
    window = trainer.roll(trainer.source)
    reward, _, loss = trainer._objective(window)
    g, x = trainer.config.discount, window.reached[..., 0]
    if episode_steps == 100:
        expected = sum(g**k * reward[k] for k in range(4)) + g**4 * (7.0 + 3.0 * x[3])
    else:  # two episodes of two steps; the second starts from its own reset, the first is valued where it ended
        assert window.truncated[:, 0].tolist() == [False, True, False, True]
        assert not torch.equal(window.state[2], window.reached[1])
        halves = [reward[k] + g * reward[k + 1] + g**2 * (7.0 + 3.0 * x[k + 1]) for k in (0, 2)]
        expected = halves[0] + halves[1]
    torch.testing.assert_close(loss, -expected.mean() / 4)
    slope = torch.autograd.grad(loss, window.reached, retain_graph=True)[0][..., 0]
    without = -window_returns(reward, window.terminated, window.truncated, g).mean() / 4
    reward_alone = torch.autograd.grad(without, window.reached)[0][..., 0]
    last = g**4 if episode_steps == 100 else g**2
    torch.testing.assert_close((slope - reward_alone)[3], torch.full((2,), -last * 3.0 / 4 / 2), atol=1e-5, rtol=1e-4)


def test_the_critic_learns_td_targets_of_the_states_before_the_steps():
    trainer, seen = _trainer(), {}
    _known_value(trainer)
    trainer.critic.learn = lambda inputs, targets, *_: seen.update(inputs=inputs, targets=targets) or {}
    window = trainer.roll(trainer.source)
    reward = trainer.env.task.reward(window.reached, window.action, window.memory).detach()
    trainer._train_critic(window, reward, 0.0)
    assert torch.equal(seen["inputs"].reshape(4, 2, -1)[..., :2], window.state)
    assert not seen["inputs"].requires_grad and not seen["targets"].requires_grad
    last = reward[3] + 0.99 * (7.0 + 3.0 * window.reached[3, :, 0].detach())
    torch.testing.assert_close(seen["targets"].reshape(4, 2)[3], last)


def test_the_actors_step_leaves_the_critic_alone_and_the_critics_the_actor():
    trainer = _trainer(num_envs=8)
    trainer._train_critic = lambda *_: {}
    before = [p.clone() for p in trainer.critic.network.parameters()]
    trainer.train_window(0.0)
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.critic.network.parameters(), strict=True))
    assert all(p.grad is None for p in trainer.critic.network.parameters())
    del trainer._train_critic
    actor = [p.clone() for p in trainer.actor.parameters()]
    trainer._step_actor = lambda *_: 0.0
    trainer.train_window(0.0)
    assert all(torch.equal(a, b) for a, b in zip(actor, trainer.actor.parameters(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(before, trainer.critic.network.parameters(), strict=True))


def test_an_observed_tail_completes_the_value_and_leaves_the_slope():
    def loss_and_slope(tail: str) -> tuple[torch.Tensor, torch.Tensor]:
        trainer = _trainer(tail=tail, critic=None, segment=2)
        window = trainer.roll(trainer.source)
        reward, _, loss = trainer._objective(window)
        first = sum(0.99**k * reward[k] for k in range(4)).mean().detach()
        return loss.detach(), torch.cat([g.flatten() for g in trainer._actor_gradient(loss)]), first, reward.detach()

    bare, slope, whole, reward = loss_and_slope("none")
    full, same, _, _ = loss_and_slope("monte-carlo")
    assert torch.equal(slope, same)
    torch.testing.assert_close(-4 * full, whole + (reward[2] + 0.99 * reward[3]).mean())
    assert full != bare


def test_configurations_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="expected a critic, got none"):
        FirstOrderConfig(tail="bootstrap")
    with pytest.raises(ValueError, match="whole segments, got 32 and 5"):
        FirstOrderConfig(segment=5)
    for wrong in (1.0, -0.1, float("nan")):
        with pytest.raises(ValueError, match=f"exploration_memory: expected a number from 0 to below 1, got {wrong}"):
            FirstOrderConfig(exploration_memory=wrong)
    for wrong in (0.0, float("nan")):
        with pytest.raises(ValueError, match=f"adjoint_clip: expected a positive number or None, got {wrong}"):
            FirstOrderConfig(adjoint_clip=wrong)


# Gradient quality ----------------------------------------------------------------------------------------------------


def test_the_quality_of_a_gradient_by_hand():
    exact = [torch.tensor([3.0, 0.0]), torch.tensor([[0.0, 4.0]])]
    same = gradient_quality(exact, exact)
    assert same["gradient_cosine"] == pytest.approx(1.0) and same["gradient_relative_error"] == 0.0
    half = gradient_quality([part / 2 for part in exact], exact)
    assert half["gradient_cosine"] == pytest.approx(1.0) and half["gradient_relative_error"] == pytest.approx(0.5)
    across = gradient_quality([torch.tensor([4.0, 0.0]), torch.tensor([[0.0, -3.0]])], exact)
    assert across["gradient_cosine"] == pytest.approx(0.0)
    assert across["gradient_relative_error"] == pytest.approx(50**0.5 / 5)


def test_measuring_an_exact_source_finds_no_error_and_changes_nothing():
    measured, plain = _trainer(measure_every=1), _trainer(measure_every=0)
    for k in range(3):
        with_quality, without = measured.train_window(k / 3), plain.train_window(k / 3)
        assert with_quality.pop("gradient_cosine") == pytest.approx(1.0)
        assert with_quality.pop("gradient_relative_error") == 0.0
        assert with_quality == without
