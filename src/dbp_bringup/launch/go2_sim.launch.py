"""The simulated Go2: MuJoCo robot, guard and policy node."""

from dbp_bringup.launching import describe
from dbp_bringup.stack import LOCAL_DISCOVERY, SIM_ARGUMENTS, simulated_stack


def generate_launch_description():
    return describe(SIM_ARGUMENTS, simulated_stack, LOCAL_DISCOVERY)
