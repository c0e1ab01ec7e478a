"""What can be wrong: pure functions from state to findings."""
