"""The MuJoCo robot: a Go2 to anyone on its DDS domain."""
