"""`python -m killsync`, and the `killsync` command."""

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Ctrl-C while the modules are read: no traceback; `invocation.edge` takes it back
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from killsync.cli.app import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
