"""Between the Hub of the tests and the wire: requests, answers, errors, and the server that breaks connections."""

import contextlib
import json
import re
import socket
import sys
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from tests.hub_server import HubServer


class HubError(Exception):
    """An answer that is an error: its status, its message, and the code that the client picks its exception by."""

    def __init__(
        self, status: int, message: str, code: str | None = None, headers: dict[str, str] | None = None, **values: Any
    ):
        super().__init__(message)
        line = " ".join(message.encode("ascii", "replace").decode().split())
        self.headers = {"X-Error-Message": line, **({"X-Error-Code": code} if code else {}), **(headers or {})}
        self.status, self.values = status, {"error": message, **values}


@dataclass
class Request:
    """A request as it arrived, and once it is answered, how."""

    endpoint: str
    method: str
    path: str
    query: dict[str, list[str]]
    headers: Any
    body: bytes = b""
    status: int = 0
    sent: int = 0

    @property
    def token(self) -> str | None:
        scheme, _, token = (self.headers.get("Authorization") or "").partition(" ")
        return token if scheme == "Bearer" else None

    def json(self) -> dict[str, Any]:
        try:
            return json.loads(self.body or b"{}")
        except ValueError as error:
            raise HubError(400, "Unexpected end of JSON input") from error


@dataclass
class Answer:
    """What is sent back: JSON, or the content of a file."""

    value: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes | None = None

    @property
    def body(self) -> bytes:
        return json.dumps(self.value).encode() if self.content is None else self.content


class Server(ThreadingHTTPServer):
    """Listens at a port of its own.

    Args:
        hub: answers what arrives.
        routes: endpoints, their methods and the patterns of their paths.
    """

    request_queue_size = 64  # connections that a client may ask for at once

    def __init__(self, hub: "HubServer", routes: tuple[tuple[str, str, str], ...]):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub, self.routes = hub, routes

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):  # a client that is gone is no error of ours
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Reads requests, sends answers, and breaks connections where a fault says so."""

    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _serve(self) -> None:
        hub, address = self.server.hub, urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        endpoint, arguments = self._route(address.path)
        if endpoint is None:
            self.rfile.read(length)
            answer = Answer({"error": "This Hub has nothing here"}, 404)
            return self._send(answer, answer.body)
        request = Request(endpoint, self.command, address.path, parse_qs(address.query), self.headers)
        hub.record(request)
        faults = hub.faults.of(endpoint)
        if any(fault.cut == "request" for fault in faults):
            self.rfile.read(length // 2)
            return self._hang_up()
        request.body = self.rfile.read(length)
        if len(request.body) < length:
            return self._hang_up()  # the client is gone, and with it the rest of what it wanted
        time.sleep(sum(fault.seconds for fault in faults))
        answer = hub.answer(request, faults, arguments)
        content = b"" if self.command == "HEAD" or answer.status == 304 else answer.body
        cut = any(fault.cut == "response" for fault in faults)
        if cut:
            content = content[: len(content) // 2]
        request.status, request.sent = answer.status, len(content)  # told before the client can be done
        self._send(answer, content)
        if cut:
            self._hang_up()

    do_GET = do_HEAD = do_POST = do_DELETE = _serve

    def _route(self, path: str) -> tuple[str | None, dict[str, str | None]]:
        for endpoint, methods, pattern in self.server.routes:
            if self.command in methods.split() and (found := re.fullmatch(pattern, path)):
                values = found.groupdict().items()
                return endpoint, {name: value if value is None else unquote(value) for name, value in values}
        return None, {}

    def _send(self, answer: Answer, content: bytes) -> None:
        """Sends the head of an answer, and as much of its content as is given."""
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json" if answer.content is None else "application/octet-stream")
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(content)

    def _hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):  # the client was faster
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *message: object) -> None:
        """Says nothing: `HubServer.requests` tells what was asked."""
