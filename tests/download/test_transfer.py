"""Fetching from a server on the loopback interface that fails in every way a real one does."""

import errno
import hashlib
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import pytest
import requests

from pipeline.checksum import verify
from pipeline.download import http, resuming
from pipeline.download.disk import free_space
from pipeline.download.transfer import fetch
from pipeline.errors import InputError
from tests.download.server import Faults, LoopbackServer

REPOSITORY = Path(__file__).parents[2]
SIZE = 3 * 2**20
HALF = SIZE // 2
PATH = "/voc.tar"
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(resuming, "BACKOFF_S", 0)
    monkeypatch.setattr(resuming, "TRIES", 3)


@pytest.fixture
def server(tmp_path):
    """Serves 3 MiB of noise as /voc.tar."""
    (tmp_path / "served").mkdir()
    (tmp_path / "served/voc.tar").write_bytes(os.urandom(SIZE))
    with LoopbackServer(tmp_path / "served") as running:
        yield running


@pytest.fixture
def mirror(tmp_path, server):
    """Serves the same."""
    shutil.copytree(tmp_path / "served", tmp_path / "mirrored")
    with LoopbackServer(tmp_path / "mirrored") as running:
        yield running


@pytest.fixture
def address(server):
    return server.url + PATH


@pytest.fixture
def target(tmp_path):
    return tmp_path / "data/voc.tar"


@pytest.fixture
def content(server):
    return (server.folder / "voc.tar").read_bytes()


def beside(target, end):
    return target.with_name(target.name + end)


def names(target):
    return {path.name for path in target.parent.iterdir()}


