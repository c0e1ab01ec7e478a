"""What the tests share: real database servers and real Flask projects on disk."""
