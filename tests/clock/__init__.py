"""A false clock for the processes of the tests."""
