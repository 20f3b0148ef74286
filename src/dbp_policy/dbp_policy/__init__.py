"""Everything that runs on the robot: the guard, the policy node and what they share. No torch, no MuJoCo."""
