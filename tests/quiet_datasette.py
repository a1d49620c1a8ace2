"""Imports Datasette, which leaves a database open as it is imported: Python 3.13 warns of that."""

import gc
import importlib
import warnings


def import_datasette() -> None:
    """Import Datasette, whose warning is not to fail whichever test is the first to need it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        importlib.import_module("datasette.app")
        gc.collect()
