"""Facts of addresses: what they mean, how a file's is made from a folder's, what is not shown."""

from pathlib import Path

import pytest

from pipeline.download.addresses import below, local_path, shown
from pipeline.errors import InputError


@pytest.mark.parametrize(
    ("base", "address"),
    [
        ("http://host", "http://host/a.tar"),
        ("http://host/voc/", "http://host/voc/a.tar"),
        ("https://host/voc/?sv=1&sig=a%2Fb/", "https://host/voc/a.tar?sv=1&sig=a%2Fb/"),
        ("file:///data/", "file:///data/a.tar"),
        ("/data/why?/", "/data/why?/a.tar"),
        ("data", "data/a.tar"),
        ("/", "/a.tar"),
    ],
)
def test_a_file_is_below_its_folder(base: str, address: str) -> None:
    assert below(base, "a.tar") == address


@pytest.mark.parametrize(
    ("address", "seen"),
    [
        ("https://user:p@ss@host:80/a.tar?sig=x@y", "https://host:80/a.tar"),
        ("http://token@host", "http://host"),
        ("http://host/a@b#c", "http://host/a@b"),
        ("/data/a@b?c", "/data/a@b?c"),
    ],
)
def test_secrets_are_not_shown(address: str, seen: str) -> None:
    assert shown(address) == seen


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("http://user:pw@host:80/a", None),
        ("HTTPS://host/a", None),
        ("/data/a b", Path("/data/a b")),
        ("data/a", Path("data/a")),
        ("file:///data/a%20b", Path("/data/a b")),
        ("file://localhost/data", Path("/data")),
    ],
)
def test_a_path_is_local_and_a_server_is_not(address: str, path: Path | None) -> None:
    assert local_path(address) == path


@pytest.mark.parametrize(
    "address", ["ftp://host/a", "s3://secret@bucket/a", "file://host/a", "http:///a", ""]
)
def test_another_kind_of_address_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="is no http, https or file address") as caught:
        local_path(address)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("host", ["[::1", "host:99999", "host:port"])
def test_a_malformed_address_is_refused_without_its_password(host: str) -> None:
    with pytest.raises(InputError, match="http://.*/a: .*; correct the address") as caught:
        local_path(f"http://user:secret@{host}/a")
    assert "secret" not in str(caught.value)
