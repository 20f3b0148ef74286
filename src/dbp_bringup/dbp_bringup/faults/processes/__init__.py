"""Faults of the real processes: killed, stopped, disturbed under load, judged by an independent ear on the wire."""
