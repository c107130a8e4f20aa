#!/usr/bin/env python3
"""The mirror against an upstream that speaks Docker Hub's dialect (hub.py), with a real registry behind it.

  run.py STELE [NAME...]     only tests whose name contains one of NAME
"""
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
import eviction  # noqa: E402
import faults  # noqa: E402
import lists  # noqa: E402
import logins  # noqa: E402
import pins  # noqa: E402
import promotion  # noqa: E402
import pulls  # noqa: E402
import standing  # noqa: E402
import trust  # noqa: E402
import upkeep  # noqa: E402
import warm  # noqa: E402
from registry import Checks, own_copy, workplace  # noqa: E402


def main():
    if len(sys.argv) < 2:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    wanted = sys.argv[2:]
    checks = Checks("mirror")
    with workplace("mirror") as directory:
        binary = own_copy(sys.argv[1], directory)
        for module in (pulls, pins, lists, logins, standing, faults, trust, promotion, warm, eviction, upkeep):
            for test in module.TESTS:
                if not wanted or any(name in test.__name__ for name in wanted):
                    checks.run(test, binary, Path(directory))
    return checks.finish()


threading.excepthook = lambda *_: None      # the hub's threads, when the test has gone
sys.exit(main())
