"""What a clean-up costs: those who push and pull beside it, and for each thing removed, whatever is kept."""
import http.client
import json
import re
import statistics
import subprocess
import threading
import time
import urllib.request
from dataclasses import dataclass

import report
import tools
from systems import Distribution, Failure, Stele

REPOSITORY, BESIDE = "clean/app", "clean/beside"
KIB = 1024
POLICY = """version: 1
lifecycle: {max_fraction: 1.0, max_count: 10000000, keep_last: 0}
lifecycle_rules:
  - {name: bench, repositories: [clean/app], keep: [{tags: ["t*"]}], expire: [{tags: ["r*"]}]}
"""
CONFIGURATION = "gc: {lease: 1s}\n"
FIRST = 10**9           # number of the first tag of what goes: another body than any that stays


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
    """8 clients push manifests and 8 pull random ones at the same time; p99 of each."""
    found = {}

    def pushes():
        found["push"] = tools.load("push", system.address, repository=BESIDE, bytes=KIB, count=4000 * seconds, clients=8, manifests=True,
                                   numbered=True, first=FIRST + count * 1_000_000, seconds=seconds, verify=1, **{"tag-prefix": "b"})["p99_us"]

    def pulls():
        found["pull"] = tools.load("pull", system.address, path=f"/v2/{REPOSITORY}/manifests/t{{}}", random=kept, bytes=KIB, clients=8,
                                   seconds=seconds)["p99_us"]

    threads = [threading.Thread(target=work) for work in (pushes, pulls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(found) != 2:
        raise Failure("the load beside the clean-up failed")
    return found


def beside(system, kept, seconds, samples):
    idle = [traffic(system, kept, seconds, number) for number in range(samples)]
    outcome = {}

    def run():
        outcome.update(system.ask("POST", "/lifecycle/run", {}))
        outcome.update(erased=system.ask("POST", "/trash/erase", {"run": outcome["id"]}))

    running = threading.Thread(target=run)
    running.start()
    busy = []
    while running.is_alive():
        busy.append(traffic(system, kept, seconds, samples + len(busy)))
    running.join()
    # The last sample had a part of the clean-up only.
    busy = busy[:-1] if len(busy) > 1 else busy
    return outcome, [Beside(f"p99 of {what}s", [sample[what] for sample in idle], [sample[what] for sample in busy], 1.5)
                     for what in ("push", "pull")]


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


def offline(directory, kept, removed):
    """Seconds of Distribution's garbage-collect for the same clean-up; nobody may push meanwhile."""
    with Distribution(directory) as system:
        for prefix, count, first in (("t", kept, 0), ("r", removed, FIRST)):
            tools.load("push", system.address, repository=REPOSITORY, bytes=KIB, count=count, clients=16, manifests=True, numbered=True,
                       first=first, verify=1, **{"tag-prefix": prefix})
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


def measure(directory, quick):
    """[Beside], [Step], and the rows about the others' way."""
    sizes = (1000, 10_000) if quick else (10_000, 1_000_000)
    removed = 2000 if quick else 100_000
    costs = {"removing a manifest into the trash": {}, "erasing it and collecting": {}, "judging a manifest": {}}
    result = None
    for kept in sizes:
        # Cost first, on a server that does nothing else; the largest one then has traffic beside a second clean-up.
        with Cleaned(directory / f"clean-{kept}", policy=POLICY) as system:
            print(f"cleaning up: filling a repository with {kept:,} manifests that stay and {removed:,} that go", flush=True)
            fill(system, kept, removed)
            for name, cost in zip(costs, alone(system, removed)):
                costs[name][kept] = cost
            if kept == max(sizes):
                fill(system, 0, removed)
                outcome, result = beside(system, kept, 1 if quick else 2, 3 if quick else 7)
                # Leases keep a little more than they must: those of what is pushed beside it share places with others'.
                if outcome["removed"] + outcome["survived"] != removed or outcome["survived"] > removed // 100:
                    raise Failure(f"beside the traffic {outcome['removed']} manifests were removed, not {removed}: {outcome}")
    bars = {"removing a manifest into the trash": 1.2, "erasing it and collecting": 1.2}
    steps = [Step(name, by_kept, bars.get(name)) for name, by_kept in costs.items()]
    small = (500, 200) if quick else (10_000, 2000)
    compared = (small, online(directory / "clean-online", *small), offline(directory / "clean-offline", *small))
    return result, steps, compared


def rows(verdicts, measured):
    """The table of the clean-up, header first."""
    if not measured:
        return []
    besides, steps, (small, own, other) = measured
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
    table.append([f"{small[1]:,} of {sum(small):,} manifests removed, to the last byte", f"Stele {own:.1f} s, online",
                  f"Distribution {other:.1f} s, while nobody may push", f"{other / own:.3g} ×", ""])
    return table
