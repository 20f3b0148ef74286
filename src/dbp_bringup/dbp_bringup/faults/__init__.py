"""Fault injection in lockstep: every fault in every mode, judged by what is on the wire."""
