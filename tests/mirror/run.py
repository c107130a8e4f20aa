#!/usr/bin/env python3
"""The mirror against an upstream that speaks Docker Hub's dialect (hub.py), with a real registry behind it.

  run.py STELE [--part PART] [NAME...]     only tests whose name contains one of NAME, of one part or of all
  run.py --parts                           the parts: the files here that have tests. Each is a test of its own in ctest
"""
import argparse
import importlib
import re
import sys
import threading
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
sys.path.insert(0, str(HERE))
from registry import Checks, own_copy, workplace  # noqa: E402


def parts():
    return sorted(path.stem for path in HERE.glob("*.py") if re.search(r"^TESTS = ", path.read_text(), re.M))


def main():
    if sys.argv[1:] == ["--parts"]:
        print(";".join(parts()), end="")
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stele")
    parser.add_argument("--part", choices=parts(), action="append")
    parser.add_argument("names", nargs="*")
    options = parser.parse_intermixed_args()
    chosen = options.part or parts()
    checks = Checks("mirror" if not options.part else "mirror " + " ".join(chosen))
    with workplace("mirror") as directory:
        binary = own_copy(options.stele, directory)
        for part in chosen:
            for test in importlib.import_module(part).TESTS:
                if not options.names or any(name in test.__name__ for name in options.names):
                    checks.run(test, binary, Path(directory))
    return checks.finish()


threading.excepthook = lambda *_: None      # the hub's threads, when the test has gone
sys.exit(main())
