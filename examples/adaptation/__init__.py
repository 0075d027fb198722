"""Beyond the command transfer."""
