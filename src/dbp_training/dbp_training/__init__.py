"""Training: tasks, algorithms, evaluation and export of policies."""
