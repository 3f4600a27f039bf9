"""What goes wrong at the Hub of the tests, and when; `tests.hub_server` says how to use it."""

import threading
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any


@dataclass
class Fault:
    """What happens to the requests to an endpoint, after the first few, and to how many of them."""

    endpoint: str  # "" for any
    after: int
    times: int | None  # None for all that follow
    status: int | None = None
    message: str = ""
    code: str | None = None  # by which the client picks its exception
    seconds: float = 0.0
    cut: str | None = None  # "request" or "response"
    files: dict[str, bytes] | None = None  # of another writer's commit

    def strikes(self, endpoint: str) -> bool:
        """Counts a request, and says whether it is hit."""
        if self.endpoint not in ("", endpoint) or self.times == 0:
            return False
        if self.after > 0:
            self.after -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


class Faults:
    """The faults that are set at the moment.

    Args:
        endpoints: the names there are.
    """

    def __init__(self, endpoints: Collection[str]):
        self._endpoints = endpoints
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self.token_refused = False

    def _set(self, endpoint: str, after: int, times: int | None, **what: Any) -> None:
        if endpoint not in ("", *self._endpoints):
            raise ValueError(f"no endpoint is named {endpoint!r}; there are {', '.join(self._endpoints)}")
        with self._lock:
            self._faults.append(Fault(endpoint, after, times, **what))

    def fail(
        self,
        endpoint: str = "",
        *,
        status: int = 500,
        message: str = "Internal Error - We're working on it",
        code: str | None = None,
        after: int = 0,
        times: int | None = 1,
    ) -> None:
        """An error is answered, and nothing is done."""
        self._set(endpoint, after, times, status=status, message=message, code=code)

    def limit_rate(self, endpoint: str = "", *, after: int = 0, times: int | None = 1) -> None:
        """Too many requests, is answered, and to wait for no time at all."""
        self._set(endpoint, after, times, status=429, message="We had to rate limit you")

    def slow(self, endpoint: str = "", *, seconds: float, after: int = 0, times: int | None = None) -> None:
        """The answer comes late."""
        self._set(endpoint, after, times, seconds=seconds)

    def cut_request(self, endpoint: str = "", *, after: int = 0, times: int | None = 1) -> None:
        """The connection ends while the request arrives: nothing is done."""
        self._set(endpoint, after, times, cut="request")

    def cut_response(self, endpoint: str = "", *, after: int = 0, times: int | None = 1) -> None:
        """What was asked is done, and the connection ends in the middle of the answer."""
        self._set(endpoint, after, times, cut="response")

    def commit_between(self, files: dict[str, bytes], *, after: int = 0, times: int | None = 1) -> None:
        """Another writer commits these files to the same branch just before the client's commit."""
        self._set("commit", after, times, files=files)

    def refuse_token(self) -> None:
        """Every token is a wrong one."""
        self.token_refused = True

    def clear(self) -> None:
        """All is well again."""
        with self._lock:
            self._faults.clear()
        self.token_refused = False

    def of(self, endpoint: str) -> list[Fault]:
        """Counts a request to an endpoint, and returns the faults that hit it."""
        with self._lock:
            return [fault for fault in self._faults if fault.strikes(endpoint)]
