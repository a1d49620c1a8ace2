"""What `killsync check` finds out offline, and what a repair can put right."""
