"""The guard: the only process that commands the motors."""
