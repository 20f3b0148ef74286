"""A real Go2: guard and policy node on the robot's network."""

from dbp_bringup.launching import describe
from dbp_bringup.stack import REAL_ARGUMENTS, real_stack


def generate_launch_description():
    return describe(REAL_ARGUMENTS, real_stack)
