"""Beyond the command edit."""
