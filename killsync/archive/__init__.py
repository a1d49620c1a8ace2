"""Killmails from elsewhere: reading what others keep of them, and importing it."""