def sha256(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def refused(addresses, target, *messages, **known):
    """The error, which must contain every one of `messages`."""
    with pytest.raises(InputError) as caught:
        fetch(addresses, target, **known)
    for message in messages:
        assert message in str(caught.value)
    return str(caught.value)


def leave_half(server, target, **known):
    """What a broken off transfer leaves: the first half, and where it is from."""
    server.faults[PATH] = Faults(drops=[HALF], statuses=[200, 404])
    refused([server.url + PATH], target, "404", **known)
    server.faults[PATH] = Faults()
    assert beside(target, ".part").stat().st_size == HALF
    server.requests.clear()
    server.bytes_served.clear()


def ranges(server):
    return [request.headers.get("range") for request in server.asked(PATH)]


# A server without faults


def test_a_file_is_fetched_verified_and_then_never_again(server, address, target, content):
    known = {"size": SIZE, "checksum": sha256(content)}
    assert fetch([address], target, **known) == target
    assert target.read_bytes() == content
    assert names(target) == {"voc.tar"}
    assert fetch([address], target, **known) == target
    assert len(server.requests) == 1


def test_what_the_server_sends_is_stored_although_it_says_it_is_gzip(
    server, address, target, content
):
    server.faults[PATH] = Faults(replaced={"Content-Encoding": "x-gzip"})
    fetch([address], target, checksum=sha256(content))
    assert server.requests[0].headers["accept-encoding"] == "identity"


def test_a_file_of_unannounced_length_is_fetched(server, address, target, content):
    server.faults[PATH] = Faults(replaced={"Content-Length": ""})
    fetch([address], target, checksum=sha256(content))
    assert target.read_bytes() == content


# Local files


@pytest.mark.parametrize("prefix", ["", "file://", "file://localhost"])
def test_a_local_file_is_used_where_it_is(server, target, content, prefix):
    path = server.folder / "voc 2007.tar"
    path.write_bytes(content)
    written = str(path).replace(" ", "%20") if prefix else str(path)
    assert fetch([prefix + written], target, checksum=sha256(content)) == path
    assert not target.exists()
    assert server.requests == []


def test_a_corrupt_local_file_is_left_alone_and_the_next_address_tried(
    server, address, target, content
):
    path = server.folder / "own.tar"
    path.write_bytes(b"x")
    assert fetch([str(path), address], target, checksum=sha256(content)) == target
    assert path.read_bytes() == b"x"


def test_a_missing_and_a_corrupt_local_file_are_both_named(tmp_path, target):
    corrupt = tmp_path / "own.tar"
    corrupt.write_bytes(b"x")
    refused(
        [f"{tmp_path}/no.tar", str(corrupt)],
        target,
        "no.tar: there is no such file",
        "own.tar: has 1 bytes, expected 2",
        size=2,
    )


# Going on after an interruption


def test_the_rest_is_asked_for_if_the_file_is_still_the_same(server, address, target, content):
    leave_half(server, target, checksum=sha256(content))
    fetch([address], target, checksum=sha256(content))
    tag = f'"{hashlib.md5(content).hexdigest()}"'
    assert ranges(server) == [f"bytes={HALF}-"]
    assert server.requests[0].headers["if-range"] == tag
    assert server.bytes_served[PATH] == SIZE - HALF
    assert names(target) == {"voc.tar"}


@pytest.mark.parametrize("published", [True, False])
def test_a_changed_file_is_not_glued_to_the_old_half(server, address, target, content, published):
    leave_half(server, target)
    new = content[::-1]
    (server.folder / "voc.tar").write_bytes(new)
    fetch([address], target, checksum=sha256(new) if published else "")
    assert target.read_bytes() == new
    assert server.bytes_served[PATH] == SIZE


def test_a_date_stands_in_for_a_weak_tag(server, address, target, content):
    date = "Tue, 06 Nov 2007 00:00:00 GMT"
    headers = {"ETag": 'W/"1"', "Last-Modified": date}
    server.faults[PATH] = Faults(drops=[HALF], replaced=headers)
    fetch([address], target)
    assert server.requests[1].headers["if-range"] == date


@pytest.mark.parametrize(("published", "served"), [(True, SIZE - HALF), (False, SIZE)])
def test_without_a_version_only_a_published_checksum_allows_going_on(
    server, address, target, content, published, served
):
    leave_half(server, target)
    beside(target, ".part.json").write_text("{}")
    fetch([address], target, checksum=sha256(content) if published else "")
    assert target.read_bytes() == content
    assert server.bytes_served[PATH] == served


def test_a_server_that_ignores_the_range_starts_over(server, address, target, content):
    leave_half(server, target)
    server.faults[PATH] = Faults(ignore_range=True)
    fetch([address], target, checksum=sha256(content))
    assert ranges(server) == [f"bytes={HALF}-"]
    assert server.bytes_served[PATH] == SIZE


@pytest.mark.parametrize("known", [{}, {"size": SIZE}])
def test_a_whole_part_is_verified_without_a_request(server, address, target, content, known):
    leave_half(server, target)
    beside(target, ".part").write_bytes(content)
    assert fetch([address], target, checksum=sha256(content), **known) == target
    assert server.requests == []


def test_a_whole_part_that_a_server_calls_out_of_range_is_verified(
    server, address, target, content
):
    target.parent.mkdir()
    beside(target, ".part").write_bytes(content)
    fetch([address], target, checksum=sha256(content))
    assert target.read_bytes() == content
    assert server.bytes_served[PATH] == 0


def test_a_part_longer_than_the_file_starts_over(server, address, target, content):
    target.parent.mkdir()
    beside(target, ".part").write_bytes(content + b"x")
    fetch([address], target, checksum=sha256(content))
    assert ranges(server) == [f"bytes={SIZE + 1}-", None]
    assert target.read_bytes() == content


@pytest.mark.parametrize(
    "wrong", [f"bytes 7-{SIZE - 1}/{SIZE}", f"bytes {HALF}-{SIZE}/{SIZE + 1}", "rubbish", ""]
)
def test_a_wrong_content_range_starts_over(server, address, target, content, wrong):
    leave_half(server, target)
    server.faults[PATH] = Faults(replaced={"Content-Range": wrong})
    fetch([address], target, checksum=sha256(content))
    assert ranges(server) == [f"bytes={HALF}-", None]
    assert target.read_bytes() == content


def test_a_server_that_always_answers_out_of_range_is_given_up(server, address, target):
    server.faults[PATH] = Faults(statuses=[416] * 3)
    refused([address], target, "does not go on where the partial file ends", "3 tries")


@pytest.mark.parametrize("published", [True, False])
def test_another_address_goes_on_only_if_a_checksum_vouches_for_the_whole(
    server, mirror, target, content, published
):
    leave_half(server, target)
    fetch([mirror.url + PATH], target, checksum=sha256(content) if published else "")
    assert target.read_bytes() == content
    assert mirror.bytes_served[PATH] == (SIZE - HALF if published else SIZE)


def test_a_wrong_beginning_from_another_address_does_not_spoil_a_good_one(
    server, mirror, target, content
):
    (server.folder / "voc.tar").write_bytes(content[::-1])
    leave_half(server, target)
    fetch([mirror.url + PATH], target, checksum=sha256(content))
    assert target.read_bytes() == content
    assert names(target) == {"voc.tar", "voc.tar.corrupt"}


# Faults that pass


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_passing_status_is_tried_again(server, address, target, status):
    server.faults[PATH] = Faults(statuses=[status] * 2)
    fetch([address], target)
    assert len(server.requests) == 3


def test_a_status_that_does_not_pass_gives_the_address_up(server, address, target):
    server.faults[PATH] = Faults(statuses=[503] * 3)
    refused([address], target, f"{address}: status 503 Service Unavailable (3 tries)")
    assert len(server.requests) == 3


def test_waits_double(server, address, target, monkeypatch):
    waits = []
    monkeypatch.setattr(time, "sleep", waits.append)
    monkeypatch.setattr(resuming, "BACKOFF_S", 1.5)
    monkeypatch.setattr(resuming, "TRIES", 5)
    server.faults[PATH] = Faults(statuses=[503] * 5)
    refused([address], target, "503")
    assert [wait for wait in waits if wait > 0.1] == [3, 6, 12]


def test_dropped_connections_go_on_as_long_as_they_bring_something(
    server, address, target, content
):
    server.faults[PATH] = Faults(drops=[SIZE // 8] * 6)
    fetch([address], target, checksum=sha256(content))
    assert len(server.requests) == 7 > resuming.TRIES
    assert server.bytes_served[PATH] == SIZE


def test_drops_that_bring_nothing_new_are_given_up(server, address, target):
    server.faults[PATH] = Faults(drops=[HALF] * 20, ignore_range=True)
    refused([address], target, "IncompleteRead", "3 tries")
    assert len(server.requests) == 3


def test_a_body_that_ends_early_without_an_error_is_a_drop(server, address, target, content):
    server.faults[PATH] = Faults(drops=[HALF], replaced={"Content-Length": ""})
    fetch([address], target, size=SIZE, checksum=sha256(content))
    assert ranges(server) == [None, f"bytes={HALF}-"]


def test_a_silent_server_times_out(target, monkeypatch):
    monkeypatch.setattr(http, "READ_TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/a"
        refused([address], target, "timed out (3 tries)")


def test_a_server_that_is_not_there_is_named_with_the_cause(target):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"http://127.0.0.1:{closed.getsockname()[1]}/a"
    refused([address], target, f"{address}: [Errno 111] Connection refused (3 tries)")


# Faults of an address


@pytest.mark.parametrize("status", [403, 404, 410, 204])
def test_a_lasting_status_turns_to_the_next_address_at_once(
    server, mirror, address, target, content, status
):
    server.faults[PATH] = Faults(statuses=[status])
    fetch([address, mirror.url + PATH], target, checksum=sha256(content))
    assert target.read_bytes() == content
    assert (len(server.requests), len(mirror.requests)) == (1, 1)


def test_another_announced_size_turns_to_the_next_address_before_the_body(
    server, mirror, address, target, content
):
    server.faults[PATH] = Faults(replaced={"Content-Length": str(SIZE + 1)})
    fetch([address, mirror.url + PATH], target, size=SIZE)
    assert target.read_bytes() == content
    assert len(server.requests) == 1
    assert sha256(content)[7:] in beside(target, ".sha256").read_text()


def test_another_announced_size_of_the_rest_keeps_the_part(server, address, target):
    leave_half(server, target)
    replaced = {"Content-Range": f"bytes {HALF}-{SIZE}/{SIZE + 1}"}
    server.faults[PATH] = Faults(replaced=replaced)
    refused([address], target, f"announces {SIZE + 1} bytes, expected {SIZE}", size=SIZE)
    assert beside(target, ".part").stat().st_size == HALF


def test_more_than_the_expected_size_is_refused(server, address, target):
    server.faults[PATH] = Faults(replaced={"Content-Length": ""})
    refused([address], target, f"sends more than the expected {HALF} bytes", size=HALF)
    assert names(target) == set()


@pytest.mark.parametrize("page", [b"<!DOCTYPE html>", b"\n <HTML lang=en>"])
def test_a_web_page_instead_of_the_file_is_refused(server, address, target, page):
    leave_half(server, target)
    (server.folder / "voc.tar").write_bytes(page)
    refused([address], target, f"{address}: is a web page (begins with <html>)")
    assert beside(target, ".part").stat().st_size == HALF


def test_a_web_page_by_its_type_is_refused_before_its_body(server, address, target):
    server.faults[PATH] = Faults(replaced={"Content-Type": "text/html; charset=utf-8"})
    refused([address], target, "is a web page (text/html)")
    assert names(target) == set()


def test_an_empty_file_is_refused(server, address, target):
    (server.folder / "voc.tar").write_bytes(b"")
    refused([address], target, "sends an empty file")


def test_a_redirection_without_end_is_refused(server, address, target):
    server.faults[PATH] = Faults(statuses=[302] * 99, replaced={"Location": PATH})
    refused([address], target, "Exceeded 30 redirects")


def test_a_redirection_to_no_address_is_refused(server, address, target):
    server.faults[PATH] = Faults(statuses=[302], replaced={"Location": "http://[::1/a"})
    refused([address], target, f"{address}: Invalid IPv6 URL")


def test_a_missing_ca_bundle_is_named(target, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/none.pem")
    refused(["https://127.0.0.1:1/a"], target, "CA certificate bundle, invalid path: /none.pem")


def test_password_and_token_are_sent_but_neither_shown_nor_stored(server, target, content, capsys):
    secret = server.url.replace("//", "//user:hunter2@") + PATH
    server.faults[PATH] = Faults(drops=[HALF], statuses=[200] + [503] * 9)
    message = refused([secret, secret], target, f"{server.url}{PATH}: status 503")
    assert server.requests[0].headers["authorization"].startswith("Basic ")
    stored = beside(target, ".part.json").read_text()
    assert f'"{server.url}{PATH}"' in stored
    assert "hunter2" not in message + stored + capsys.readouterr().err


def test_another_password_does_not_make_it_another_address(server, target, content):
    leave_half(server, target)
    fetch([server.url.replace("//", "//user:new@") + PATH], target)
    assert target.read_bytes() == content
    assert server.bytes_served[PATH] == SIZE - HALF


def test_every_address_is_listed_with_its_reason_and_the_remedy(server, mirror, target):
    server.faults[PATH] = Faults(statuses=[404])
    mirror.faults[PATH] = Faults(statuses=[403])
    message = refused(
        [server.url + PATH, mirror.url + PATH],
        target,
        f"{target}: cannot be fetched; put it there by hand, or set WSOL_MIRROR_<DATA SET>",
        f"\n  {server.url}{PATH}: status 404 Not Found",
        f"\n  {mirror.url}{PATH}: status 403 Forbidden",
    )
    assert message.count("\n") == 2


def test_no_address_at_all_is_an_error(target):
    refused([], target, "Tried: no address")


# Checksums


def test_wrong_content_is_kept_aside_and_the_next_address_tried(
    server, mirror, address, target, content
):
    (server.folder / "voc.tar").write_bytes(content[::-1])
    fetch([address, mirror.url + PATH], target, checksum=sha256(content))
    assert target.read_bytes() == content
    assert beside(target, ".corrupt").read_bytes() == content[::-1]


def test_wrong_content_everywhere_names_what_is_kept_and_both_checksums(
    server, address, target, content
):
    target.parent.mkdir()
    beside(target, ".corrupt").write_bytes(b"older")
    refused(
        [address],
        target,
        hashlib.md5(content).hexdigest(),
        f"expected {'0' * 32}",
        f"kept as {target}.corrupt",
        checksum="md5:" + "0" * 32,
    )
    assert beside(target, ".corrupt").read_bytes() == content
    assert names(target) == {"voc.tar.corrupt"}


@pytest.mark.parametrize("known", [{"checksum": True}, {"size": SIZE}])
def test_a_target_that_is_not_the_file_is_kept_aside_and_fetched(
    server, address, target, content, known, capsys
):
    target.parent.mkdir()
    target.write_bytes(b"cut off")
    fetch(
        [address],
        target,
        **(known | ({"checksum": sha256(content)} if "checksum" in known else {})),
    )
    assert target.read_bytes() == content
    assert beside(target, ".corrupt").read_bytes() == b"cut off"
    assert f"kept as {target}.corrupt" in capsys.readouterr().err


def test_an_unpublished_checksum_is_recorded_and_said_to_be(
    server, address, target, content, capsys
):
    fetch([address], target)
    assert beside(target, ".sha256").read_text() == f"{sha256(content)[7:]}  voc.tar\n"
    assert "no checksum is published; recorded on first download" in capsys.readouterr().err
    fetch([address], target)
    assert "recorded" not in capsys.readouterr().err
    assert len(server.requests) == 1


def test_a_recorded_checksum_holds_for_the_next_download(server, address, target, content):
    fetch([address], target)
    target.unlink()
    (server.folder / "voc.tar").write_bytes(content[::-1])
    refused([address], target, f"expected is what {target}.sha256 recorded; remove that")
    beside(target, ".sha256").unlink()
    assert fetch([address], target).read_bytes() == content[::-1]


def test_a_local_file_without_a_published_checksum_is_recorded_too(server, target, content):
    path = server.folder / "voc.tar"
    fetch([str(path)], target)
    path.write_bytes(b"x")
    refused([str(path)], target, f"{target}.sha256 recorded")
    assert path.read_bytes() == b"x"


@pytest.mark.parametrize(
    "form", ["{0}", " {1}  voc.tar\r\n", "sha256:{0}", "SHA256 (voc.tar) = {0}", "{0} *voc.tar"]
)
def test_a_record_may_be_written_by_any_tool(server, address, target, content, form):
    digest = sha256(content)[7:]
    target.parent.mkdir()
    beside(target, ".sha256").write_text(form.format(digest, digest.upper()))
    assert fetch([address], target).read_bytes() == content
    beside(target, ".sha256").write_text(form.format("0" * 64, "0" * 64))
    target.unlink()
    refused([address], target, f"expected is what {target}.sha256 recorded")


@pytest.mark.parametrize("text", ["", "<html>", "123  voc.tar"])
def test_a_broken_record_is_named(server, address, target, text):
    target.parent.mkdir()
    beside(target, ".sha256").write_text(text)
    refused([address], target, f"{target}.sha256: holds no sha256; restore it, or remove it")
    assert server.bytes_served[PATH] == 0


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_verify_compares_whatever_the_case_and_names_both(tmp_path, algorithm):
    path = tmp_path / "a"
    path.write_bytes(b"content")
    found = hashlib.new(algorithm, b"content").hexdigest()
    for written in (f"{algorithm}:{found.upper()}", found, f" {algorithm.upper()}: {found}\n"):
        verify(path, written)
    wrong = "0" * len(found)
    with pytest.raises(InputError, match=f"a: {algorithm} is {found}, expected {wrong}"):
        verify(path, f"{algorithm}:{wrong}")


@pytest.mark.parametrize("checksum", ["", "md5:12", "crc32:" + "0" * 8, "sha256:" + "g" * 64])
def test_a_malformed_checksum_is_refused(tmp_path, checksum):
    with pytest.raises(InputError, match=f"checksum '{checksum}' is neither md5:"):
        verify(tmp_path / "none", checksum)


def test_verify_names_a_file_it_cannot_read(tmp_path):
    with pytest.raises(InputError, match="none: cannot be read .No such file"):
        verify(tmp_path / "none", "md5:" + "0" * 32)


# Disk


def with_free(monkeypatch, free):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, free))


def test_space_is_that_of_the_nearest_folder_that_exists(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: asked.append(path) or Usage(9, 0, 9))
    free_space(tmp_path / "a/b", 9, "unpacking")
    assert asked == [tmp_path]
    with pytest.raises(InputError, match="a/b: unpacking needs 10.0B, but only 9.00B are free"):
        free_space(tmp_path / "a/b", 10, "unpacking")


def test_space_for_a_relative_folder_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    free_space(Path("a/b"), 1, "unpacking")


def test_too_little_space_is_refused_before_the_body(server, address, target, monkeypatch):
    with_free(monkeypatch, SIZE - 1)
    refused([address], target, f"{target.parent}: fetching voc.tar needs 3.15MB")
    assert names(target) == set()


def test_only_the_missing_bytes_need_space(server, address, target, monkeypatch, content):
    leave_half(server, target)
    with_free(monkeypatch, SIZE - HALF - 1)
    refused([address], target, "needs 1.57MB")
    assert beside(target, ".part").stat().st_size == HALF
    with_free(monkeypatch, SIZE - HALF)
    assert fetch([address], target).read_bytes() == content


class FullDisk(io.FileIO):
    """A file on a disk that takes no more than half of the archive."""

    code = errno.ENOSPC

    def write(self, block):
        room = HALF - self.tell()
        if room <= 0:
            raise OSError(self.code, os.strerror(self.code))
        return super().write(block[:room])


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up_keeps_the_part_to_go_on_from(
    server, mirror, address, target, content, monkeypatch, code
):
    plain = Path.open

    def open_full(path, mode="r", *args, **kwargs):
        return FullDisk(path, mode) if mode == "ab" else plain(path, mode, *args, **kwargs)

    monkeypatch.setattr(FullDisk, "code", code)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", open_full)
        refused(
            [address, mirror.url + PATH],
            target,
            f"{target.parent}: cannot be filled: the disk is full, or the quota used up; free some",
            "what has been downloaded stays",
        )
    assert mirror.requests == []
    assert beside(target, ".part").read_bytes() == content[:HALF]
    fetch([address], target, checksum=sha256(content))
    assert ranges(server) == [None, f"bytes={HALF}-"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path, address):
    (tmp_path / "data").write_text("a file")
    refused(
        [address],
        tmp_path / "data/voc.tar",
        f"{tmp_path}/data: cannot be filled: [Errno 17] File exists",
        "check that path and its permissions",
    )


# Other processes


LARGE = 20 * 2**20
FETCH = """
import sys
from pathlib import Path
from pipeline.download.transfer import fetch
fetch([sys.argv[1]], Path(sys.argv[2]), size=int(sys.argv[3]), checksum=sys.argv[4])
"""


@pytest.fixture
def large(server):
    """20 MiB of noise as /coco.zip."""
    content = os.urandom(LARGE)
    (server.folder / "coco.zip").write_bytes(content)
    return content


def start(server, target, content):
    """A process that fetches /coco.zip."""
    arguments = [server.url + "/coco.zip", str(target), str(LARGE), sha256(content)]
    return subprocess.Popen(
        [sys.executable, "-c", FETCH, *arguments],
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_a_killed_process_costs_few_bytes(server, large, target):
    part = beside(target, ".part")
    for reached in (LARGE * 3 // 10, LARGE * 9 // 10):
        server.faults["/coco.zip"] = Faults(bytes_per_second=80 * 2**20, stall_at=reached)
        process = start(server, target, large)
        # The server stalls, so that nothing but what the process holds back can be lost.
        wait_for(lambda b=reached: part.exists() and part.stat().st_size >= b - 2 * http.BLOCK)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert not target.exists()
    server.faults["/coco.zip"] = Faults()
    process = start(server, target, large)
    assert "Traceback" not in process.communicate()[1]
    assert process.returncode == 0
    assert target.read_bytes() == large
    assert len(server.asked("/coco.zip")) == 3
    assert LARGE <= server.bytes_served["/coco.zip"] < 1.05 * LARGE
    assert names(target) == {"voc.tar"}


# The server itself


def test_the_loopback_server_serves_ranges_and_counts(server, address, content):
    answer = requests.get(address, headers={"Range": "bytes=10-"}, timeout=5)
    assert answer.status_code == 206
    assert answer.content == content[10:]
    assert answer.headers["Content-Range"] == f"bytes 10-{SIZE - 1}/{SIZE}"
    assert server.bytes_served == {PATH: SIZE - 10}
    assert requests.get(f"{server.url}/none", timeout=5).status_code == 404
