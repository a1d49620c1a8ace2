"""The commands, one small module each: with `terminal/` the only place that prints."""
