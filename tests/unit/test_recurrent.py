"""Recurrent actors and models: what they remember, through what the gradient flows, and where it is forgotten."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dbp_policy.onnx_policy import load_runner
from dbp_training.algorithms import dmo, shac
from dbp_training.dynamics import DynamicsConfig, DynamicsModel
from dbp_training.env import Env
from dbp_training.evaluate import roll_episodes
from dbp_training.evaluate_policy import OnnxActor
from dbp_training.export import export_actor, make_contract
from dbp_training.gradient import Decoupled, Imagined, swap
from dbp_training.gradient.episode_memory import EpisodeMemory
from dbp_training.networks import Actor
from dbp_training.run_folder import RunConfig
from dbp_training.tasks.go2_robot import full_randomisation
from dbp_training.tasks.go2_walk import Go2Walk, Go2WalkConfig
from dbp_training.tasks.point_mass import PointMass

torch.set_num_threads(1)
TASK = PointMass()


def _trainer(algorithm=dmo, num_envs=4, horizon=8, model=0, **changes):
    """A small one with a recurrent actor."""
    torch.manual_seed(0)
    changes = {"recurrent": 6, "measure_every": 0, "exploration": 0.2} | changes
    base = algorithm(TASK.name)
    loop = replace(base.first_order, num_envs=num_envs, horizon=horizon, hidden=(16,), tail="none", critic=None)
    base = replace(base, first_order=replace(loop, **changes))
    if base.dynamics is not None:
        small = replace(base.dynamics, hidden=(16,), prefill=160, initial_updates=5, updates=2, batch=64)
        base = replace(base, dynamics=replace(small, recurrent=model, sequence=4))
    return base.make_trainer(Env(TASK, num_envs, 0), 0)


# The actor -----------------------------------------------------------------------------------------------------------


def test_the_windows_gradient_flows_through_what_the_actor_remembers():
    """Against finite differences of the loss in weights of its cell, with the simulator's own derivative."""
    trainer = _trainer(shac, exploration=0.0)
    start = trainer.env.state_dict()

    def loss() -> torch.Tensor:
        trainer.env.load_state_dict(start)
        trainer._hidden = trainer.actor.new_hidden(4)
        return trainer._objective(trainer.roll(trainer.source))[-1]

    cell = trainer.actor.cell.weight_hh
    (gradient,) = torch.autograd.grad(loss(), cell)
    largest = gradient.abs().flatten().topk(5).indices
    assert gradient.flatten()[largest[0]].abs() > 1e-5
    for index in largest.tolist():
        around = []
        for step in (1e-1, -1e-1):
            with torch.no_grad():
                cell.view(-1)[index] += step
                around.append(loss().item())
                cell.view(-1)[index] -= step
        assert (around[0] - around[1]) / 2e-1 == pytest.approx(gradient.flatten()[index].item(), rel=0.05, abs=2e-6)


def test_it_remembers_from_window_to_window_and_forgets_at_an_episodes_end():
    trainer = _trainer(shac)
    trainer.roll(trainer.source)
    kept = trainer._hidden
    assert kept.abs().sum() > 0.0 and not kept.requires_grad
    trainer.env.memory = replace(
        trainer.env.memory, age=torch.tensor([[0.0], [TASK.episode_steps - 8.0], [0.0], [float(TASK.episode_steps)]])
    )
    window = trainer.roll(trainer.source)  # environment 1 reaches its time limit at the last step, 3 at the first
    assert window.truncated[:, 1].tolist() == [False] * 7 + [True] and window.truncated[0, 3]
    assert trainer._hidden[1].abs().sum() == 0.0 and trainer._hidden[0].abs().sum() > 0.0
    hidden = torch.zeros(1, 6)
    for k in range(1, 8):  # what environment 3 remembers began after its end
        hidden = trainer.actor.remember(window.observation[k, 3:], hidden)
    torch.testing.assert_close(trainer._hidden[3:], hidden.detach())


@pytest.mark.parametrize(("segment", "cut"), [(None, [0]), (4, [0, 4])])
def test_windows_and_segments_begin_without_the_graph_of_what_is_remembered(segment, cut):
    trainer = _trainer(shac, segment=segment)
    trainer.roll(trainer.source)
    act, attached = trainer._act, []

    def watched(observation, noise, hidden):
        attached.append(hidden.requires_grad)
        return act(observation, noise, hidden)

    trainer._act = watched
    trainer.roll(trainer.source)
    assert [k for k, yes in enumerate(attached) if not yes] == cut


