"""Beyond the command play."""
