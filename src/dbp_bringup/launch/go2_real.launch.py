"""A real Go2: the doctor looks first, then guard and policy node start; a dry run unless armed."""

from dbp_bringup.launching import describe
from dbp_bringup.preflight import checked_real_stack
from dbp_bringup.stack import REAL_ARGUMENTS


def generate_launch_description():
    return describe(REAL_ARGUMENTS, checked_real_stack)
