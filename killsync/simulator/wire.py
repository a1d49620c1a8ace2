"""HTTP/1.1 on the wire: parse a request from a buffer, encode the head of an answer."""

from email.utils import formatdate
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

MAX_HEAD = 64 * 1024
MAX_BODY = 64 * 1024 * 1024

_REASONS = {status.value: status.phrase for status in HTTPStatus} | {420: "Enhance Your Calm"}


class MalformedRequestError(Exception):
    """The bytes are not a request that this server understands; `status` is the one to answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Request(msgspec.Struct):
    """One request; header names are lower-case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""
    keep_alive: bool = True
    peer: str = ""

    def bearer(self) -> str | None:
        """Return the bearer token from the Authorization header, if any."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else None

    def has_etag(self, etag: str) -> bool:
        """Return whether If-None-Match contains this ETag."""
        given = self.headers.get("if-none-match")
        if given is None:
            return False
        tags = [tag.strip().removeprefix("W/") for tag in given.split(",")]
        return etag in tags or "*" in tags


class Answer(msgspec.Struct):
    """One answer; status 0 means that the connection closes without one."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = {}
    content_type: str = "application/json"


def json_answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    """Return an answer with a value encoded as JSON."""
    return Answer(status, msgspec.json.encode(value), headers or {})


def error(status: int, text: str, headers: dict[str, str] | None = None) -> Answer:
    """Return an error answer in ESI's format."""
    return json_answer({"error": text}, status, headers)


def http_date(seconds: float) -> str:
    """Format a unix time as an HTTP date."""
    return formatdate(int(seconds), usegmt=True)


def read_request(buffer: bytearray) -> Request | None:
    """Take one request out of the buffer; return None and leave it if it is not complete.

    Raises MalformedRequestError if it cannot become a valid request.
    """
    end = buffer.find(b"\r\n\r\n")
    if end > MAX_HEAD or (end < 0 and len(buffer) > MAX_HEAD):
        raise MalformedRequestError(431, "request head too large")
    if end < 0:
        return None
    request = _parse_head(bytes(buffer[:end]))
    start, length = end + 4, _body_length(request)
    if len(buffer) < start + length:
        return None
    request.body = bytes(buffer[start : start + length])
    del buffer[: start + length]
    return request


def _parse_head(head: bytes) -> Request:
    lines = head.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ")
    if len(parts) != 3 or not parts[1].startswith("/") or not parts[2].startswith("HTTP/1."):
        raise MalformedRequestError(400, "malformed request line")
    headers = dict(_parse_header(line) for line in lines[1:])
    path, _, query = parts[1].partition("?")
    connection = headers.get("connection", "").lower()
    return Request(
        method=parts[0],
        path=unquote(path) if "%" in path else path,
        query=dict(parse_qsl(query, keep_blank_values=True)) if query else {},
        headers=headers,
        keep_alive=connection != "close" and (parts[2] != "HTTP/1.0" or connection != ""),
    )


def _parse_header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name or name != name.strip():
        raise MalformedRequestError(400, "malformed header")
    return name.lower(), value.strip()


def _body_length(request: Request) -> int:
    if "transfer-encoding" in request.headers:
        raise MalformedRequestError(411, "Content-Length required")
    text = request.headers.get("content-length", "0")
    if not (text.isascii() and text.isdigit()) or len(text) > 12:
        raise MalformedRequestError(400, "malformed Content-Length")
    if int(text) > MAX_BODY:
        raise MalformedRequestError(413, "request body too large")
    return int(text)


def encode_head(answer: Answer, date: str, keep_alive: bool, length: int | None = None) -> bytes:
    """Encode the status line and headers; `length` overrides the announced body length."""
    lines = [f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Unknown')}", f"Date: {date}"]
    if answer.status not in (204, 304):
        lines.append(f"Content-Length: {len(answer.body) if length is None else length}")
        if "Content-Type" not in answer.headers:
            lines.append(f"Content-Type: {answer.content_type}")
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    if not keep_alive:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
