"""Installs dbp_policy and the workspace's models into share/dbp_policy/models."""

from glob import glob

from setuptools import find_packages, setup

setup(
    name="dbp_policy",
    version="0.1.0",
    packages=find_packages(include=["dbp_policy", "dbp_policy.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/dbp_policy"]),
        ("share/dbp_policy", ["package.xml"]),
        ("share/dbp_policy/models", sorted(f for end in ("xml", "onnx", "md") for f in glob(f"../../models/*.{end}"))),
    ],
    entry_points={
        "console_scripts": [
            "guard = dbp_policy.guard.process:main",
            "standby = dbp_policy.guard.standby_process:main",
            "policy_node = dbp_policy.policy_node:main",
            "estop = dbp_policy.estop:main",
            "estop_endpoint = dbp_policy.estop_endpoint:main",
        ],
    },
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},  # without it `colcon test` runs unittest, finds nothing and says "passed"
    zip_safe=False,
)
