#!/usr/bin/env python3
"""Real clients against a running Stele, each plain and over TLS; what comes back is compared with what went in.

  run.py [--keep DIRECTORY] [--server stele|docker-registry] [--stele BINARY] [CLIENT]...

CLIENT is a file of this directory: docker, podman, buildah, skopeo, ctr, crane, oras, regctl, umoci, cosign, helm, stargz; identities: several
clients that are known by a certificate, by another token server or as a CI job; and, not unless they are named, buildx, kaniko, buildkit, cri
and crio, which take minutes to build, and expiry: several clients push for longer than their token holds, a minute.
A client that is not installed is a failure: scripts/dependencies.sh clients and scripts/go_tools.sh install them all. zot, another
registry that a check of cri mirrors, cannot be had everywhere: then that check is not tried, and the output says so.
"""
import argparse
import importlib
import subprocess
import sys
import time
import traceback
from pathlib import Path

import server
from server import Failure, NotTried, Server, scratch

CLIENTS = ["docker", "podman", "buildah", "skopeo", "ctr", "crane", "oras", "regctl", "umoci", "cosign", "helm", "stargz", "identities"]
SLOW = ["buildx", "kaniko", "buildkit", "cri", "crio", "expiry"]


def attempt(action):
    """None, or the reason why it failed."""
    try:
        action()
        return None
    except Failure as failure:
        return str(failure)
    except (OSError, subprocess.SubprocessError, ValueError, LookupError):
        return traceback.format_exc(limit=-2)


def shown(check):
    return check.removeprefix("check_").replace("_", " ")


def client_of(name):
    return getattr(importlib.import_module(name), name.capitalize())


def run_client(name, transport, directory, kind):
    """Runs every check of one client over one transport; returns passed and failed."""
    results = []

    def report(check, reason):
        results.append(reason is None)
        print(f"{'pass' if reason is None else 'FAIL'}  {name} {transport}: {shown(check)}", flush=True)
        if reason:
            print("      " + reason.strip().replace("\n", "\n      "), flush=True)

    kind_of_client = client_of(name)
    checks = [check for kind in kind_of_client.__mro__ for check in vars(kind) if check.startswith("check_")]
    checks = list(dict.fromkeys(checks))

    def with_server():
        with Server(directory / "server", tls=transport == "tls", kind=kind) as registry:
            client = kind_of_client(registry, directory)
            try:
                not_ready = attempt(client.prepare)
                for check in checks:
                    try:
                        report(check, not_ready or attempt(getattr(client, check)))
                    except NotTried as reason:
                        print(f"not tried  {name} {transport}: {shown(check)}: {reason}", flush=True)
            finally:
                stopped = attempt(client.stop)
            if stopped and not not_ready:
                report("stop", stopped)

    reason = attempt(with_server)
    if reason:   # the server did not start, died or did not stop
        report("server", reason)
    return sum(results), len(results) - sum(results)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("clients", nargs="*", metavar="CLIENT", help="all when none is named")
    arguments.add_argument("--keep", type=Path, metavar="DIRECTORY", help="leave everything there, for a look at logs")
    arguments.add_argument("--server", choices=["stele", "docker-registry"], default="stele")
    arguments.add_argument("--stele", type=Path, default=server.STELE, metavar="BINARY", help="another build of Stele")
    arguments = arguments.parse_args()
    server.STELE = arguments.stele.absolute()
    unknown = set(arguments.clients) - set(CLIENTS + SLOW)
    if unknown:
        arguments.error(f"no such client: {', '.join(sorted(unknown))}; there are {', '.join(CLIENTS + SLOW)}")

    passed = failed = 0
    with scratch("stele-clients-") as temporary:
        base = arguments.keep.absolute() if arguments.keep else Path(temporary)
        for name in arguments.clients or CLIENTS:
            for transport in client_of(name).transports:
                began = time.monotonic()
                more_passed, more_failed = run_client(name, transport, base / f"{name}-{transport}", arguments.server)
                passed, failed = passed + more_passed, failed + more_failed
                print(f"{name} {transport}: {more_passed} passed, {more_failed} failed, {time.monotonic() - began:.0f} s", flush=True)
    if not arguments.clients:
        for others in (["tests/docs/run.py", server.STELE, "docs/policy.md", "docs/from-another-registry.md"],
                       ["tests/docs/identities.py", "--clients", server.STELE], ["tests/oidc/clients.py", server.STELE]):
            done = subprocess.run([sys.executable, server.ROOT / others[0], *others[1:]])
            passed, failed = passed + (done.returncode == 0), failed + (done.returncode != 0)
    print(f"clients: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


sys.exit(main())
