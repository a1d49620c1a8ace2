"""A clock for the processes of the campaign."""
