"""Parses as values of their own: to look at, edit, save and load."""
