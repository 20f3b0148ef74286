"""What a training is asked for: the arguments of `./dbp train`, and the run's configuration that they make."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from dbp_policy.contract import MAX_HIDDEN
from dbp_policy.errors import DbpError
from dbp_training import parallel
from dbp_training.algorithms import ALGORITHMS, Algorithm
from dbp_training.run_folder import RunConfig, RunFolder, git_hash
from dbp_training.tasks.registry import TASKS

TaskName = Literal[tuple(TASKS)]
AlgorithmName = Literal[tuple(ALGORITHMS)]


@dataclass(frozen=True)
class Train:
    """Trains a policy and evaluates it on fixed commands or targets.

    Writes a run folder: config.json (everything that decides the run, with the git hash), checkpoint.pt, TensorBoard
    events and, at the end, evaluation.json. Ctrl-C saves; `--out DIR --resume` goes on.

    Examples:
        ./dbp train go2_walk                                    five minutes, nominal robot
        ./dbp train go2_walk --randomise full --minutes 15      for another simulator or a robot
        ./dbp train go2_walk --command-max 1 0.6 1              walks faster than 0.6 m/s
        ./dbp train go2_walk --steps 600000 --seed 3            same seed and steps, same curve
        ./dbp train go2_walk --randomise full --begin-with runs/DIR    go on from a run on the nominal robot
        ./dbp train push_t --algorithm shac                     another task, another algorithm
        tensorboard --logdir runs                               watch it
        ./dbp export runs/DIR models/mine.onnx                  make it a policy file

    Tasks:
        {tasks}

    Algorithms:
        {algorithms}
    """

    task: Annotated[TaskName, tyro.conf.Positional]
    """What to learn, see above."""
    algorithm: AlgorithmName = "dmo"
    """How, see above; one that a task cannot serve is refused."""
    seed: int = 0
    """Of everything random."""
    minutes: float | None = None
    """Length of the training, the model's learning included, the evaluation after it not; the task's own unless
    given: 5 for go2_walk."""
    steps: int | None = None
    """Length of the training in environment steps instead; the result then does not depend on the machine's speed."""
    out: Path | None = None
    """Run folder; runs/TASK-TIME-seedN unless given."""
    resume: bool = False
    """Continue the run in --out with its own configuration; --minutes or --steps may lengthen it."""
    begin_with: Path | None = None
    """Begin with the networks, the model and the replay of another run of this task and algorithm, such as one without
    randomisation: what is hard to find is found sooner on the nominal robot. go2_handstand also takes a run of
    go2_balance."""
    randomise: Literal["none", "full"] = "none"
    """none: the nominal robot. full: friction, mass, gains, delay up to 20 ms, pushes and sensor noise differ;
    on the front legs about half as much."""
    command_max: tuple[float, float, float] | None = None
    """Largest |vx|, |vy| [m/s] and |wz| [rad/s] that go2_walk learns to follow; 0.6 0.6 1.0 unless given."""
    observe_velocity: bool = False
    """Let go2_walk's policy read the velocity of its trunk, which a robot's estimator gives."""
    evaluations: int = 0
    """How often to evaluate on the way, as after the training; that time does not count."""
    until_goal: bool = False
    """End at the first of these evaluations that reaches what is expected of the task."""
    measure_gradient: int | None = None
    """Windows between measurements of how good the gradient is, 0 for none; the task's own unless given: 10 where the
    exact gradient is known, none elsewhere, where finite differences take seconds."""
    lr: float | None = None
    """The actor's learning rate at the beginning, for the algorithms with windows; the algorithm's own unless given. A
    run that begins with another may need a smaller one, not to lose what that has learned."""
    segment: int | None = None
    """Steps after which the gradient is cut inside a window, for the algorithms that differentiate: a window has a
    whole number of them; the algorithm's own unless given."""
    model_hidden: tuple[int, ...] | None = None
    """Widths of the learned model's hidden layers, such as 64 64; the algorithm's own unless given."""
    recurrent: int | None = None
    """Width of a hidden state for the actor (a GRU), which may tell what an observation does not, for the algorithms
    with windows; 0 for none; the algorithm's own unless given. The policy file carries it."""
    model_recurrent: int | None = None
    """The same for the learned model, which then learns from sequences."""
    device: str = "cpu"
    """Where go2_walk is simulated: cpu, or cuda (cuda:1 and so on) for MuJoCo Warp on an NVIDIA GPU, after
    `./dbp setup gpu`; warp-cpu tries that without one. The networks stay on the CPU."""
    threads: int = 2
    """Threads of the simulator, shared by the processes that torchrun starts on a computer; the networks are small and
    use one."""


def _list(entries: dict[str, str]) -> str:
    return "\n        ".join(f"{name:<16} {text}" for name, text in entries.items())


Train.__doc__ = Train.__doc__.format(
    tasks=_list({name: entry.help for name, entry in TASKS.items()}),
    algorithms=_list({name: function.__doc__.splitlines()[0] for name, function in ALGORITHMS.items()}),
)


