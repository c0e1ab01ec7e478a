"""Saying what two schemas have in common."""
