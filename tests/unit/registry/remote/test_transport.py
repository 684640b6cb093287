from __future__ import annotations

import pytest

from registry.errors import RegistryUnavailable
from registry.remote.transport import Transport
from tests.support.ports import free_port
from vqc.errors import InvalidValue


@pytest.mark.parametrize(
    ("address", "base"),
    [
        ("oci://127.0.0.1:5000/team/vqc", "http://127.0.0.1:5000/v2/team/vqc/"),
        ("oci://localhost/vqc", "http://localhost/v2/vqc/"),
        ("oci://[::1]:5000/vqc", "http://[::1]:5000/v2/vqc/"),
        ("oci://harbor.example.com/team/vqc_models", "https://harbor.example.com/v2/team/vqc_models/"),
        ("oci://localhost.example.com/vqc", "https://localhost.example.com/v2/vqc/"),
    ],
)
def test_plain_http_is_for_this_machine_only(address: str, base: str) -> None:
    assert str(Transport.at(address)._client.base_url) == base


@pytest.mark.parametrize(
    "address",
    [
        "oci://",
        "oci://host",
        "oci://host/",
        "oci://host/UPPER",
        "oci://user:password@host/vqc",
        "oci://host/vqc:tag",
        "oci://host/../x",
        "oci://host:0/x",
        "oci://host:99999/x",
        "oci://ann:secret@host/x",
        "oci://ann:se/cret@host/x",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InvalidValue, match="oci://") as caught:
        Transport.at(address)
    assert "cret" not in str(caught.value)


def test_a_registry_that_is_not_there_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registry.remote.transport.sleep", lambda seconds: None)
    transport = Transport(f"127.0.0.1:{free_port()}", "vqc")
    with pytest.raises(RegistryUnavailable, match=r"does not answer \(ConnectError") as caught:
        transport.request("GET", "tags/list")
    assert caught.value.status is None