def checked(args: Train) -> Train:
    """`args`, or a `DbpError` that says what is wrong with them."""
    if args.algorithm not in ALGORITHMS:
        raise DbpError(f"expected an algorithm of {', '.join(ALGORITHMS)}, got {args.algorithm!r}")
    if args.resume and args.out is None:
        raise DbpError("--resume: expected --out with the run folder to continue")
    if args.resume and args.begin_with is not None:
        raise DbpError("expected --resume or --begin-with, got both")
    if args.minutes is not None and args.steps is not None:
        raise DbpError("expected --minutes or --steps, got both")
    positive = [("--minutes", args.minutes), ("--steps", args.steps), ("--threads", args.threads)]
    positive += [("--lr", args.lr), ("--segment", args.segment)]
    positive += [("--model-hidden", width) for width in args.model_hidden or ()]
    for name, value in positive:
        if value is not None and not 0 < value < float("inf"):
            raise DbpError(f"{name}: expected a positive number, got {value}")
    if args.measure_gradient is not None and args.measure_gradient < 0:
        raise DbpError(f"--measure-gradient: expected a number that is not negative, got {args.measure_gradient}")
    for name, width in (("--recurrent", args.recurrent), ("--model-recurrent", args.model_recurrent)):
        if width is not None and not 0 <= width <= MAX_HIDDEN:
            raise DbpError(f"{name}: expected a width from 0 to {MAX_HIDDEN}, got {width}")
    if args.evaluations < 0:
        raise DbpError(f"--evaluations: expected a number that is not negative, got {args.evaluations}")
    if args.until_goal and not args.evaluations:
        raise DbpError("--until-goal: expected --evaluations to tell it by, got none")
    if args.until_goal and not TASKS[args.task].goal:
        raise DbpError(f"--until-goal: expected a task with a goal, got {args.task}")
    if args.command_max is not None and not all(0 <= value < float("inf") for value in args.command_max):
        raise DbpError(f"--command-max: expected numbers that are not negative, got {args.command_max}")
    return args


def new_config(args: Train) -> RunConfig:
    """The configuration of a new run; `DbpError` where the algorithm cannot serve the task."""
    randomised = args.randomise != "none"
    algorithm = ALGORITHMS[args.algorithm](args.task, randomised)
    if args.measure_gradient is not None and (randomised or algorithm.dynamics is None):
        raise DbpError("--measure-gradient: expected a learned gradient and --randomise none")
    loop = algorithm.first_order
    if args.segment is not None and loop is not None and loop.horizon % args.segment:
        wanted = f"a divisor of the window's {loop.horizon} steps"
        raise DbpError(f"--segment: expected {wanted}, got {args.segment} for {args.algorithm}")
    for part, name, option, value in (
        ("first_order", "measure_every", "--measure-gradient", args.measure_gradient),
        ("first_order", "lr", "--lr", args.lr),
        ("first_order", "segment", "--segment", args.segment),
        ("first_order", "recurrent", "--recurrent", args.recurrent),
        ("dynamics", "hidden", "--model-hidden", args.model_hidden),
        ("dynamics", "recurrent", "--model-recurrent", args.model_recurrent),
    ):
        if value is not None:
            algorithm = _with(algorithm, part, name, option, value)
    if args.measure_gradient and algorithm.dynamics.recurrent and not TASKS[args.task].differentiable:
        raise DbpError("--measure-gradient: expected a model without hidden state, or a task with exact gradients")
    return RunConfig(
        task=args.task,
        algorithm=algorithm,
        task_config=TASKS[args.task].configure(randomised, args.command_max, args.observe_velocity, args.device),
        seed=args.seed,
        threads=args.threads,
        minutes=args.minutes if args.minutes or args.steps else TASKS[args.task].minutes,
        steps=args.steps,
        evaluations=args.evaluations,
        until_goal=args.until_goal,
        git_hash=git_hash(),
        began_with=_earlier(args, algorithm),
    )


def _with(algorithm: Algorithm, part: str, name: str, option: str, value: Any) -> Algorithm:
    """`algorithm` with another number in one of its parts, which it must have."""
    numbers = getattr(algorithm, part)
    if numbers is None:
        wanted = {"first_order": "an algorithm with windows", "dynamics": "an algorithm with a learned model"}[part]
        raise DbpError(f"{option}: expected {wanted}, got {algorithm.name}")
    return replace(algorithm, **{part: replace(numbers, **{name: value})})


def _earlier(args: Train, algorithm: Algorithm) -> RunConfig | None:
    if args.begin_with is None:
        return None
    if algorithm.first_order is None:
        raise DbpError(f"--begin-with: expected an algorithm with windows, got {args.algorithm}")
    if parallel.size() > 1:
        raise DbpError(f"--begin-with: expected one process, got {parallel.size()}")
    earlier = RunFolder(args.begin_with).read_config()
    fits = issubclass(TASKS[earlier.task].make, TASKS[args.task].make) and earlier.algorithm.name == args.algorithm
    if not fits:
        found = f"{earlier.task} with {earlier.algorithm.name}"
        raise DbpError(f"--begin-with: expected a run of {args.task} with {args.algorithm}, found one of {found}")
    return earlier
