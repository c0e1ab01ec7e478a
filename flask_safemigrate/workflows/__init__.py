"""What the commands do, as straight lines over ports; no I/O of their own."""
