"""State estimation: contact, base velocity, planar odometry."""
