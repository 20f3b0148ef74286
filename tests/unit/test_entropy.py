"""The stochastic actor, the bonus for its entropy, the temperature that weighs it, and the critics it is judged by."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.distributions import Independent, Normal, TanhTransform, TransformedDistribution

from dbp_policy.errors import DbpError
from dbp_training.algorithms import dmo_sapo
from dbp_training.critic import Critic, CriticConfig
from dbp_training.entropy import EntropyConfig, Temperature
from dbp_training.env import Env
from dbp_training.evaluate import evaluate
from dbp_training.first_order import FirstOrderTrainer
from dbp_training.networks import Actor
from dbp_training.run_folder import RunFolder
from dbp_training.tasks.point_mass import PointMass

torch.set_num_threads(1)


def _trainer(seed: int = 0, **changes) -> FirstOrderTrainer:
    torch.manual_seed(seed)
    algorithm = dmo_sapo("point_mass")
    loop = replace(algorithm.first_order, measure_every=0, **changes)
    algorithm = replace(algorithm, first_order=loop, dynamics=replace(algorithm.dynamics, hidden=(32,), prefill=640))
    return algorithm.make_trainer(Env(PointMass(), loop.num_envs, seed), seed)


def test_log_probability_is_that_of_a_squashed_normal():
    torch.manual_seed(0)
    actor = Actor(4, 3, (16,), spread=True)
    with torch.no_grad():
        actor.mlp[-1].weight.mul_(20.0)
    observation, noise = torch.randn(50, 4), torch.randn(50, 3)
    action, log_prob = actor.sample(observation, noise)
    mean, spread = actor.mlp(actor.normaliser(observation)).chunk(2, -1)
    std = torch.exp(-5.0 + 3.5 * (torch.tanh(spread) + 1.0))
    squashed = TransformedDistribution(Normal(mean, std), TanhTransform(cache_size=1))
    raw = mean + std * noise
    expected = Normal(mean, std).log_prob(raw) - TanhTransform().log_abs_det_jacobian(raw, torch.tanh(raw))
    torch.testing.assert_close(log_prob, expected.sum(-1), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(action, torch.tanh(raw))
    near = (action.abs() < 0.99).all(-1)
    torch.testing.assert_close(log_prob[near], Independent(squashed, 1).log_prob(action)[near], atol=1e-2, rtol=1e-2)
    torch.testing.assert_close(actor(observation), torch.tanh(mean))
    assert torch.isfinite(actor.sample(observation, 40.0 * torch.ones(50, 3))[1]).all()


def test_the_bonus_by_hand():
    temperature = Temperature(EntropyConfig(wanted=-1.0, temperature=0.5), action_size=4)
    # 0.5 (4 - log pi) / 8
    torch.testing.assert_close(
        temperature.bonus(torch.tensor([0.0, 4.0, -4.0, 12.0])), torch.tensor([0.25, 0.0, 0.5, -0.5])
    )


def test_the_temperature_holds_the_entropy_where_it_is_wanted():
    rising, falling = (Temperature(EntropyConfig(temperature=1.0, lr=0.1), action_size=2) for _ in range(2))
    assert rising.learn(torch.full((5,), 3.0)) == {
        "entropy": -3.0,
        "temperature": pytest.approx(math.exp(0.1), rel=1e-3),
    }
    assert falling.learn(torch.full((5,), 1.0)) == {
        "entropy": -1.0,
        "temperature": pytest.approx(math.exp(-0.1), rel=1e-3),
    }
    with pytest.raises(DbpError, match="expected a finite entropy, got nan"):
        rising.learn(torch.tensor([float("nan")]))


def test_tails_take_the_mean_of_the_critics_and_targets_the_least_of_two():
    torch.manual_seed(0)
    critic = Critic(CriticConfig(hidden=(8,), ensemble=5, keep=0.0, lr=0.05), 3)
    inputs, generator = torch.randn(64, 3), torch.Generator().manual_seed(0)
    critic.learn(inputs, inputs.sum(-1) ** 2, generator, 0.0)
    each = torch.stack([network(critic.normaliser(inputs)).squeeze(-1) for network in critic.network])
    torch.testing.assert_close(critic.value(inputs), each.mean(0))
    seen = [critic.cautious_value(inputs, generator) for _ in range(40)]
    pairs = [torch.minimum(each[i], each[j]) for i in range(5) for j in range(i)]
    assert all(any(torch.allclose(value, pair) for pair in pairs) for value in seen)
    assert len({tuple(value.tolist()) for value in seen}) > 3, "drawn anew"


def test_it_learns_to_reach_a_point_and_says_how_it_explores():
    task, trainer = PointMass(), _trainer()
    before = evaluate(task, trainer.policy.eval(), task.evaluation_commands())
    trainer.prepare()
    figures = [trainer.train_window(0.0) for _ in range(60)]
    after = evaluate(task, trainer.policy.eval(), task.evaluation_commands())
    assert after["final_distance"] < 0.5 * before["final_distance"]
    assert figures[-1]["temperature"] < figures[0]["temperature"], "it varies more than is wanted"


def test_it_goes_on_along_the_same_curve_from_its_state(tmp_path):
    whole, folder = _trainer(num_envs=8, horizon=8), RunFolder(tmp_path)
    whole.prepare()
    whole.train_window(0.0)
    folder.save_checkpoint(whole.state_dict())
    expected = [whole.train_window(0.0) for _ in range(2)]
    other = _trainer(seed=3, num_envs=8, horizon=8)
    other.load_state_dict(folder.load_checkpoint())
    assert [other.train_window(0.0) for _ in range(2)] == expected


def test_the_objective_holds_the_bonus_and_the_logged_reward_does_not():
    trainer = _trainer(num_envs=4, horizon=4, discount=1.0, tail="none", critic=None)
    trainer.prepare()
    window = trainer.roll(trainer.source)
    plain, soft, loss = trainer._objective(window)
    torch.testing.assert_close(soft - plain, trainer.temperature.bonus(window.log_prob))
    torch.testing.assert_close(plain, trainer.env.task.reward(window.reached, window.action, window.memory))
    torch.testing.assert_close(loss, -soft.sum(0).mean() / 4)
