"""Installs dbp_training."""

from setuptools import find_packages, setup

setup(
    name="dbp_training",
    version="0.1.0",
    packages=find_packages(include=["dbp_training", "dbp_training.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/dbp_training"]),
        ("share/dbp_training", ["package.xml"]),
    ],
    entry_points={
        "console_scripts": [
            "train = dbp_training.train:main",
            "compare = dbp_training.compare:main",
            "evaluate = dbp_training.evaluate_policy:main",
            "play = dbp_training.play:main",
            "export = dbp_training.export:main",
            "torchrun = dbp_training.torchrun:main",
            "bench_training = dbp_training.bench.training:cli",
        ],
    },
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},  # without it `colcon test` runs unittest, finds nothing and says "passed"
    zip_safe=False,
)
