#!/usr/bin/env python3
"""The clock that releases retention locks, under libfaketime: set forward while the server runs, set forward and backward
while it does not.

  clock_test.py [--stele BINARY]
"""
import argparse
import glob
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from registry import Checks, Failure, Registry, STELE, Stock, workplace  # noqa: E402

POLICY = """version: 1
tag_rules:
  - {name: archive, tags: ["**"], mutability: mutable, delete: allow, lock: {for: 2h, mode: compliance}}
"""


class Faked:
    """A server whose wall clock is the machine's plus an offset that can be changed while it runs."""

    def __init__(self, options, directory):
        libraries = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
        if not libraries:
            raise Failure("libfaketime is needed and not installed: apt-get install libfaketime")
        self.offset = directory / "offset"
        (directory / "policy.yaml").write_text(POLICY)
        self.set("+0")
        wrapper = ["env", f"LD_PRELOAD={libraries[0]}", f"FAKETIME_TIMESTAMP_FILE={self.offset}", "FAKETIME_NO_CACHE=1",
                   "FAKETIME_DONT_FAKE_MONOTONIC=1", "DONT_FAKE_MONOTONIC=1"]
        self.registry = Registry(options.stele, directory, config=f"policy: {directory / 'policy.yaml'}\n", wrapper=wrapper)

    def set(self, offset):
        self.offset.write_text(offset + "\n")

    def clock(self):
        return json.loads(self.registry.command("clock", "show", "--json", "--data", self.registry.data).stdout)


def seconds(text):
    return time.mktime(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))


def remove(registry):
    return registry.request("DELETE", "/v2/prod/app/manifests/1.0")


def locks_and_the_clock(checks, directory, options):
    server = Faked(options, directory)
    registry = server.registry.start()
    checks("a tag is pushed under a lock of two hours", Stock(registry).image("prod/app", "1.0", b"{}").status == 201)

    def locked(when):
        answer = remove(registry)
        checks(f"{when}: locked", answer.status == 409 and "locked until" in answer.message, answer)

    locked("at once")
    begun = server.clock()
    checks("the release clock goes with the machine's", abs(seconds(begun["release_time"]) - seconds(begun["time"])) <= 2, begun)
    server.set("+400d")
    checks("the machine's time is faked", seconds(server.clock()["time"]) - seconds(begun["time"]) > 300 * 86400, server.clock())
    locked("set forward by 400 days while it runs")
    checks("the release clock went no faster than the boot clock", seconds(server.clock()["release_time"]) - seconds(begun["release_time"]) < 86400, server.clock())
    server.set("-400d")
    locked("set backward")
    checks("the release clock did not go back", server.clock()["release_time"] >= begun["release_time"], server.clock())
    server.set("+0")
    registry.stop()

    server.set("+10d")
    registry.start()
    locked("started ten days ahead")
    checks("the log says so", "clock confirm" in registry.said(), registry.said())
    checks("so does the command", server.clock()["unconfirmed"] is not None, server.clock())
    registry.kill()

    server.set("-10d")
    registry.start()
    locked("started ten days back, after kill -9")
    checks("the release clock did not go back over the restarts", server.clock()["release_time"] >= begun["release_time"], server.clock())
    registry.stop()

    server.set("+10d")
    registry.start()
    locked("started ten days ahead once more")
    confirmed = registry.command("clock", "confirm", "--data", registry.data)
    checks("an administrator confirms", confirmed.returncode == 0, confirmed.stderr)
    answer = remove(registry)
    checks("then the lock has ended", answer.status == 202, answer)
    checks("it stops in good order", registry.stop() == 0)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--stele", type=Path, default=STELE)
    options = arguments.parse_args()
    options.stele = options.stele.absolute()
    checks = Checks("clock")
    with workplace("clock") as directory:
        checks.run(locks_and_the_clock, Path(directory), options)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
