"""Beyond the command topography."""
