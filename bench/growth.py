"""How each cost grows with what is stored: one Stele for each size, filled before the clock starts, asked in turns."""
import http.client
import statistics
import time
from dataclasses import dataclass, field

import tools
from systems import Failure, Stele

REPOSITORY = "growth/app"
EXTRA = 10**9           # number of the first tag that a sample pushes; they are deleted again
CHUNK = 100_000         # manifests that one run of the load program holds in memory
KIB = 1024
SIZES = (10, 1000, 100_000, 1_000_000)
QUICK_SIZES = (10, 1000, 10_000)


@dataclass
class Cost:
    """Microseconds at each size. `bar`: how many times the cost at the smallest size the largest may have."""

    name: str
    bar: float | None = None
    limit: float | None = None      # microseconds at the largest size
    samples: dict[int, list[float]] = field(default_factory=dict)

    def at(self, size):
        return statistics.median(self.samples[size])

    def growth(self):
        """The median over the rounds of largest : smallest in the same round."""
        sizes = sorted(self.samples)
        return statistics.median(large / small for small, large in zip(self.samples[sizes[0]], self.samples[sizes[-1]]))


def fill(system, size):
    for first in range(0, size, CHUNK):
        tools.load("push", system.address, repository=REPOSITORY, bytes=KIB, count=min(CHUNK, size - first), clients=16, manifests=True,
                   numbered=True, first=first, verify=1, **{"tag-prefix": "t"})


def push(system, clients, count):
    """The median push into a repository of just that size."""
    report = tools.load("push", system.address, repository=REPOSITORY, bytes=KIB, count=count, clients=clients, manifests=True,
                        numbered=True, first=EXTRA, verify=1, **{"tag-prefix": "t"})
    connection = http.client.HTTPConnection(system.address, timeout=60)
    for number in range(count):
        connection.request("DELETE", f"/v2/{REPOSITORY}/manifests/t{EXTRA + number}")
        answer = connection.getresponse()
        answer.read()
        if answer.status != 202:
            raise Failure(f"DELETE of a tag was answered {answer.status}")
    connection.close()
    return report["p50_us"]


def page(system, size, clients, seconds):
    path = f"/v2/{REPOSITORY}/tags/list?n=4&last=t{size // 2}"
    connection = http.client.HTTPConnection(system.address, timeout=60)
    connection.request("GET", path)
    length = len(connection.getresponse().read())
    connection.close()
    return tools.load("pull", system.address, path=path, bytes=length, clients=clients, seconds=seconds)["p50_us"]


def any_tag(system, size, clients, seconds):
    return tools.load("pull", system.address, path=f"/v2/{REPOSITORY}/manifests/t{{}}", random=size, bytes=KIB, clients=clients,
                      seconds=seconds)


def start_up(system):
    """From the start of the process to the first answer, after a stop in good order."""
    system.__exit__()
    before = time.monotonic()
    system.__enter__()
    return (time.monotonic() - before) * 1e6


def measure(systems, rounds, seconds):
    """`systems`: a filled Stele for each size."""
    costs = [
        (Cost("manifest push, 1 client", 1.3), lambda system, size: push(system, 1, 40)),
        (Cost("manifest push, 16 clients", 1.6), lambda system, size: push(system, 16, 160)),
        (Cost("page of 4 tags, 1 client", 1.3), lambda system, size: page(system, size, 1, seconds)),
        (Cost("page of 4 tags, 16 clients", 1.6), lambda system, size: page(system, size, 16, seconds)),
        (Cost("manifest GET by a random tag, 1 client"), lambda system, size: any_tag(system, size, 1, seconds)["p50_us"]),
        (Cost("manifest GET by a random tag, 16 clients"), lambda system, size: any_tag(system, size, 16, seconds)["p50_us"]),
        (Cost("start-up", limit=1e6), lambda system, size: start_up(system)),
    ]
    for cost, take in costs:
        print(f"{cost.name}: ", end="", flush=True)
        for number in range(rounds):
            order = list(systems.items())
            for size, system in order if number % 2 else order[::-1]:
                cost.samples.setdefault(size, []).append(take(system, size))
            print(".", end="", flush=True)
        print(f" {cost.growth():.3g} × from {min(systems):,} to {max(systems):,}", flush=True)
    return [cost for cost, _ in costs]


def filled(stack, directory, sizes):
    systems = {}
    for size in sizes:
        systems[size] = stack.enter_context(Stele(directory / f"growth-{size}"))
        print(f"filling a repository with {size:,} tags", flush=True)
        fill(systems[size], size)
    return systems
