"""Runs commands so that file permissions bind them even if root runs the tests."""

import os
import shutil

import pytest


def bound(words: list[str]) -> list[str]:
    """Return the words of a command that permissions bind; the test is skipped if none can be."""
    if os.geteuid() != 0:
        return words
    if shutil.which("setpriv") is None:
        pytest.skip("file permissions do not bind root, and there is no setpriv")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *words]
