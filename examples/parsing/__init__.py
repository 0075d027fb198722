"""Beyond the command parse."""
