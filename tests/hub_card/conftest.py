"""What the tests of publishing share: a Hub of their own, whose client repeats at once what it repeats."""

from types import SimpleNamespace

import pytest

from tests.hub_server import HubServer


@pytest.fixture
def hub(tmp_path, monkeypatch):
    for name in ("utils._http", "file_download"):
        monkeypatch.setattr(f"huggingface_hub.{name}.time", SimpleNamespace(sleep=lambda seconds: None))
    with HubServer(tmp_path / "hub") as server:
        yield server
