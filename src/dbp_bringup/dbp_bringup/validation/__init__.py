"""The battery that a policy has to pass before it meets a robot, and the judgement over it."""
