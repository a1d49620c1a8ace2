"""What the operator has set: values, file, environment, and who killsync says it is."""
