"""Beyond the command ablate_guides."""
