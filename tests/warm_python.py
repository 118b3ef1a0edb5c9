"""A Python that has imported the large packages already, for tests that start stages by the dozen.

Importing torch and what stands on it takes a tiny stage far longer than its work. Here one process
imports these packages, and none of this project's modules, and forks for every program that is run
by a stand-in for .venv/bin/python.
"""

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGES = ("accelerate", "cv2", "matplotlib.figure", "numba", "pandas", "pyarrow", "timm", "torch")

STAND_IN = """#!{python} -IS
import json, os, socket, sys

job = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    socket.send_fds(server, [len(job).to_bytes(4, "big")], [0, 1, 2])
    server.sendall(job)
    sys.exit(int(server.recv(8) or 1))
"""


@contextmanager
def warm_python(path: Path) -> Iterator[None]:
    """Let `path` run modules, `path -m MODULE ...`, in forks of a warm process while inside."""
    # The path of a socket must be short; a folder of pytest's may not be.
    with tempfile.TemporaryDirectory() as folder:
        address = f"{folder}/python"
        command = [sys.executable, __file__, address]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert server.stdin and server.stdout
        server.stdout.readline()
        path.parent.mkdir(parents=True)
        path.write_text(STAND_IN.format(python=sys.executable, address=address))
        path.chmod(0o755)
        yield
        server.stdin.close()
        server.wait()


def job_of_a_fork(address: str) -> tuple[list[str], str, dict[str, str]]:
    """Answer at `address` until stdin ends; return, in a fork, the words, folder and environment.

    The fork has the streams of the program that asked.
    """
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        print("ready", flush=True)
        while server in select.select([server, sys.stdin], [], [])[0]:
            client, _ = server.accept()
            if not os.fork():
                break
            client.close()
        else:
            os._exit(0)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with client:
        length, streams, _, _ = socket.recv_fds(client, 4, 3)
        with client.makefile("rb") as stream:
            job = json.loads(stream.read(int.from_bytes(length, "big")))
        if program := os.fork():
            status = os.waitstatus_to_exitcode(os.waitpid(program, 0)[1])
            client.send(str(status if status >= 0 else 128 - status).encode())
            os._exit(0)
    for number, stream_ in enumerate(streams):
        os.dup2(stream_, number)
        os.close(stream_)
    return job


def main() -> None:
    """Import the packages once; in each fork run a module as `python -m` does."""
    for name in PACKAGES:
        importlib.import_module(name)
    gc.freeze()  # Otherwise each fork would soon have a copy of it all.
    (_, module, *words), folder, environment = job_of_a_fork(sys.argv[1])
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv, sys.path[0] = [module, *words], folder
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