def test_an_evaluation_begins_without_a_memory_and_goes_on_with_it():
    actor = Actor(TASK.observation_size, TASK.action_size, (16,), recurrent=6).eval()
    commands = torch.tensor([[0.5], [-0.5]])
    first, again = (roll_episodes(TASK, actor, commands) for _ in range(2))
    assert torch.equal(first.action, again.action), "nothing is left of the episodes before"
    hidden = actor.new_hidden(2)
    for k in range(3):
        observation = TASK.observe(first.state[k], first.memory.map(lambda x, k=k: x[k]))
        with torch.no_grad():
            hidden = actor.remember(observation, hidden)
            torch.testing.assert_close(first.action[k], actor(observation, hidden=hidden))


def test_a_training_resumes_on_the_same_curve():
    whole, first = _trainer(model=5), _trainer(model=5)
    for trainer in (whole, first):
        trainer.prepare()
        trainer.train_window(0.0)
    second = _trainer(model=5)
    second.load_state_dict(first.state_dict())
    for trainer in (whole, second):
        trainer.train_window(0.3)
        trainer.train_window(0.6)
    for name, value in whole.actor.state_dict().items():
        assert torch.equal(value, second.actor.state_dict()[name]), name


def test_a_run_that_begins_with_another_remembers_no_episode_of_it():
    earlier, later = _trainer(model=5), _trainer(model=5)
    earlier.prepare()
    later.begin_with(earlier.state_dict())
    assert later.source.episodes is None and len(later.source.replay) == len(earlier.source.replay)
    later.train_window(0.0)


# The model -----------------------------------------------------------------------------------------------------------


def _decoupled(kind=Decoupled) -> Decoupled:
    torch.manual_seed(1)
    config = DynamicsConfig(hidden=(16,), capacity=200, recurrent=5, sequence=4)
    source = kind(config, TASK.state_size, TASK.action_size)
    source.model.update_normalisers = lambda state, reached: None  # so that a step can be computed again
    return source


def test_forwards_it_is_the_simulator_and_backwards_the_model_with_its_memory():
    source, env = _decoupled(), Env(TASK, 3, 0)
    start, actions = env.state, (0.3 * torch.randn(3, 3, TASK.action_size)).requires_grad_()
    state, memory, found, last = start, env.memory, [], []
    source.cut()
    for action in actions:
        last.append(memory.last_action)
        reached, t = source.step(env, state, memory, action)
        assert torch.equal(reached, t.reached), "bitwise"
        state, memory = reached, replace(t.reached_memory, last_action=action)
        found.append(reached)
    by_hand, hidden = start, torch.zeros(3, 5)
    for k, action in enumerate(actions):
        previous = actions[k - 1] if k else last[0]
        hidden = source.model.remember(by_hand, previous, action, hidden)
        by_hand = swap(found[k].detach(), source.model(by_hand, previous, action, hidden))
    (gradient,) = torch.autograd.grad(found[-1].sum(), actions)
    (wanted,) = torch.autograd.grad(by_hand.sum(), actions)
    assert gradient[0].abs().max() > 1e-6
    torch.testing.assert_close(gradient, wanted)


def test_a_cut_ends_the_gradient_through_the_models_memory():
    source, env = _decoupled(), Env(TASK, 2, 0)
    first, second = (torch.zeros(2, TASK.action_size, requires_grad=True) for _ in range(2))
    source.cut()
    source.step(env, env.state, env.memory, first)
    through, _ = source.step(env, env.state, env.memory, second)
    assert torch.autograd.grad(through.sum(), first, retain_graph=True)[0].abs().sum() > 0.0
    source.cut()
    after, _ = source.step(env, env.state, env.memory, second)
    assert torch.autograd.grad(after.sum(), first, allow_unused=True)[0] is None


def test_its_memory_follows_the_real_states_and_begins_anew_with_each_episode():
    source, env = _decoupled(), Env(TASK, 2, 0)
    env.memory = replace(env.memory, age=torch.tensor([[0.0], [TASK.episode_steps - 1.0]]))
    before, action = env.state, torch.full((2, TASK.action_size), 0.2)
    with torch.no_grad():
        t = source.simulate(env, action)
        wanted = source.model.remember(before, torch.zeros_like(action), action, torch.zeros(2, 5))
    assert t.done.tolist() == [False, True]
    torch.testing.assert_close(source.episodes.real[0], wanted[0])
    assert source.episodes.real[1].abs().sum() == 0.0
    assert source.episodes.begins.flatten().tolist() == [0.0, 1.0]


def test_an_imagined_episode_that_ended_goes_on_from_what_was_real():
    memory = EpisodeMemory(3, 1)
    real, window = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[10.0], [20.0], [30.0]])
    memory.step(real, window, torch.tensor([False, False, True]))
    memory.rejoin(torch.tensor([False, True, True]))
    assert memory.window.flatten().tolist() == [10.0, 2.0, 0.0]
    assert memory.real.flatten().tolist() == [1.0, 2.0, 0.0]


