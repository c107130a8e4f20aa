#!/usr/bin/env python3
"""What a clean-up costs: those who push and pull beside it, and for each thing removed, whatever is kept.

  bench/cleanup.py [--quick] [--kept N] [--removed N] [--minutes N] [--directory DIR] [--markdown FILE]

In full 100,000 manifests are removed beside 1,000,000 that stay, and beside 10,000, for what one costs. Then the others' way, of a smaller
repository: Distribution's garbage-collect and, where scripts/go_tools.sh has built it, zot's. Ends with 1 when a bar is missed, with 2
when something failed or the minutes were over. Also a part of bench/run.py.
"""
import argparse
import http.client
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from dataclasses import dataclass, replace
from pathlib import Path

import deadline
import network
import report
import tools
from systems import Distribution, Failure, Stele, Zot

REPOSITORY, BESIDE = "clean/app", "clean/beside"
KIB = 1024
POLICY = """version: 1
lifecycle: {max_fraction: 1.0, max_count: 10000000, keep_last: 0}
lifecycle_rules:
  - {name: bench, repositories: [clean/app], keep: [{tags: ["t*"]}], expire: [{tags: ["r*"]}]}
"""
CONFIGURATION = "gc: {lease: 1s}\n"
LEASE_PLACES = 2**20    # registry/leases.hpp
FIRST = 10**9           # number of the first tag of what goes: another body than any that stays


@dataclass(frozen=True)
class Scale:
    """How much: manifests that stay, a size for each server, and that go; seconds of a sample beside, and samples of an idle server;
    manifests that stay and that go where the others do the same."""

    sizes: tuple[int, int]
    removed: int
    seconds: int
    samples: int
    small: tuple[int, int]


FULL = Scale((10_000, 1_000_000), 100_000, 2, 7, (5_000, 1_000))
QUICK = Scale((1000, 10_000), 2000, 1, 3, (500, 200))


@dataclass
class Beside:
    """p99 in microseconds, a sample for every few seconds."""

    name: str
    idle: list[float]
    busy: list[float]
    bar: float

    def ratio(self):
        return statistics.median(self.busy) / statistics.median(self.idle)


@dataclass
class Step:
    """What one removed thing costs the server, in microseconds of processor time, by how much is kept."""

    name: str
    costs: dict[int, float]
    bar: float | None = None


