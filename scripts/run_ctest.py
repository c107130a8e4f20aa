#!/usr/bin/env python3
"""Runs ctest in a build directory and counts test cases, not executables.

  run_ctest.py BUILD_DIRECTORY [ctest arguments]

A test whose output ends with Catch2's summary, or with a line "…: N passed, N failed", counts as that many; any
other test counts as one. Ends with the line "tests: N passed, N failed".
"""
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as xml
from pathlib import Path

CATCH_ALL_PASSED = re.compile(r"All tests passed \(\d+ assertions? in (\d+) test cases?\)")
CATCH_SOME_FAILED = re.compile(r"test cases:\s*\d+((?:\s*\|\s*\d+ [a-z ]+)+)")
PLAIN = re.compile(r"^.*: (\d+) passed, (\d+) failed\s*$", re.MULTILINE)


def counts(test):
    ok = test.get("status") == "run"
    output = test.findtext("system-out") or ""
    passed, failed = (1, 0) if ok else (0, 1)
    if found := CATCH_ALL_PASSED.findall(output):
        passed, failed = int(found[-1]), 0
    elif found := CATCH_SOME_FAILED.findall(output):
        parts = dict(reversed(part.split(maxsplit=1)) for part in found[-1].split("|") if part.strip())
        passed, failed = int(parts.get("passed", 0)), int(parts.get("failed", 0))
    elif found := PLAIN.findall(output):
        passed, failed = int(found[-1][0]), int(found[-1][1])
    # A crash or a time-out after the summary, or before any, is a failure whatever the output says.
    return passed, failed if ok else max(failed, 1)


def ctest(build, arguments):
    """The reports of all tests that ran, by name; None when there is no report."""
    report = (build / "ctest.xml").absolute()
    report.unlink(missing_ok=True)
    code = subprocess.run(
        ["ctest", "--test-dir", str(build), "--output-on-failure", "--no-tests=error", "--output-junit", str(report),
         "--test-output-size-passed", "1000000", "--test-output-size-failed", "1000000", *arguments]).returncode
    if not report.exists():
        return code, None
    return code, {test.get("name"): test for test in xml.parse(report).getroot().iter("testcase")}


def main():
    build, arguments = Path(sys.argv[1]), sys.argv[2:]
    code, tests = ctest(build, ["-j", str(2 * os.cpu_count() + 1), *arguments])
    if tests is None:
        print("tests: 0 passed, 1 failed (ctest wrote no report; its message is above)")
        return 1
    # What failed was beside others: once more, alone.
    kept = build / "unsteady"
    for name, test in tests.items():
        if counts(test)[1] == 0:
            continue
        kept.mkdir(exist_ok=True)
        (kept / f"{name}.log").write_text(test.findtext("system-out") or "")
        _, again = ctest(build, ["-R", f"^{re.escape(name)}$"])
        if again and counts(again[name])[1] == 0:
            tests[name] = again[name]
            code = 0
            print(f"unsteady: {name} ({kept}/{name}.log)")
    passed = failed = 0
    for test in tests.values():
        more_passed, more_failed = counts(test)
        passed, failed = passed + more_passed, failed + more_failed
    if code != 0 and failed == 0:
        failed = 1
    print(f"tests: {passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
