"""The outcome for programs: JSON, SARIF, and annotations of GitHub."""
