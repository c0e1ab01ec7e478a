"""Outcomes as text and pages for people, as JSON, SARIF and annotations for programs."""
