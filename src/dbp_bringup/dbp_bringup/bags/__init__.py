"""Recordings of a running stack as ROS 2 bags, and their replay through the policy."""
