#!/usr/bin/env python3
"""A port that is held cannot be taken by whoever does not know of it, can be listened on by a server that does, and again after that
one's end.   ports_test.py STELE"""
import errno
import socket
import sys
import tempfile
from pathlib import Path

from ports import held_port
from registry import Checks, Registry, own_copy


def bind_error(port):
    with socket.socket() as other:
        try:
            other.bind(("127.0.0.1", port))
        except OSError as error:
            return error.errno
    return 0


def main():
    checks = Checks("ports")
    port = held_port()
    with tempfile.TemporaryDirectory(prefix="stele-ports-") as name:
        directory = Path(name)
        binary = own_copy(sys.argv[1], directory)
        for turn in ("first", "again"):
            with socket.socket() as client:
                checks(f"{turn}: nobody answers", client.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED)
            checks(f"{turn}: it is not free", bind_error(port) == errno.EADDRINUSE)
            registry = Registry(binary, directory / turn, config=f"metrics: {{listen: '127.0.0.1:{port}'}}\n")
            with registry.start():
                with socket.socket() as client:
                    checks(f"{turn}: the server that was told of it listens", client.connect_ex(("127.0.0.1", port)) == 0)
                registry.kill()
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
