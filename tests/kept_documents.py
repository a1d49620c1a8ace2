"""What SSO publishes, kept in memory: for the tests that answer for SSO in one process."""


class KeptDocuments(dict[str, tuple[bytes, float]]):
    """Keeps what SSO publishes in memory, as the token file does on disk."""

    def document(self, url: str) -> tuple[bytes, float] | None:
        return self.get(url)

    def keep_document(self, url: str, body: bytes, now: float) -> None:
        self[url] = body, now
