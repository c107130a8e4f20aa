#!/usr/bin/env python3
"""Fails on a source file of more than 400 lines whose head comment does not say why it is one: "Long: …".

  check_sizes.py ROOT         reads every .hpp and .cpp outside tests/ and bench/
  check_sizes.py --self-test  proves that a long file is found, and that a reason counts

Functions are clang-tidy's (readability-function-size).
"""
import subprocess
import sys
import tempfile
from pathlib import Path

MOST = 400
HEAD = 12    # lines in which the reason stands
APART = ("tests/", "bench/")


def problem(name, text):
    lines = text.splitlines()
    if len(lines) <= MOST:
        return None
    if any(line.lstrip().startswith("// Long: ") for line in lines[:HEAD]):
        return None
    return f"{name}: {len(lines)} lines; divide it by job, or say in its head comment why it is one file (// Long: …)"


def sources(root):
    listed = subprocess.run(["git", "-C", root, "ls-files", "--cached", "--others", "--exclude-standard", "*.hpp", "*.cpp"],
                            check=True, capture_output=True, text=True).stdout.splitlines()
    return [name for name in listed if not name.startswith(APART) and (Path(root) / name).exists()]


def self_test():
    long = "int x;\n" * (MOST + 1)
    assert problem("a.cpp", long) and not problem("a.cpp", "int x;\n" * MOST)
    assert not problem("a.cpp", "#include <a>\n// Long: a table.\n" + long)
    assert problem("a.cpp", "int x;\n" * HEAD + "// Long: too late.\n" + long)
    with tempfile.TemporaryDirectory() as root:
        subprocess.run(["git", "init", "-q", root], check=True)
        (Path(root) / "base").mkdir()
        (Path(root) / "base/a.cpp").write_text(long)
        assert sources(root) == ["base/a.cpp"]
    print("check_sizes.py --self-test: passed")


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    root = sys.argv[1]
    names = sources(root)
    problems = [found for name in names if (found := problem(name, (Path(root) / name).read_text(errors="replace")))]
    print(*problems, sep="\n", end="\n" if problems else "")
    print(f"sizes: {len(names)} files, {len(problems)} of more than {MOST} lines without a reason")
    return 1 if problems or not names else 0


sys.exit(main())
