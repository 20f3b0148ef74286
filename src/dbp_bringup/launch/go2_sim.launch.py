"""The simulated Go2: MuJoCo robot, guard and policy node."""

import os

from dbp_bringup.launching import describe
from dbp_bringup.stack import SIM_ARGUMENTS, local_discovery, simulated_stack


def generate_launch_description():
    return describe(SIM_ARGUMENTS, simulated_stack, local_discovery(os.environ.get("ROS_DISTRO")))
