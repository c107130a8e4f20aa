"""What is measured: each workload knows how to take one sample of each contender; run.py alternates and repeats."""
import itertools
import os
import time
from dataclasses import dataclass, field
from typing import Callable

import growth
import systems
import tools
from tools import Sample

KIB, MIB, GIB = 1024, 1024**2, 1024**3
RULES = 1000  # of a large policy
NOBODY_COUNTS = 'version: 1\nlifecycle: {ignore_pulls_by: ["*"]}\n'   # whoever pulls, it is no use to lifecycle
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CEILING = "ceiling"     # the contender that is no system, but the least that the job needs (bench/ceiling/)
PEER_BARS = {"read": {"zot": 5}, "write": {"zot": 5}}   # of issue 4, for those that are built


@dataclass
class Bar:
    """How many times `against` Stele has to reach, if anything is asked."""

    against: str
    least: float | None = None


@dataclass
class Workload:
    name: str
    unit: str                                    # "req/s", "MB/s" or "p99", of which less is more
    contenders: dict[str, Callable[[], Sample]]  # Stele first
    bars: list[Bar]
    longest: float | None = None                 # bar on the longest request, in seconds
    writes: bool = False
    repeat: int = 1                              # how often a round takes each sample
    samples: dict[str, list[Sample]] = field(default_factory=dict)

    def value(self, sample):
        if self.unit == "p99":
            return 1 / max(sample.p99, 1)
        return sample.requests if self.unit == "req/s" else sample.bytes / 1e6


@dataclass
class Memory:
    name: str
    bytes: int
    limit: int          # in bytes


class Content:
    """What the systems hold before anything is measured: in each registry a blob of each size and a manifest, in nginx a
    file of each size. `path(system, what)` is where it is; what is a size or "tag" or "manifest"."""

    repository = "bench/read"
    sizes = (KIB, MIB, 100 * MIB)

    def __init__(self):
        self.paths = {}

    def path(self, system, what):
        return self.paths[system.directory, what]

    def push_blob(self, system, size):
        report = tools.load("push", system.address, repository=self.repository, bytes=size, count=1, digests=True)
        self.paths[system.directory, size] = f"/v2/{self.repository}/blobs/{report['digests'][0]}"

    def push_tag(self, system):
        report = tools.load("push", system.address, repository=self.repository, bytes=KIB, count=1, manifests=True, digests=True)
        self.paths[system.directory, "tag"] = f"/v2/{self.repository}/manifests/{report['tag']}"
        self.paths[system.directory, "manifest"] = f"/v2/{self.repository}/manifests/{report['digests'][0]}"

    def fill_registry(self, system):
        for size in self.sizes:
            self.push_blob(system, size)
        self.push_tag(system)
        # The directories that the first pushes of small blobs make are made before the clock starts.
        tools.load("push", system.address, repository="bench/write", bytes=KIB, count=1000, clients=16, verify=1)

    def fill_nginx(self, nginx):
        for size in self.sizes:
            (nginx.www / str(size)).write_bytes(os.urandom(size))
            self.paths[nginx.directory, size] = f"/{size}"


