"""`python -m killsync`, and the `killsync` command."""

from killsync.cli.app import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
