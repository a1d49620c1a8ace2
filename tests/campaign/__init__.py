"""The fault campaign: cases that try to make killsync lose, duplicate or leak something."""
