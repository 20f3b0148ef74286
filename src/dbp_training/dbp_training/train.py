"""`./dbp train TASK`: what a run is made of by its arguments, and the command around it."""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from dbp_policy.cli import parse
from dbp_policy.contract import MAX_HIDDEN
from dbp_policy.errors import DbpError, run_main
from dbp_training import parallel
from dbp_training.algorithms import ALGORITHMS, Algorithm
from dbp_training.progress import Stop
from dbp_training.run_folder import RunConfig, RunFolder, git_hash
from dbp_training.tasks.go2_robot import Go2Task
from dbp_training.tasks.registry import TASKS
from dbp_training.training import Training

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
    if args.measure_gradient is not None:
        if randomised or algorithm.dynamics is None:
            raise DbpError("--measure-gradient: expected a learned gradient and --randomise none")
        algorithm = replace(algorithm, first_order=replace(algorithm.first_order, measure_every=args.measure_gradient))
    if args.lr is not None:
        if algorithm.first_order is None:
            raise DbpError(f"--lr: expected an algorithm with windows, got {args.algorithm}")
        algorithm = replace(algorithm, first_order=replace(algorithm.first_order, lr=args.lr))
    if args.segment is not None:
        loop = algorithm.first_order
        if loop is None or loop.horizon % args.segment:
            windows = "an algorithm with windows" if loop is None else f"a divisor of the window's {loop.horizon} steps"
            raise DbpError(f"--segment: expected {windows}, got {args.segment} for {args.algorithm}")
        algorithm = replace(algorithm, first_order=replace(loop, segment=args.segment))
    if args.model_hidden is not None:
        if algorithm.dynamics is None:
            raise DbpError(f"--model-hidden: expected an algorithm with a learned model, got {args.algorithm}")
        algorithm = replace(algorithm, dynamics=replace(algorithm.dynamics, hidden=args.model_hidden))
    if args.recurrent is not None:
        if algorithm.first_order is None:
            raise DbpError(f"--recurrent: expected an algorithm with windows, got {args.algorithm}")
        algorithm = replace(algorithm, first_order=replace(algorithm.first_order, recurrent=args.recurrent))
    if args.model_recurrent is not None:
        if algorithm.dynamics is None:
            raise DbpError(f"--model-recurrent: expected an algorithm with a learned model, got {args.algorithm}")
        if args.measure_gradient and args.model_recurrent and not TASKS[args.task].differentiable:
            raise DbpError("--measure-gradient: expected a model without hidden state, or a task with exact gradients")
        algorithm = replace(algorithm, dynamics=replace(algorithm.dynamics, recurrent=args.model_recurrent))
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


def _print_table(evaluation: dict[str, Any]) -> None:
    units = {"velocity_error": "m/s", "rate_error": "rad/s", "torque": "N·m", "minutes": "min"}
    print(f"evaluation: {evaluation['episodes']} fixed commands, one episode each")
    for name, value in evaluation.items():
        unit = next((u for end, u in units.items() if name.endswith(end)), "")
        print(f"  {name:<40} {'none' if value is None else f'{value:.4g}':>10} {unit}")


def train(args: Train) -> int:
    """Runs `./dbp train` with checked arguments; the exit code.

    Raises:
        DbpError: The arguments, the run folder or the training itself are wrong.
    """
    parallel.join()
    try:
        code = _train(args, leads=parallel.rank() == 0)
        parallel.wait()
        return code
    finally:
        parallel.leave()


def _train(args: Train, leads: bool) -> int:
    folder = RunFolder(args.out or Path("runs") / f"{args.task}-{time.strftime('%Y%m%d-%H%M%S')}-seed{args.seed}")
    if args.resume:
        config = folder.read_config()
        if args.minutes or args.steps:
            config = replace(config, minutes=args.minutes, steps=args.steps)
    else:
        config = new_config(args)
    if leads:
        folder.write_config(config) if args.resume else folder.create(config)
        print(f"{config.task} with {config.algorithm.name}, seed {config.seed}, run folder {folder.path}")
    stop = Stop()
    training = Training(folder, config)
    if args.resume:
        training.load()
    elif args.begin_with is not None:
        training.begin_with(RunFolder(args.begin_with))
    with _event_log(folder) if leads else contextlib.nullcontext() as log:
        try:
            finished = training.run(log, stop)
        except (MemoryError, RuntimeError) as error:
            reason = "out of memory" if isinstance(error, MemoryError) or "memory" in str(error) else str(error)
            kept = folder.checkpoint_path if folder.checkpoint_path.exists() else "none yet"
            steps = training.env_steps
            raise DbpError(f"training stopped after {steps} steps: {reason} (last good checkpoint: {kept})") from error
        if not finished and leads:
            together = f", by torchrun with {parallel.size()} processes" if parallel.size() > 1 else ""
            print(f"stopped and saved; continue with: ./dbp train {config.task} --out {folder.path} --resume{together}")
        if not finished or not leads:
            return 0 if finished else 130
        evaluation = training.conclude(log)
    _print_table(evaluation)
    if issubclass(TASKS[config.task].make, Go2Task):
        print(f"export with: ./dbp export {folder.path} models/{config.task}.onnx")
    return 0


def _event_log(folder: RunFolder) -> Any:
    """TensorBoard's writer."""
    from torch.utils.tensorboard import SummaryWriter  # slow to import: not for --help

    return SummaryWriter(str(folder.path))


def main() -> int:
    """Entry point of `./dbp train`."""
    return run_main(lambda: train(checked(parse(Train, "dbp train"))))


if __name__ == "__main__":
    sys.exit(main())
