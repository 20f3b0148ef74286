"""Checks of computer, network and robot before anything commands a motor."""
