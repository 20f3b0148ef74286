"""The tasks a policy is trained on."""
