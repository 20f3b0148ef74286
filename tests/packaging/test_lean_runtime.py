"""What runs on the robot needs neither torch nor mujoco, and the guard needs neither ROS nor onnxruntime."""

import subprocess
import sys

BLOCK = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
"""


def run(blocked: set[str], code: str, *arguments: str) -> subprocess.CompletedProcess:
    program = BLOCK.format(blocked=blocked) + code
    return subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True)


def test_the_robot_side_runs_without_torch_and_mujoco(stub_policy_path):
    done = run(
        {"torch", "mujoco", "dbp_training", "dbp_bringup"},
        "import dbp_policy.policy_node, dbp_policy.guard.process, dbp_policy.estop\n"
        "from dbp_policy.onnx_policy import load_runner\nload_runner(sys.argv[1])\n",
        str(stub_policy_path),
    )
    assert done.returncode == 0, done.stderr


def test_the_guard_runs_without_ros_and_onnxruntime():
    done = run({"rclpy", "onnxruntime", "torch", "mujoco"}, "import dbp_policy.guard.process\n")
    assert done.returncode == 0, done.stderr


def test_the_blocker_blocks():
    assert run({"rclpy"}, "import dbp_policy.policy_node\n").returncode != 0
