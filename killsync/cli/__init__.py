"""The commands, one small module each: the only place that prints."""
