"""Reads the project's files without importing or running any of them."""
