"""The actor of two skills: which network acts, and that what one learns leaves the other alone."""

from __future__ import annotations

import torch

from dbp_training.networks import Actor, Switch

torch.set_num_threads(1)


def _observations() -> tuple[torch.Tensor, torch.Tensor]:
    """Some below the threshold at its element and some from it on, and which."""
    generator = torch.Generator().manual_seed(0)
    observation = torch.randn(40, 5, generator=generator)
    observation[:2, 2] = torch.tensor([0.25, 0.2499])
    return observation, observation[:, 2] >= 0.25


def test_the_first_network_acts_below_the_threshold_and_the_second_from_it_on():
    actor, (observation, second) = Actor(5, 3, (16,), switch=Switch(2, 0.25)), _observations()
    actor.normaliser.update(3.0 * torch.randn(200, 5) + 1.0)  # the threshold is that of the observation as it is
    x = actor.normaliser(observation)
    action = actor(observation)
    assert second[0] and not second[1] and 0.2 < second.float().mean() < 0.8
    assert torch.equal(action[second], torch.tanh(actor.second_mlp(x)[second]))
    assert torch.equal(action[~second], torch.tanh(actor.mlp(x)[~second]))


def test_what_one_skill_learns_leaves_the_other_alone():
    actor, (observation, second) = Actor(5, 3, (16,), spread=True, switch=Switch(2, 0.25)), _observations()
    for rows, learns, stays in ((second, actor.second_mlp, actor.mlp), (~second, actor.mlp, actor.second_mlp)):
        actor.zero_grad()
        action, log_prob = actor.sample(observation[rows], torch.ones(int(rows.sum()), 3))
        (action.sum() + log_prob.sum()).backward()
        assert all(parameter.grad.abs().sum() > 0.0 for parameter in learns.parameters())
        assert not any(parameter.grad.any() for parameter in stays.parameters())


def test_an_actor_of_one_skill_has_one_network():
    assert Actor(5, 3, (16,)).second_mlp is None
