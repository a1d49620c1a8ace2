"""An object store as Amazon's is, on loopback: moto's server, of which each request can be seen."""

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from moto.core.authorization import ActionAuthenticatorMixin
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

BUCKET = "lakes"
REGION = "us-east-1"
KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "hunter2hunter2",
    # else the SDK looks for keys at an address that only Amazon's machines have
    "AWS_EC2_METADATA_DISABLED": "true",
}


class _Silent(WSGIRequestHandler):  # type: ignore[misc]
    def log(self, type: str, message: str, *args: object) -> None:
        """Say nothing."""


class ObjectStore:
    """A store with one bucket; `seen` is called with method and path before each request.

    If it returns a status, that is the answer.
    """

    def __init__(self) -> None:
        self.seen: Callable[[str, str], str | None] = lambda method, path: None
        self._app: Any = DomainDispatcherApplication(create_backend_app)
        self._server = make_server(
            "127.0.0.1", 0, self._answer, threaded=True, request_handler=_Silent
        )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.endpoint = f"127.0.0.1:{self._server.port}"
        self.client = self.service("s3")
        self.client.create_bucket(Bucket=BUCKET)

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        status = self.seen(environ["REQUEST_METHOD"], environ["PATH_INFO"])
        if status is None:
            return self._app(environ, start)  # type: ignore[no-any-return]
        start(status, [("Content-Length", "0")])
        return []

    def service(self, name: str) -> Any:
        """Return a client of boto3's for one of Amazon's services."""
        return boto3.client(
            name,
            endpoint_url=f"http://{self.endpoint}",
            region_name=REGION,
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )

    def url(self, prefix: str, bucket: str = BUCKET) -> str:
        """Return the address of a lake, as a person writes it."""
        options = f"endpoint_override={self.endpoint}&scheme=http&region={REGION}"
        return f"s3://{bucket}/{prefix}?{options}"

    def keys(self, prefix: str) -> list[str]:
        """Return the names of all objects below a prefix, without it; not those of directories."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=BUCKET, Prefix=f"{prefix}/"
        )
        found = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        return sorted(key.removeprefix(f"{prefix}/") for key in found if not key.endswith("/"))

    @contextmanager
    def guarded(self, *actions: str) -> Iterator[dict[str, str]]:
        """Ask for keys and rights; yield the keys of somebody who has the right to some actions."""
        iam = self.service("iam")
        iam.create_user(UserName="analyst")
        key = iam.create_access_key(UserName="analyst")["AccessKey"]
        allowed = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        policy = {"Version": "2012-10-17", "Statement": [allowed]}
        iam.put_user_policy(
            UserName="analyst", PolicyName="some", PolicyDocument=json.dumps(policy)
        )
        self._ask_for_rights(after=0)
        try:
            yield {
                "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
                "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
            }
        finally:
            self._ask_for_rights(after=float("inf"))
            iam.delete_access_key(UserName="analyst", AccessKeyId=key["AccessKeyId"])
            iam.delete_user_policy(UserName="analyst", PolicyName="some")
            iam.delete_user(UserName="analyst")

    def _ask_for_rights(self, after: float) -> None:
        from moto import settings

        settings.INITIAL_NO_AUTH_ACTION_COUNT = after
        ActionAuthenticatorMixin.request_count = 0

    def close(self) -> None:
        """End the server."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
