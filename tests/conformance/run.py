#!/usr/bin/env python3
"""The OCI conformance program against a running Stele: strict and sparse references, with users, with rules, plain and over TLS.

  run.py [--keep DIRECTORY] [--server stele|docker-registry] [--stele BINARY] [NAME]...      NAME: e.g. "strict plain"

The program's exit status ignores skipped and disabled tests, so its results files are read: any failure, error, skip
or disabled test fails the run, and so does a number of tests below the one that belongs to this version of it.
"""
import argparse
import re
import subprocess
import sys
import xml.etree.ElementTree as xml
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/clients"))
import mixed  # noqa: E402
import server  # noqa: E402
from server import TOOLS, Failure, Server, scratch  # noqa: E402

SPARSE_CONFIG = 'references: [{repositories: ["**"], mode: sparse}]\n'

# With users: a name and a password in each request, or a token for them.
LOGIN = {"OCI_USERNAME": "alice", "OCI_PASSWORD": "correct horse"}
USERS = "".join(f"{name}:$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e\n" for name in ("alice", "reader"))
RULED = "auth: {htpasswd: {file: USERS}}\npolicy: POLICY\n"


@dataclass
class Mode:
    """A number of tests belongs to the version that scripts/go_tools.sh builds. A new version of the program has other numbers: read
    its changes, then change these."""
    config: str = ""
    environment: dict = field(default_factory=dict)
    out: set = field(default_factory=lambda: {"Sparse Manifests"})   # the data sets and calls that the mode itself leaves out
    tests: int = 986
    transports: tuple = ("plain", "tls")
    more: object = None   # what else is tried on the same server
    last: object = None   # what its log must say


SPARSE = {"OCI_DATA_SPARSE": "true"}
MODES = {
    "strict": Mode(),
    "basic": Mode("auth: {htpasswd: {file: USERS}, tokens: {ttl: 0}}\n", LOGIN),
    "token": Mode("auth: {htpasswd: {file: USERS}}\n", LOGIN),
    "sparse": Mode(SPARSE_CONFIG, SPARSE, set(), 1032),
    "mixed": Mode(RULED, LOGIN, more=mixed.without_a_login),
    # Each request begins without a password, and has a token for its own repository alone: a mount that does not say from where finds
    # nothing by that, and uploads, which the program calls a skip.
    "mixed-sparse": Mode(RULED + SPARSE_CONFIG, LOGIN | SPARSE | {"OCI_CACHE_AUTH": "false"}, {"Blob anonymous mount", "blob-mount-anonymous"}, 1028,
                         ("plain",), last=mixed.who_asked),
}


def left_out(results_yaml):
    """Every API or data set of results.yaml that has another status than Pass: {name: status}."""
    found, section = {}, None
    for line in results_yaml.read_text().splitlines():
        if not line.startswith(" "):
            section = line.rstrip(":")
        elif section in ("apis", "data"):
            name, status = re.fullmatch(r'\s+"?(.+?)"?: "?(\w+)"?', line).groups()
            if status != "Pass":
                found[name] = status
    if section is None:
        raise Failure(f"{results_yaml} is empty")
    return found


def run(mode, tls, directory, kind):
    """Returns passed, failed, skipped and a list of what is wrong."""
    chosen = MODES[mode]
    results = directory / "results"
    (directory / "users").write_text(USERS)
    (directory / "policy.yaml").write_text(mixed.RULES)
    config = chosen.config.replace("USERS", f"{directory}/users").replace("POLICY", f"{directory}/policy.yaml")
    more_passed, more_wrong = 0, []
    with Server(directory / "server", tls=tls, config=config, kind=kind) as registry:
        environment = {
            "PATH": "/usr/bin:/bin", "HOME": str(directory), "OCI_VERSION": "dev", "OCI_REGISTRY": registry.address,
            "OCI_TLS": "enabled" if tls else "disabled", "OCI_RESULTS_DIR": str(results), **chosen.environment,
        }
        if tls:
            environment["SSL_CERT_FILE"] = str(registry.ca)
        with open(directory / "output.txt", "wb") as output:
            subprocess.run([TOOLS / "conformance"], env=environment, cwd=directory, stdout=output, stderr=output, timeout=600)
        if chosen.more:
            more_passed, more_wrong = chosen.more(registry, environment, directory)
    if not (results / "junit.xml").exists():
        raise Failure("the program wrote no results: " + (directory / "output.txt").read_text()[-2000:])

    suite = xml.parse(results / "junit.xml").getroot().find("testsuite")
    tests, failures, errors, skipped, disabled = (
        int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped", "disabled"))
    # Of a call that the mode leaves out, its tests are skipped.
    left = [case for case in suite.iter("testcase") if case.get("status") == "skipped" and case.get("name").rpartition("/")[2] in chosen.out]
    failed, skipped = failures + errors, skipped + disabled - len(left)
    passed = tests - failed - skipped - len(left)
    wrong = [f"{case.get('status')}: {case.get('name')}\n      {case.findtext('system-out', '').strip()}"
             for case in suite.iter("testcase") if case.get("status") != "passed" and case not in left]
    out = left_out(results / "results.yaml")
    wrong += [f"{status}: {name}" for name, status in out.items()
              if not (status in ("Disabled", "Skip") and name in chosen.out)]
    there = out.keys() | {case.get("name").rpartition("/")[2] for case in left}
    wrong += [f"{name} should be left out in this mode and was not" for name in chosen.out - there]
    if tests != chosen.tests:
        wrong.append(f"{tests} tests ran and {chosen.tests} belong to this version of the program")
    if chosen.last:
        wrong += chosen.last(registry.log)
    # What only the lists above show counts as one failure at least.
    failed = max(failed, 1) if wrong and not skipped else failed
    return passed + more_passed, failed + len(more_wrong), skipped, wrong + more_wrong


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("names", nargs="*", metavar="NAME")
    arguments.add_argument("--keep", type=Path, metavar="DIRECTORY", help="leave reports and server logs there")
    arguments.add_argument("--server", choices=["stele", "docker-registry"], default="stele")
    arguments.add_argument("--stele", type=Path, default=server.STELE, metavar="BINARY", help="another build of Stele")
    arguments = arguments.parse_args()
    server.STELE = arguments.stele.absolute()

    total_passed = total_failed = 0
    with scratch("stele-conformance-") as temporary:
        base = arguments.keep.absolute() if arguments.keep else Path(temporary)
        for mode in MODES:
            for transport in MODES[mode].transports:
                name = f"{mode} {transport}"
                if arguments.names and name not in arguments.names:
                    continue
                directory = base / name.replace(" ", "-")
                directory.mkdir(parents=True, exist_ok=True)
                try:
                    passed, failed, skipped, wrong = run(mode, transport == "tls", directory, arguments.server)
                except (Failure, subprocess.TimeoutExpired, OSError) as problem:
                    passed, failed, skipped, wrong = 0, 1, 0, [str(problem)]
                print(f"conformance {name}: {passed} passed, {failed} failed, {skipped} skipped", flush=True)
                for line in wrong:
                    print(f"    {line}")
                total_passed += passed
                total_failed += failed + skipped
    print(f"conformance: {total_passed} passed, {total_failed} failed")
    return 1 if total_failed or not total_passed else 0


sys.exit(main())
