"""The outcome for programs: JSON, SARIF, annotations of GitHub, and Markdown."""
