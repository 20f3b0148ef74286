"""Starting the stack: the MuJoCo robot, the processes, teleop, validation and benches."""
