"""What starts scans by itself: the line for cron, and the units of a user's systemd."""