@pytest.mark.parametrize("kind", [Decoupled, Imagined])
def test_a_window_can_be_rolled_and_learned_from(kind):
    trainer = _trainer(model=5)
    if kind is Imagined:
        trainer.source = kind(trainer.source.config, TASK.state_size, TASK.action_size)
    trainer.prepare()
    for progress in (0.0, 0.5):
        figures = trainer.train_window(progress)
        assert all(np.isfinite(value) for value in figures.values())


def test_the_loss_of_a_sequence_by_hand():
    """Two steps, the second of another episode, and a third that does not count."""
    torch.manual_seed(2)
    model = DynamicsModel(2, 1, (8,), recurrent=3)
    state, last, action, reached = (torch.randn(1, 3, n) for n in (2, 1, 1, 2))
    hidden = torch.randn(1, 3)
    begins, valid = torch.tensor([[[0.0], [1.0], [0.0]]]), torch.tensor([[[1.0], [1.0], [0.0]]])
    found = model.sequence_loss(state, last, action, reached, begins, valid, hidden)
    first = model.remember(state[:, 0], last[:, 0], action[:, 0], hidden)
    second = model.remember(state[:, 1], last[:, 1], action[:, 1], torch.zeros(1, 3))
    rows = []
    for k, remembered in enumerate((first, second)):
        mean, logvar = model._standardised(state[:, k], last[:, k], action[:, k], remembered)
        error = model.target_normaliser(reached[:, k] - state[:, k]) - mean
        rows.append(error**2 * torch.exp(-logvar) + logvar)
    torch.testing.assert_close(found, torch.cat(rows).mean())


def test_it_finds_out_what_the_state_does_not_tell():
    """s' = s + gain a, where the gain differs between episodes: only a memory can tell it."""
    errors = {}
    for recurrent in (0, 16):
        torch.manual_seed(3)
        model = DynamicsModel(1, 1, (32,), recurrent=recurrent)
        optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
        for _ in range(300):
            state, action, reached = _episodes_of_unknown_gain(64)
            model.update_normalisers(state, reached)
            if recurrent:
                always, hidden = torch.ones(64, 8, 1), torch.zeros(64, recurrent)
                loss = model.sequence_loss(state, 0 * action, action, reached, 0 * always, always, hidden)
            else:
                loss = model.loss(state, 0 * action, action, reached)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        state, action, reached = _episodes_of_unknown_gain(256)
        hidden = torch.zeros(256, recurrent)
        for k in range(8):
            hidden = model.remember(state[:, k], 0 * action[:, k], action[:, k], hidden)
        with torch.no_grad():
            error = model(state[:, -1], 0 * action[:, -1], action[:, -1], hidden) - reached[:, -1]
        errors[recurrent] = error.square().mean().sqrt().item()
    assert errors[16] < 0.5 * errors[0], errors


def _episodes_of_unknown_gain(num: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    gain = torch.where(torch.rand(num, 1, 1) < 0.5, 0.5, 1.5)
    action = 2.0 * torch.rand(num, 8, 1) - 1.0
    reached = (gain * action).cumsum(1)
    return torch.cat([torch.zeros(num, 1, 1), reached[:, :-1]], 1), action, reached


def test_a_measurement_by_differences_refuses_a_model_that_remembers():
    algorithm = dmo("go2_walk")
    algorithm = replace(algorithm, dynamics=replace(algorithm.dynamics, recurrent=4))
    algorithm = replace(algorithm, first_order=replace(algorithm.first_order, num_envs=1, measure_every=1))
    with pytest.raises(ValueError, match="recurrent"):
        algorithm.make_trainer(Env(Go2Walk(), 1, 0), 0)


# The policy file -----------------------------------------------------------------------------------------------------


def test_the_file_remembers_as_the_actor_does(tmp_path):
    torch.manual_seed(4)
    task_config = Go2WalkConfig(episode_s=0.2, randomisation=full_randomisation())
    algorithm = replace(dmo("go2_walk"), first_order=replace(dmo("go2_walk").first_order, recurrent=12))
    config = RunConfig("go2_walk", algorithm, task_config, seed=7, threads=1, minutes=None, steps=1000)
    actor = algorithm.make_policy(Go2Walk(task_config)).eval()
    actor.normaliser.update(torch.randn(100, Go2Walk().observation_size))
    with torch.no_grad():
        actor.mlp[-1].weight.mul_(10.0)
    path = tmp_path / "policy.onnx"
    export_actor(actor, make_contract(config, {}), path)
    runner = load_runner(path)
    assert runner.contract.hidden_size == 12
    ours, theirs = actor.from_start(), OnnxActor(runner).from_start()
    for k in range(6):
        observation = torch.randn(3, Go2Walk().observation_size)
        with torch.no_grad():
            wanted = ours(observation)
        torch.testing.assert_close(theirs(observation), wanted, atol=1e-5, rtol=1e-4)
        if k:
            assert not torch.allclose(actor.from_start()(observation), wanted, atol=1e-4), "what came before counts"