def reading(content, stele, stele_tls, nginx, distribution, built, seconds, repeat):
    """`built`: the peers that are there only where Go is. `repeat`: samples per round where two servers are so close that the machine's
    moods are more than the distance."""
    def small(system, what):
        # Without it Distribution answers 404 to an OCI manifest.
        accept = MANIFEST if what in ("tag", "manifest") else None
        return lambda: tools.wrk(system.address, content.path(system, what), seconds, accept)

    def pull(system, size, clients, method="GET", tls=False):
        address = system.tls_address if tls else system.address
        path = content.path(system, size)
        return lambda: tools.sample(tools.load("pull", address, path=path, bytes=size, clients=clients, method=method,
                                               seconds=seconds, tls=tls))

    def ranges(system, size, of):
        path = content.path(system, of)
        return lambda: tools.sample(tools.load("pull", system.address, path=path, bytes=size, clients=16, seconds=seconds,
                                               **{"range-of": of}))

    registries = (distribution, *built)
    bars = [Bar("Distribution", 20), *(Bar(peer.name, PEER_BARS["read"].get(peer.name)) for peer in built)]
    file = {"nginx": small(nginx, KIB)}
    for what, label in (("tag", "tag"), ("manifest", "digest")):
        yield Workload(f"manifest GET by {label}, 16 clients", "req/s",
                       {"Stele": small(stele, what), **file, **{peer.name: small(peer, what) for peer in registries}},
                       [Bar("nginx", 0.6), *bars])
    # wrk cannot HEAD; nginx answers GET of 1 KB to the same program.
    yield Workload("blob HEAD, 16 clients", "req/s",
                   {"Stele": pull(stele, KIB, 16, "HEAD"), "nginx": pull(nginx, KIB, 16),
                    **{peer.name: pull(peer, KIB, 16, "HEAD") for peer in registries}},
                   [Bar("nginx", 0.6), *bars])
    yield Workload("blob GET 1 KB, 16 clients", "req/s",
                   {"Stele": small(stele, KIB), **file, "Distribution": small(distribution, KIB)}, [Bar("nginx", 0.5)])
    for size, label in ((MIB, "1 MB"), (100 * MIB, "100 MB")):
        for clients in (1, 16):
            yield Workload(f"blob GET {label}, {clients} client{'s' * (clients > 1)}", "MB/s",
                           {"Stele": pull(stele, size, clients), "nginx": pull(nginx, size, clients)},
                           [Bar("nginx", 0.95)], repeat=repeat)
    yield Workload("random 64 KB ranges of a 100 MB blob, 16 clients", "req/s",
                   {system.name: ranges(system, 64 * KIB, 100 * MIB) for system in (stele, nginx, distribution)},
                   [Bar("nginx"), Bar("Distribution")])
    for size, label in ((MIB, "1 MB"), (100 * MIB, "100 MB")):
        for clients in (1, 16):
            yield Workload(f"blob GET {label} over TLS, {clients} client{'s' * (clients > 1)}", "MB/s",
                           {"Stele": pull(stele_tls, size, clients, tls=True), "nginx": pull(nginx, size, clients, tls=True)},
                           [Bar("nginx", 0.9)])


def with_a_token(content, stele, guarded, seconds, repeat):
    """Who shows a token, whose user, rights and revocation are looked at anew with every request, and who is anonymous where everything is
    open. Each asks for the manifest in its own registry."""
    token = guarded.token(content.repository)     # its life is longer than the run of this row

    def ask(system, token=None):
        return lambda: tools.wrk(system.address, content.path(system, "tag"), seconds, MANIFEST, token=token)

    return Workload("manifest GET by tag with a token, 16 clients", "req/s",
                    {"Stele": ask(guarded, token), "anonymous": ask(stele)}, [Bar("anonymous", 0.8)], repeat=repeat)


def counted(content, stele, uncounted, seconds, repeat):
    """What it costs a pull that the catalog will know of it: beside a registry that was told to count nobody's."""
    def ask(system):
        return lambda: tools.wrk(system.address, content.path(system, "tag"), seconds, MANIFEST)

    return Workload("manifest GET by tag, each pull counted for lifecycle, 16 clients", "req/s",
                    {"Stele": ask(stele), "not counted": ask(uncounted)}, [Bar("not counted", 0.95)], repeat=repeat)


def beside_pushes(content, stele, nginx, seconds):
    """The same blobs go to Stele while either is asked."""
    def asked(system, what):
        def measure():
            # Of several short samples the middle one: a moment in which the host takes the processors away tells of neither.
            with tools.pushing(stele.address, 100 * MIB, 4):
                samples = [tools.wrk(system.address, content.path(system, what), 1) for _ in range(2 * seconds - 1)]
            return sorted(samples, key=lambda sample: sample.p99)[seconds - 1]
        return measure

    return Workload("p99 of a manifest GET while 4 clients on one core push 100 MB blobs", "p99",
                    {"Stele": asked(stele, "tag"), "nginx": asked(nginx, KIB)}, [Bar("nginx", 1 / 1.5)], writes=True)


def random_tags(content, stele, size, nginx, seconds):
    """Of `size` tags; nginx answers GET of one file to the same program."""
    def pull(system, **what):
        return lambda: tools.sample(tools.load("pull", system.address, bytes=KIB, clients=16, seconds=seconds, **what))

    return Workload(f"manifest GET by a random one of {size:,} tags, 16 clients", "req/s",
                    {"Stele": pull(stele, path=f"/v2/{growth.REPOSITORY}/manifests/t{{}}", random=size),
                     "nginx": pull(nginx, path=content.path(nginx, KIB))},
                    [Bar("nginx", 0.5)])


