"""Small checks on what the guard receives: pure, with injected time, each written so that NaN fails."""
