"""ROS launch adapter: the stack description as a launch description. Needs the launch_ros of a ROS 2 installation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction, SetEnvironmentVariable, Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from dbp_bringup.stack import Argument, Process
from dbp_bringup.supervisor import executable_path


def describe(
    arguments: Sequence[Argument],
    processes: Callable[[Mapping[str, str]], tuple[Process, ...]],
    environment: Mapping[str, str] | None = None,
) -> LaunchDescription:
    """A launch description with every argument declared; the end of a process that may not end ends the stack, and
    `ros2 launch` with exit code 1 if that process failed.

    Args:
        arguments: The stack's arguments.
        processes: Makes its processes from the arguments' values.
        environment: Set for all of them.
    """

    def start(context) -> list:
        values = {a.name: LaunchConfiguration(a.name).perform(context) for a in arguments}
        return [_action(process) for process in processes(values)]

    declared = [
        DeclareLaunchArgument(a.name, description=a.description)
        if a.default is None
        else DeclareLaunchArgument(a.name, default_value=a.default, description=a.description)
        for a in arguments
    ]
    variables = [SetEnvironmentVariable(name, value) for name, value in (environment or {}).items()]
    return LaunchDescription([*declared, *variables, OpaqueFunction(function=start)])


def _action(process: Process):
    ended = None if process.may_end else _end(process.name)
    if process.is_node:
        return Node(
            package=process.package,
            executable=process.executable,
            name=process.name,
            namespace=process.namespace,
            arguments=list(process.arguments),
            parameters=[dict(process.parameters)] if process.parameters else [],
            output="screen",
            on_exit=ended,
        )
    command = [str(executable_path(process)), *process.arguments]
    return ExecuteProcess(cmd=command, name=process.name, output="screen", on_exit=ended)


def _end(name: str) -> Callable:
    """What follows when a process of the stack ends."""

    def ended(event, context) -> Shutdown:
        if event.returncode and not context.is_shutdown:  # raised here it is one line, a shutdown and exit code 1
            raise RuntimeError(f"{name} ended with exit code {event.returncode}, so the stack ends")
        return Shutdown(reason=f"{name} has ended")

    return ended
