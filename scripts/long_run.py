#!/usr/bin/env python3
"""The long suites with their full counts; what came out is written to docs/last-long-run.md and docs/reliability.md."""
import datetime
import os
import platform
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as xml
from pathlib import Path

import reliability

ROOT = Path(__file__).resolve().parents[1]
SUITES = [
    ("tests", ["make", "test"]),
    ("conformance", ["tests/conformance/run.py"]),
    ("clients", ["tests/clients/run.py"]),
    ("histories, 100,000 operations and 1,000 races", ["tests/histories.sh", "100000", "1000"]),
    ("lifecycle histories, 1,000,000 operations", ["tests/lifecycle_histories.sh", "1000000"]),
    ("power cuts, 12,000 states", ["tests/power_cuts.sh", "12000"]),
    ("crash, 200 kills", ["tests/crash/run.py", "--kills", "200"]),
    ("linearizability, 500 histories", ["tests/linearizability/run.py", "--histories", "500"]),
    ("replay, a year of eight busy services", ["tests/replay/run.py", "--services", "8", "--pace", "2"]),
    ("replay, plans alone", ["tests/replay/run.py", "--seed", "2", "--plan-only"]),
    ("hostile clients", ["tests/hostile/run.py"]),
    ("mutations", ["tests/mutations/run.py"]),
    ("fuzz, 300 s each", ["tests/fuzz/run.sh", "300"]),
]
COUNT = re.compile(r"^[a-z0-9 -]+: (\d+) passed, (\d+) failed$", re.MULTILINE)


def run(command):
    """Shows what the suite prints while it runs; returns passed, failed and the output."""
    try:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
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


def main():
    commit = git("rev-parse", "HEAD") + (" with uncommitted changes" if git("status", "--porcelain") else "")
    began = datetime.datetime.now(datetime.timezone.utc)
    rows, total_failed, everything = [], 0, ""
    for name, command in SUITES:
        print(f"\n== {name}", flush=True)
        start = time.monotonic()
        passed, failed, output = run(command)
        everything += output if name != "tests" else test_output()
        total_failed += failed
        rows.append(f"| {name} | {passed} | {failed} | {(time.monotonic() - start) / 60:.1f} |")
    head = (f"Written by `make long`. Commit {commit}, begun {began:%Y-%m-%d %H:%M} UTC, "
            f"{os.cpu_count()} cores, {platform.system()} {platform.release()}.")
    page = [
        "# The last long run", "", head, "",
        "| suite | passed | failed | minutes |", "|---|---:|---:|---:|", *rows, ""]
    (ROOT / "docs/last-long-run.md").write_text("\n".join(page))
    (ROOT / "docs/reliability.md").write_text(reliability.page(everything, head))
    print("\nwritten to docs/reliability.md and docs/last-long-run.md:", *rows, sep="\n")
    return 1 if total_failed else 0


sys.exit(main())
