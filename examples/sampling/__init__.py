"""Beyond the command sample."""
