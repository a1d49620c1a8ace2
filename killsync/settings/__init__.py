"""Settings: values, file, environment, how killsync identifies itself and is called."""
