"""Recursive Neural Programs: the deterministic core, torch only. Start at models/rnp.py."""
