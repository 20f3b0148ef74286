"""Installs dbp_bringup, and its launch, RViz and systemd files into share/dbp_bringup."""

from glob import glob

from setuptools import find_packages, setup

setup(
    name="dbp_bringup",
    version="0.1.0",
    packages=find_packages(include=["dbp_bringup", "dbp_bringup.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/dbp_bringup"]),
        ("share/dbp_bringup", ["package.xml"]),
        ("share/dbp_bringup/launch", sorted(glob("launch/*.launch.py"))),
        ("share/dbp_bringup/config", sorted(glob("config/*.rviz"))),
        ("share/dbp_bringup/systemd", sorted(glob("systemd/*"))),
    ],
    entry_points={
        "console_scripts": [
            "go2_robot = dbp_bringup.robot.process:main",
            "recorder = dbp_bringup.recorder:main",
            "wire_recorder = dbp_bringup.bags.wire_recorder:main",
            "ros_recorder = dbp_bringup.bags.ros_recorder:main",
            "record = dbp_bringup.bags.record:main",
            "replay = dbp_bringup.bags.replay:main",
            "sim = dbp_bringup.sim:main",
            "real = dbp_bringup.real:main",
            "doctor = dbp_bringup.doctor.__main__:main",
            "teleop = dbp_bringup.teleop:main",
            "description = dbp_bringup.description:main",
            "validate = dbp_bringup.validate:main",
            "faults = dbp_bringup.faults.__main__:main",
            "bench = dbp_bringup.bench.__main__:main",
        ],
    },
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},  # without it `colcon test` runs unittest, finds nothing and says "passed"
    zip_safe=False,
)