def writing(stele, ruled, distribution, built, directory, seconds, pushes, repeat):
    """`ruled`: a Stele whose policy has RULES rules. `built`: as above. `pushes`: of 100 MB, per round."""

    def push(system, size, clients, count, limit=0, manifests=False, repository="bench/write", tag_prefix=None):
        verify = 0 if system in (stele, ruled) else 16
        return lambda: tools.sample(tools.load("push", system.address, repository=repository, bytes=size, count=count,
                                               clients=clients, seconds=limit, manifests=manifests, verify=verify,
                                               **{"tag-prefix": tag_prefix}))

    def push_releases(system):
        return push(system, KIB, 16, count, seconds, manifests=True, repository=f"team-{RULES - 1}/app", tag_prefix="1.0.0-")

    def limit(total):
        """The slower of one core's SHA-256 and the disk: what no registry that hashes and syncs can pass."""
        files = directory / "dd" / str(total)
        files.mkdir(parents=True)

        def measure():
            disk = tools.synced_dd_rate(files / str(len(list(files.iterdir()))), total)
            return Sample(bytes=min(tools.sha256_rate(), disk))
        return measure

    numbers = itertools.count()

    def ceiling(job, size, clients=1):
        return lambda: tools.ceiling(job, directory / "ceiling" / str(next(numbers)), bytes=size, clients=clients, seconds=seconds)

    yield Workload("push unique 100 MB, 1 client", "MB/s",
                   {"Stele": push(stele, 100 * MIB, 1, 1), "SHA-256 or dd": limit(100),
                    "Distribution": push(distribution, 100 * MIB, 1, 1), CEILING: ceiling("ingest", 100 * MIB)},
                   [Bar("SHA-256 or dd", 0.55), Bar("Distribution", 2.5), Bar(CEILING)], writes=True, repeat=pushes)
    yield Workload("push unique 10 MB, 16 clients", "MB/s",
                   {"Stele": push(stele, 10 * MIB, 16, 48), "SHA-256 or dd": limit(480),
                    "Distribution": push(distribution, 10 * MIB, 16, 48)},
                   [Bar("SHA-256 or dd"), Bar("Distribution")], writes=True)
    count = int(20000 * seconds)
    bars = [Bar(peer.name, PEER_BARS["write"].get(peer.name)) for peer in built]
    for name, job, manifests, bar in (("1 KB blobs", "blobs", False, 8), ("manifests by tag", "commit", True, 10)):
        yield Workload(f"push unique {name}, 16 clients", "req/s",
                       {**{system.name: push(system, KIB, 16, count, seconds, manifests) for system in (stele, distribution, *built)},
                        CEILING: ceiling(job, KIB, 16)},
                       [Bar("Distribution", bar), *bars, Bar(CEILING)], longest=0.05, writes=True)
    # Full versions: immutable by the last rule here, by a built-in rule there.
    yield Workload(f"push manifests, the last of {RULES:,} rules decides", "req/s",
                   {"Stele": push_releases(ruled), "built-in rules": push_releases(stele)},
                   [Bar("built-in rules", 0.95)], writes=True, repeat=repeat)


def memory_after_requests(content, stele, count=1_000_000):
    asked = 0
    while asked < count:
        report = tools.load("pull", stele.address, path=content.path(stele, "tag"), bytes=KIB, clients=16, seconds=2)
        asked += report["count"]
    return Memory(f"after {asked:,} GETs of a manifest and all of the above", stele.memory(), 64 * MIB)


def memory_in_flight(content, stele, seconds):
    """Peaks of resident memory while 64 transfers of 1 GB are going on."""
    content.push_blob(stele, GIB)
    time.sleep(1)
    for name, options in (("64 downloads of 1 GB in flight", {"path": content.path(stele, GIB)}),
                          ("64 uploads of 1 GB in flight", {"repository": "bench/held"})):
        stele.forget_peak()
        report = tools.load("hold", stele.address, bytes=GIB, seconds=seconds, transfers=64, **options)
        peak = stele.memory("VmHWM")
        if report["in_flight"] != 64:
            raise systems.Failure(f"{name}: only {report['in_flight']} of the 64 transfers were still going on at the end")
        yield Memory(f"{name} ({report['bytes'] / 1e9:.1f} GB moved)", peak, 64 * MIB)
        time.sleep(1)
