"""Beyond the command interpolate."""
