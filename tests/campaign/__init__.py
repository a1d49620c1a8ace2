"""The fault campaign: cases that try to make killsync lose, double or leak something."""
