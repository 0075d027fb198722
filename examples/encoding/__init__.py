"""Beyond the command encode."""
