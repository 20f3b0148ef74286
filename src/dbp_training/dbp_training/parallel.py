"""One run in several processes, started by torchrun: each simulates and replays its own share of the environments.

Networks start equal and get equal gradients, the mean over the processes, so they stay equal; running moments are taken
over what all of them saw. In a run of one process everything here does nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from dbp_policy.errors import DbpError

_SEED_STRIDE = 1_000_003
"""Between the seeds of two processes: far more than anyone counts seeds to."""


def join() -> None:
    """Meets the other processes, if torchrun started this one."""
    if "TORCHELASTIC_RUN_ID" in os.environ and not dist.is_initialized():
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")


def wait() -> None:
    """Until all processes are here: none ends while another still speaks to it."""
    if size() > 1:
        dist.barrier()


def leave() -> None:
    """Parts from them."""
    if dist.is_initialized():
        dist.destroy_process_group()


def size() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Which of them this is; 0 speaks, logs and writes files for all."""
    return dist.get_rank() if dist.is_initialized() else 0


def seed(common: int) -> int:
    """A seed of this process's own, from the run's; the run's own in process 0."""
    return common + _SEED_STRIDE * rank()


def share(name: str, total: int) -> int:
    """This process's share of a number.

    Raises:
        DbpError: It does not divide.
    """
    if total % size():
        raise DbpError(f"{name}: expected a multiple of the {size()} processes, got {total}")
    return total // size()


def threads(total: int) -> int:
    """This process's share of a computer's threads, at least one."""
    return max(1, total // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def average(tensors: Iterable[Tensor]) -> None:
    """Puts the mean over all processes into each tensor."""
    if size() == 1:
        return
    tensors = list(tensors)
    flat = torch.cat([tensor.detach().flatten() for tensor in tensors])
    dist.all_reduce(flat)
    flat /= size()
    for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor))


def average_gradients(parameters: Iterable[Tensor]) -> None:
    """The same for the gradients of parameters, before they are clipped."""
    average(parameter.grad for parameter in parameters)


def moments(count: int, mean: Tensor, var: Tensor) -> tuple[int, Tensor, Tensor]:
    """Count, mean and variance of all processes' vectors, from those of this one's, shapes (), (n,), (n,)."""
    if size() == 1:
        return count, mean, var
    if not count:
        mean, var = torch.zeros_like(mean), torch.zeros_like(var)
    total = _sum(torch.tensor([float(count)], dtype=torch.float64))
    common = _sum(count * mean.double()) / total
    spread = _sum(count * (var.double() + (mean - common) ** 2)) / total
    return int(total), common.to(mean), spread.to(var)


def agree(elapsed: float, stop: bool) -> tuple[float, bool]:
    """The clock of process 0 and whether anyone wants to stop: so that all leave the loop together."""
    if size() == 1:
        return elapsed, stop
    told = torch.tensor([elapsed if rank() == 0 else 0.0, float(stop)], dtype=torch.float64)
    dist.all_reduce(told, dist.ReduceOp.MAX)
    return told[0].item(), bool(told[1])


def gather(state: Any) -> list[Any] | None:
    """Every process's object in process 0, None in the others."""
    if size() == 1:
        return [state]
    states = [None] * size() if rank() == 0 else None
    dist.gather_object(state, states)
    return states


def _sum(tensor: Tensor) -> Tensor:
    dist.all_reduce(tensor)
    return tensor
