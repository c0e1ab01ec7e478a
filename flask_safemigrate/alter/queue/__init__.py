"""What was asked for, made in a scratch database in memory."""