class Cleaned(Stele):
    """A Stele with rules to clean by, and leases that end soon."""

    def command(self):
        command = super().command()
        path = self.directory / "stele.yaml"
        path.write_text(path.read_text() + CONFIGURATION)
        return command

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection(self.address, timeout=3600)
        connection.request(method, "/api/v1" + path, json.dumps(body) if body is not None else None,
                           {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status != 200:
            raise Failure(f"{method} {path} was answered {answer.status}: {text[:500]!r}")
        return json.loads(text)

    def gauge(self, name):
        with urllib.request.urlopen(f"http://{self.address}/metrics", timeout=10) as answer:
            return float(re.search(rf"^{name} (\S+)", answer.read().decode(), re.M).group(1))


def fill(system, kept, removed):
    for prefix, count, begin in (("t", kept, 0), ("r", removed, FIRST)):
        for first in range(0, count, 100_000):
            tools.load("push", system.address, repository=REPOSITORY, bytes=KIB, count=min(100_000, count - first), clients=16,
                       manifests=True, numbered=True, first=begin + first, verify=1, **{"tag-prefix": prefix})
    tools.load("push", system.address, repository=BESIDE, bytes=KIB, count=16, clients=16, manifests=True, numbered=True, first=0,
               verify=1, **{"tag-prefix": "t"})
    time.sleep(1.5)     # the leases of what was pushed


def traffic(system, kept, seconds, count):
    """8 clients push manifests and 8 pull random ones at the same time; p99 of each, and requests in a second."""
    found, requests = {}, []

    def note(name, result):
        found[name] = result["p99_us"]
        requests.append(result["count"] / result["seconds"])

    def pushes():
        note("push", tools.load("push", system.address, repository=BESIDE, bytes=KIB, count=4000 * seconds, clients=8, manifests=True,
                                numbered=True, first=FIRST + count * 1_000_000, seconds=seconds, verify=1, **{"tag-prefix": "b"}))

    def pulls():
        note("pull", tools.load("pull", system.address, path=f"/v2/{REPOSITORY}/manifests/t{{}}", random=kept, bytes=KIB, clients=8,
                                seconds=seconds))

    threads = [threading.Thread(target=work, daemon=True) for work in (pushes, pulls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(found) != 2:
        raise Failure("the load beside the clean-up failed")
    return found | {"requests": sum(requests)}


def rest(system, outcome):
    """The run once nobody pushes or pulls any more: it removes exactly what the leases of the others kept."""
    time.sleep(2.5)     # a lease, both of whose times are cut to seconds
    last = system.ask("POST", "/lifecycle/run", {})
    if last["removed"] != outcome["survived"] or last["survived"] != 0:
        raise Failure(f"{outcome['survived']} manifests survived beside the traffic, and the run after it: {last}")
    return last["removed"]


def beside(system, kept, seconds, samples):
    idle = [traffic(system, kept, seconds, number) for number in range(samples)]
    outcome = {}

    def run():
        outcome.update(system.ask("POST", "/lifecycle/run", {}))
        outcome.update(erased=system.ask("POST", "/trash/erase", {"run": outcome["id"]}))

    running = threading.Thread(target=run, daemon=True)
    running.start()
    busy = []
    while running.is_alive():
        busy.append(traffic(system, kept, seconds, samples + len(busy)))
    running.join()
    outcome.update(rest=rest(system, outcome))
    # Each request takes one of the leases' places for a second, or nearly two: both times are cut to seconds.
    most = 1.5 * 2 * max(sample["requests"] for sample in busy) / LEASE_PLACES
    if outcome["survived"] > most * (outcome["removed"] + outcome["survived"]) + 10:
        raise Failure(f"{outcome['survived']} manifests survived beside the traffic, whose leases explain {most:.1%}: {outcome}")
    # The last sample had a part of the clean-up only.
    busy = busy[:-1] if len(busy) > 1 else busy
    return outcome, [Beside(f"p99 of {words}", [sample[what] for sample in idle], [sample[what] for sample in busy], 1.5)
                     for what, words in (("push", "pushes"), ("pull", "pulls"))]


def alone(system, removed):
    """Processor time for each manifest removed and erased, without the judging, and of judging for each that is there."""
    before = system.cpu_seconds()
    plan = system.ask("POST", "/lifecycle/plan", {"repository": REPOSITORY})["plan"]
    judged = system.cpu_seconds() - before
    if plan["expiring"] != removed:
        raise Failure(f"the plan has {plan['expiring']} items, not {removed}")
    before = system.cpu_seconds()
    run = system.ask("POST", "/lifecycle/run", {})
    if run["removed"] != removed:
        raise Failure(f"{run['removed']} manifests were removed, not {removed}: {run}")
    spent = system.cpu_seconds() - before - judged
    before = system.cpu_seconds()
    system.ask("POST", "/trash/erase", {"run": run["id"]})
    deadline = time.monotonic() + 600
    while system.ask("GET", "/gc")["due"] > 0:
        if time.monotonic() > deadline:
            raise Failure("the collector does not come to its end")
        time.sleep(0.2)
    return spent * 1e6 / removed, (system.cpu_seconds() - before) * 1e6 / removed, judged * 1e6 / plan["manifests"]


def fill_other(system, kept, removed):
    for prefix, count, first in (("t", kept, 0), ("r", removed, FIRST)):
        tools.load("push", system.address, repository=REPOSITORY, bytes=KIB, count=count, clients=16, manifests=True, numbered=True,
                   first=first, verify=1, **{"tag-prefix": prefix})


def offline(directory, kept, removed):
    """Seconds of Distribution's garbage-collect for the same clean-up; nobody may push meanwhile."""
    with Distribution(directory) as system:
        fill_other(system, kept, removed)
        connection = http.client.HTTPConnection(system.address, timeout=60)
        for number in range(removed):
            connection.request("HEAD", f"/v2/{REPOSITORY}/manifests/r{FIRST + number}",
                               headers={"Accept": "application/vnd.oci.image.manifest.v1+json"})
            answer = connection.getresponse()
            answer.read()
            digest = answer.headers["Docker-Content-Digest"]
            connection.request("DELETE", f"/v2/{REPOSITORY}/manifests/{digest}")
            answer = connection.getresponse()
            answer.read()
            if answer.status != 202:
                raise Failure(f"Distribution answered a DELETE with {answer.status}")
        connection.close()
    began = time.monotonic()
    done = subprocess.run([system.program, "garbage-collect", directory / "config.yml"], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"garbage-collect: {done.stderr[-1000:]}")
    return time.monotonic() - began


class RetainingZot(Zot):
    """Its retention keeps the tags that stay here, once it is told to."""

    retains = False

    def command(self):
        command = super().command()
        path = self.directory / "config.json"
        settings = json.loads(path.read_text())
        if self.retains:
            settings["storage"] |= {"gc": True, "gcDelay": "1s", "gcInterval": "1s", "retention": {"delay": "1s", "policies": [
                {"repositories": ["**"], "deleteUntagged": True, "keepTags": [{"patterns": ["^t.*"]}]}]}}
            path.write_text(json.dumps(settings))
        return command

    def blobs(self):
        return sum(len(files) for _, _, files in os.walk(self.directory / "data" / REPOSITORY / "blobs"))


def retained(directory, kept, removed, patience=1200):
    """Seconds of zot's retention and collection for the same clean-up, from its start with them; None when it did not come to its end."""
    system = RetainingZot(directory)
    with system:
        fill_other(system, kept, removed)
    before = system.blobs()
    system.retains = True
    began = time.monotonic()
    with system:
        while system.blobs() > before - removed:
            if time.monotonic() - began > patience:
                return None
            time.sleep(0.1)
        took = time.monotonic() - began
        with urllib.request.urlopen(f"http://{system.address}/v2/{REPOSITORY}/tags/list", timeout=600) as answer:
            tags = json.loads(answer.read())["tags"]
    if len(tags) != kept:
        raise Failure(f"zot has {len(tags)} tags left, not {kept}")
    return took


def online(directory, kept, removed):
    """Seconds of the same in Stele, from the run's begin to the last byte."""
    with Cleaned(directory, policy=POLICY) as system:
        fill(system, kept, removed)
        began = time.monotonic()
        run = system.ask("POST", "/lifecycle/run", {})
        system.ask("POST", "/trash/erase", {"run": run["id"]})
        while system.ask("GET", "/gc")["due"] > 0:
            time.sleep(0.05)
        return time.monotonic() - began


def others(directory, small):
    """[(whose way, seconds or None, what it asks of those who push)]"""
    found = [("Stele", online(directory / "clean-online", *small), "online")]
    if shutil.which(Distribution.program):
        found.append(("Distribution", offline(directory / "clean-offline", *small), "while nobody may push"))
    if Zot.program.exists():
        found.append(("zot", retained(directory / "clean-zot", *small), "the repository locked meanwhile, and a random pause of up to 30 s before it begins"))
    return found


def measure(directory, scale):
    """[Beside], [Step], and the rows about the others' way."""
    removed = scale.removed
    costs = {"removing a manifest into the trash": {}, "erasing it and collecting": {}, "judging a manifest": {}}
    result = None
    for kept in scale.sizes:
        # Cost first, on a server that does nothing else; the largest one then has traffic beside a second clean-up.
        with Cleaned(directory / f"clean-{kept}", policy=POLICY) as system:
            print(f"cleaning up: filling a repository with {kept:,} manifests that stay and {removed:,} that go", flush=True)
            fill(system, kept, removed)
            for name, cost in zip(costs, alone(system, removed)):
                costs[name][kept] = cost
                print(f"  {name}, with {kept:,} kept: {report.duration(cost)}", flush=True)
            if kept == max(scale.sizes):
                fill(system, 0, removed)
                outcome, result = beside(system, kept, scale.seconds, scale.samples)
                # Leases keep a little more than they must, until the next run: those of what is pushed and pulled beside it, thousands in
                # the second for which one lasts here, share some of a million places with others'.
                if outcome["removed"] + outcome["rest"] != removed:
                    raise Failure(f"beside the traffic {outcome['removed']} manifests were removed, not {removed}: {outcome}")
                print(f"  {outcome['rest']:,} of {removed:,} went with the next run only, for the leases of others", flush=True)
        shutil.rmtree(directory / f"clean-{kept}")
    bars = {"removing a manifest into the trash": 1.2, "erasing it and collecting": 1.2}
    steps = [Step(name, by_kept, bars.get(name)) for name, by_kept in costs.items()]
    print(f"cleaning up the others' way: {scale.small[1]:,} of {sum(scale.small):,} manifests", flush=True)
    return result, steps, (scale.small, others(directory, scale.small))


def rows(verdicts, measured):
    """The table of the clean-up, header first."""
    if not measured:
        return []
    besides, steps, (small, compared) = measured
    sizes = sorted(steps[0].costs)
    table = [["clean-up", "", "", "ratio", "bar"]]
    for one in besides:
        bar = verdicts.most(f"{one.name} beside a clean-up", one.ratio(), one.bar, f"≤ {one.bar:g} ×", f"{one.ratio():.3g} ×")
        table.append([f"{one.name}, 8 pushing and 8 pulling clients", f"idle {report.duration(statistics.median(one.idle))}",
                      f"beside {report.duration(statistics.median(one.busy))}", f"{one.ratio():.3g} ×", bar])
    for step in steps:
        small_cost, large_cost = (step.costs[size] for size in sizes)
        ratio = large_cost / small_cost
        bar = verdicts.most(step.name, ratio, step.bar, f"≤ {step.bar:g} ×", f"{ratio:.3g} ×") if step.bar else ""
        table.append([f"{step.name}, processor time", f"{report.duration(small_cost)} with {sizes[0]:,} kept",
                      f"{report.duration(large_cost)} with {sizes[1]:,} kept", f"{ratio:.3g} ×", bar])
    (_, own, way), *rest = compared
    for name, seconds, theirs in rest:
        shown = f"{seconds:.1f} s" if seconds is not None else "not done in 20 minutes"
        table.append([f"{small[1]:,} of {sum(small):,} manifests removed, to the last byte", f"Stele {own:.1f} s, {way}",
                      f"{name} {shown}, {theirs}", f"{seconds / own:.3g} ×" if seconds is not None else "", ""])
    return table


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small and short, to see that it works")
    parser.add_argument("--kept", type=int, help=f"manifests that stay in the large repository (default {FULL.sizes[1]:,})")
    parser.add_argument("--removed", type=int, help=f"manifests that go (default {FULL.removed:,})")
    parser.add_argument("--minutes", type=float, default=120, help="the longest that it may take (default %(default)s)")
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"), help="on a disk, 20 GB free (default %(default)s)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the table there")
    chosen = parser.parse_args()
    scale = QUICK if chosen.quick else FULL
    if chosen.kept:
        scale = replace(scale, sizes=(min(scale.sizes[0], chosen.kept // 2), chosen.kept))
    if chosen.removed:
        scale = replace(scale, removed=chosen.removed)
    return chosen, scale


def main():
    chosen, scale = options()
    network.enter()
    try:
        about = {"network": network.prepare()} | report.machine(chosen.directory)
        if not tools.LOAD.exists():
            raise Failure("stele_load is not built; run 'make bench-cleanup', or cmake --build build/release --target stele_load")
        with deadline.within(chosen.minutes) as took, tempfile.TemporaryDirectory(prefix="stele-cleanup-", dir=chosen.directory) as directory:
            before = report.processor_times()
            measured = measure(Path(directory), scale)
            about |= {"taken by the host": f"{report.stolen(before)} of the processors' time", "in all": took()}
    except Failure as failure:
        print(f"failed: {failure}", file=sys.stderr)
        return 2
    verdicts = report.Verdicts()
    table = rows(verdicts, measured)
    print(f"\n{report.as_text(table)}\n")
    for name, value in about.items():
        print(f"{name}: {value}")
    if chosen.markdown:
        lines = ["# Cleaning up", "", f"Written by `bench/cleanup.py` on {time.strftime('%Y-%m-%d', time.gmtime())}: {scale.removed:,} manifests are removed, "
                 f"{scale.sizes[1]:,} stay. Only the ratios mean something.", "", "| | |", "|---|---|",
                 *(f"| {name} | {value} |" for name, value in about.items()), "", *report.markdown_rows(table), ""]
        chosen.markdown.write_text("\n".join(lines))
    for row in verdicts.short:
        print(f"SHORT: {row.text}")
    return 1 if verdicts.short else 0


if __name__ == "__main__":
    sys.exit(main())
