#!/usr/bin/env python3
"""The long suites with their full counts.   long_run.py [SUITE]...      (default: all; --list names them)

What each suite last counted, on which commit and when, is kept in docs/long-runs.json; docs/last-long-run.md and
docs/reliability.md are written from that, so that one suite can be counted again alone.
"""
import datetime
import json
import os
import platform
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as xml
from dataclasses import dataclass
from pathlib import Path

import reliability

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "docs/long-runs.json"
COUNT = re.compile(r"^[a-z0-9 -]+: (\d+) passed, (\d+) failed$", re.MULTILINE)


@dataclass
class Suite:
    title: str
    command: list


SUITES = {
    "test": Suite("tests", ["make", "test"]),
    "check": Suite("check, the whole tree", ["make", "check", "WHOLE=1"]),
    "conformance": Suite("conformance", ["make", "conformance"]),
    "clients": Suite("clients", ["make", "clients"]),
    "clients-builders": Suite("clients that take long to build: buildx imagetools, kaniko, buildkit, crictl, CRI-O", ["make", "clients", "CLIENTS=buildx kaniko buildkit cri crio"]),
    "clients-expiry": Suite("clients whose token expires while they push", ["make", "clients", "CLIENTS=expiry"]),
    "histories": Suite("histories, 100,000 operations and 1,000 races", ["tests/histories.sh", "100000", "1000"]),
    "lifecycle-histories": Suite("lifecycle histories, 1,000,000 operations", ["make", "lifecycle-histories", "OPERATIONS=1000000"]),
    "power-cuts": Suite("power cuts, 12,000 states", ["tests/power_cuts.sh", "12000"]),
    "crash": Suite("crash, 200 kills", ["make", "crash", "KILLS=200"]),
    "linearizability": Suite("linearizability, 500 histories", ["tests/linearizability/run.py", "--histories", "500"]),
    "replay": Suite("replay, a year of eight busy services", ["tests/replay/run.py", "--services", "8", "--pace", "2"]),
    "replay-plans": Suite("replay, plans alone", ["tests/replay/run.py", "--seed", "2", "--plan-only"]),
    "hostile": Suite("hostile clients", ["make", "hostile"]),
    "hostile-memory": Suite("memory against 10,000 connections that stand still", ["make", "hostile-memory"]),
    "mutations": Suite("mutations", ["make", "mutations"]),
    "asan-ubsan": Suite("address and undefined-behaviour sanitizers, everything in full", ["scripts/preset_tests.sh", "asan-ubsan"]),
    "tsan": Suite("thread sanitizer, everything in full", ["scripts/preset_tests.sh", "tsan"]),
    "gcc12": Suite("g++ 12, everything in full", ["scripts/preset_tests.sh", "gcc12"]),
    "package": Suite("the Debian package under systemd", ["make", "package-test"]),
    "image": Suite("the Docker image, and compose.yaml with it", ["make", "image-test"]),
    "proxies": Suite("behind nginx, Caddy and HAProxy", ["make", "proxies"]),
    "active-directory": Suite("users of Active Directory, with Samba's domain controller", ["make", "active-directory"]),
    "browser": Suite("pages of others in Chromium", ["make", "browser"]),
    "fuzz": Suite("fuzz, 300 s each", ["make", "fuzz", "SECONDS_EACH=300"]),
}


def run(command):
    """Shows what the suite prints while it runs; returns passed, failed and the output."""
    try:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    except OSError as missing:
        print(f"{command[0]}: {missing}")
        return 0, 1, ""
    output = []
    for line in process.stdout:
        print(line, end="", flush=True)
        output.append(line)
    code = process.wait()
    counts = COUNT.findall("".join(output))
    passed, failed = map(int, counts[-1]) if counts else (0, 1)
    return passed, max(failed, 1) if code else failed, "".join(output)


def test_output():
    """What the tests of `make test` printed: ctest shows it only of those that fail."""
    report = ROOT / "build/release/ctest.xml"
    return "\n".join(test.findtext("system-out") or "" for test in xml.parse(report).iter("testcase")) if report.exists() else ""


def git(*arguments):
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True).stdout.strip()


def page(kept):
    lines = ["# The last long runs", "", "Written by `make long` (`make long SUITES=\"crash fuzz\"` for some of them): each suite's last run, with the commit that it "
             "counted.", "", "| suite | passed | failed | minutes | commit | begun, UTC | on |", "|---|---:|---:|---:|---|---|---|"]
    for name, suite in SUITES.items():
        last = kept.get(name)
        lines.append(f"| {suite.title} | {last['passed']} | {last['failed']} | {last['minutes']} | {last['commit']} | {last['begun']} | {last['machine']} |"
                     if last else f"| {suite.title} | | | | not run yet | | |")
    return "\n".join([*lines, ""])


def main():
    if "--list" in sys.argv:
        print("\n".join(SUITES))
        return 0
    chosen = sys.argv[1:] or list(SUITES)
    if unknown := [name for name in chosen if name not in SUITES]:
        print(f"long_run.py: there is no suite {', '.join(unknown)}; the suites are {', '.join(SUITES)}", file=sys.stderr)
        return 2
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    commit = git("rev-parse", "--short=10", "HEAD") + (" with uncommitted changes" if git("status", "--porcelain") else "")
    total_failed = 0
    for name in chosen:
        print(f"\n== {SUITES[name].title}", flush=True)
        start, begun = time.monotonic(), datetime.datetime.now(datetime.timezone.utc)
        passed, failed, output = run(SUITES[name].command)
        if name == "test":
            output = test_output()
        total_failed += failed
        kept[name] = {
            "passed": passed, "failed": failed, "minutes": round((time.monotonic() - start) / 60, 1), "commit": commit, "begun": f"{begun:%Y-%m-%d %H:%M}",
            "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.release()}", "figures": reliability.figures(output)}
        # After each suite: a run that is cut off has counted what it has counted.
        KEPT.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
        (ROOT / "docs/last-long-run.md").write_text(page(kept))
        (ROOT / "docs/reliability.md").write_text(reliability.page(kept))
    print("\nwritten to docs/last-long-run.md and docs/reliability.md")
    print(f"long: {sum(kept[name]['passed'] for name in chosen)} passed, {total_failed} failed")
    return 1 if total_failed else 0


if __name__ == "__main__":
    sys.exit(main())
