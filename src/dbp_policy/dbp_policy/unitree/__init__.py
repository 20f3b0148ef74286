"""Unitree's side of the wire: DDS channels, message layout, CRC, remote, motion switcher."""
