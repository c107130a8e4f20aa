#!/usr/bin/env python3
"""Hours of ordinary work: pushes of blobs and manifests, pulls, deletions. Nothing may grow but what is stored (I10).

  run.py [--minutes N] [--markdown FILE] [--stele BINARY] [--dir DIR]
"""
import datetime
import http.client
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from registry import ROOT, Failure, Registry, main  # noqa: E402

KB, MB = 1024, 1024 * 1024
LOAD = ROOT / "build/release/bench/stele_load"
FIRST_READS = 16        # descriptors: a pool's thread that reads the catalog for the first time opens it, once
KEPT = 20_000           # manifests; older ones are deleted, so that what is stored stays about the same


def load(kind, registry, **options):
    command = [LOAD, kind, "--target", registry.address]
    for name, value in options.items():
        command += [f"--{name}"] if value is True else [f"--{name}", value]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise Failure(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return json.loads(done.stdout)


class Round:
    """About ten seconds of work; what it pushed is read back and hashed by the load program."""

    def __init__(self, registry):
        self.registry, self.next, self.deleted, self.requests = registry, 0, 0, 0

    def work(self):
        registry = self.registry
        pushed = load("push", registry, repository="soak/app", bytes=KB, count=4000, clients=16, manifests=True, numbered=True,
                      first=self.next, **{"tag-prefix": "t"})
        self.next += 4000
        small = load("push", registry, repository="soak/app", bytes=4 * KB, count=500, clients=16)
        large = load("push", registry, repository="soak/app", bytes=8 * MB, count=4, clients=4, digests=True)
        tags = load("pull", registry, path="/v2/soak/app/manifests/t{}", random=4000, bytes=KB, clients=16, seconds=2) if self.deleted == 0 else \
            load("pull", registry, path=f"/v2/soak/app/manifests/t{self.next - 1}", bytes=KB, clients=16, seconds=2)
        blobs = load("pull", registry, path=f"/v2/soak/app/blobs/{large['digests'][0]}", bytes=8 * MB, clients=8, seconds=1)
        self.requests += sum(report["count"] for report in (pushed, small, large, tags, blobs))
        if self.next - self.deleted > KEPT:
            connection = http.client.HTTPConnection(registry.address, timeout=60)
            for _ in range(4000):
                connection.request("DELETE", f"/v2/soak/app/manifests/t{self.deleted}")
                answer = connection.getresponse()
                answer.read()
                if answer.status != 202:
                    raise Failure(f"DELETE of t{self.deleted} was answered {answer.status}")
                self.deleted += 1
            connection.close()
            self.requests += 4000


def sizes(registry):
    status = Path(f"/proc/{registry.process.pid}/status").read_text()
    resident = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))) * KB
    return resident, len(os.listdir(f"/proc/{registry.process.pid}/fd")), (registry.data / "stele.db-wal").stat().st_size


def page(options, commit, requests, curve, verdict):
    rows = [f"| {minute} | {done:,} | {resident / MB:.1f} | {descriptors} | {log / MB:.1f} |" for minute, done, (resident, descriptors, log) in curve]
    return "\n".join([
        "# The last soak", "",
        f"Written by `make soak MINUTES={options.minutes:g}` on {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC. Commit {commit}, "
        f"{os.cpu_count()} cores, {platform.system()} {platform.release()}.", "",
        f"{requests:,} requests: pushes of manifests and of blobs of 4 KB and 8 MB, pulls, and deletions that keep {KEPT:,} manifests.", "",
        *verdict, "",
        "| minute | requests so far | resident MB | descriptors | catalog's log MB |", "|---:|---:|---:|---:|---:|", *rows, ""])


def tests(checks, directory, options):
    if not LOAD.exists():
        raise Failure(f"{LOAD} is not there; run 'make soak'")
    commit = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=40"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    with Registry(options.stele, directory / "soak") as registry:
        registry.start()
        work, began, samples, curve = Round(registry), time.monotonic(), [], []
        while time.monotonic() - began < options.minutes * 60 or len(samples) < 8:
            work.work()
            time.sleep(1.5)     # an I/O thread's tick
            samples.append(sizes(registry))
            if (minutes := int((time.monotonic() - began) / 60)) > (curve[-1][0] if curve else 0):
                curve.append((minutes, work.requests, samples[-1]))
                resident, descriptors, log = samples[-1]
                print(f"      {minutes} min: {work.requests:,} requests, {resident / MB:.1f} MB, {descriptors} descriptors, log {log / MB:.1f} MB", flush=True)
        # The first quarter is for caches to fill.
        quarter = len(samples) // 4
        early, late = samples[quarter:2 * quarter], samples[-quarter:]
        grown = max(sample[0] for sample in late) - max(sample[0] for sample in early)
        highest, log = (max(sample[kind] for sample in samples) for kind in (0, 2))
        checks(f"{work.requests:,} requests: resident memory stays below 64 MB", highest < 64 * MB, f"{highest / MB:.1f} MB")
        checks("and does not grow", grown < 4 * MB, f"{grown / MB:.1f} MB between the second quarter and the last")
        more = max(sample[1] for sample in late) - max(sample[1] for sample in early)
        checks("nor does the number of descriptors", more <= FIRST_READS, f"{more} more, {samples[-1][1]} in all")
        checks("the catalog's log stays below 64 MB", log < 64 * MB, f"{log / MB:.1f} MB")
        verdict = [f"- resident memory: at most {highest / MB:.1f} MB (bar: 64), {grown / MB:+.1f} MB from the second quarter to the last (bar: 4)",
                   f"- descriptors: {more:+d} from the second quarter to the last (bar: {FIRST_READS})", f"- catalog's log: at most {log / MB:.1f} MB (bar: 64)"]
        print(*verdict, sep="\n", flush=True)
        if options.markdown:
            options.markdown.write_text(page(options, commit, work.requests, curve, verdict))
        checks("it stops in good order", registry.stop() == 0)


if __name__ == "__main__":
    def add_options(parser):
        parser.add_argument("--minutes", type=float, default=60, metavar="N")
        parser.add_argument("--markdown", type=Path, default=None, metavar="FILE", help="write the figures there")

    main("soak", tests, add_options)
