"""The token file: the only place with secrets."""
