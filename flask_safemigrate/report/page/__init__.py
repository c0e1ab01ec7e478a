"""The outcome as one HTML page with the picture of the history."""
