"""What doctor --fix does."""
