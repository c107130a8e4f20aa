"""A team's year as a list of acts, made from a seed: commits, pull requests, nightly builds, release candidates, releases, base
images, charts, spikes that nobody looks at again, deployments and what clusters report, scanners, holds, second thoughts.

Acts say what people intend; whether it can still be done (the image may have expired) is for the model and the server to say.
All happen between 05:00 and 23:00 UTC or shortly after 01:00; the runs are at 03:00 and some minutes, so that no age is near a limit
that is written in days.
"""
import collections
import datetime
import random

import content

SECOND = 1_000_000
Act = collections.namedtuple("Act", "when kind fields")

TAG_RULES = """version: 1
tag_rules:
  - {name: signatures, tags: ["@signature"], mutability: append-only}
  - {name: ci-commits, repositories: ["ci/**"], tags: ["@sha"], mutability: immutable, lifecycle: allow}
  - {name: candidates, repositories: ["prod/**"], tags: ['/^\\d+\\.\\d+\\.\\d+-rc\\.\\d+$/'], mutability: immutable, lifecycle: allow}
  - {name: charts, repositories: ["charts/**"], tags: ["@semver"], mutability: immutable, lifecycle: allow}
  - {name: releases, tags: ["@semver", "@sha"], mutability: immutable}
default: {mutability: mutable}
lifecycle: {trash_for: 14d, max_fraction: 0.6, ignore_pulls_by: ["cert:scanner-*", "cert:auditor"]}
"""

FIRST_HALF = TAG_RULES + """lifecycle_rules:
  - name: ci
    repositories: ["ci/**", "!ci/spike-*"]
    keep:
      - {tags: [latest, main, stable, "@semver"]}
      - {tags: ["@sha"], newest_pushed: 4}
      - {tags: ["@sha", "pr-*"], pulled_within: 20d}
    expire:
      - {tags: ["@pr"], older_than: 14d}
      - {tags: ["@sha"], not_pulled_for: 30d}
      - {tags: ["nightly-*"], older_than: 10d}
      - {untagged: true, older_than: 7d}
  - name: spikes
    repositories: ["ci/spike-*"]
    expire:
      - {everything_else: true, older_than: 21d}
  - name: prod
    repositories: ["prod/**"]
    keep:
      - {tags: [latest, "@semver-minor", "@semver-major"]}
      - {newest_semver: 2}
    expire:
      - {tags: ["*"], not_pulled_for: 25d}
      - {untagged: true, older_than: 30d}
  - name: base
    repositories: ["base/**"]
    keep:
      - {tags: ["*", "!bookworm-*"]}
      - {tags: ["bookworm-*"], newest_pushed: 4}
      - {tags: ["bookworm-*"], newest_pulled: 2}
    expire:
      - {everything_else: true}
  - name: charts
    repositories: ["charts/**"]
    keep:
      - {newest_semver: 6}
    expire:
      - {artifact_type: "application/vnd.cncf.helm.*", older_than: 30d}
  - name: scratch
    repositories: ["scratch/**"]
    keep:
      - {pushed_within: 2d}
    expire:
      - {tags: ["*"], size_budget: 24KiB}
      - {untagged: true, larger_than: 100, older_than: 1d}
"""

SECOND_HALF = TAG_RULES.replace("max_fraction: 0.6", "max_fraction: 0.35") + """lifecycle_rules:
  - name: ci
    repositories: ["ci/**", "!ci/spike-*"]
    keep:
      - {tags: [latest, main, stable, "@semver"]}
      - {tags: ["@sha"], newest_pushed: 2}
      - {pulled_within: 10d}
    expire:
      - {tags: ["@pr"], older_than: 7d}
      - {tags: ["@sha"], older_than: 20d}
      - {tags: ["nightly-*"], older_than: 5d}
      - {untagged: true, older_than: 3d}
  - name: spikes
    repositories: ["ci/spike-*"]
    expire:
      - {tags: ["*"], not_pulled_for: 30d}
  - name: pinned
    repositories: ["{base,charts}/**"]
    keep:
      - {tags: ["*"], newest_pulled: 3}
  - name: prod
    repositories: ["prod/**"]
    keep:
      - {newest_semver: 1}
      - {tags: ["*"], newest_pushed: 2}
    expire:
      - {everything_else: true, not_pulled_for: 20d}
  - name: base
    repositories: ["base/**"]
    expire:
      - {tags: ["bookworm-*"], older_than: 40d}
      - {untagged: true, older_than: 14d}
  - name: charts
    repositories: ["charts/**"]
    keep:
      - {tags: ["@semver"], newest_semver: 3}
    expire:
      - {tags: ["*"], older_than: 10d}
  - name: scratch
    repositories: ["scratch/**"]
    expire:
      - {tags: ["*"], size_budget: 16KiB}
"""


class Service:
    def __init__(self, name, multi_arch):
        self.name, self.multi_arch = name, multi_arch
        self.ci, self.prod = f"ci/{name}", f"prod/{name}"
        self.commits = []          # (tag, build)
        self.pull_requests = {}    # number: builds that are left
        self.version = [1, 0, 0]
        self.candidate = None      # (commit's tag, build, candidates made)
        self.releases = []         # (tag, build)
        self.nightly = []


class Year:
    """`begin` in microseconds, at midnight UTC. `pace` multiplies what a service does in a day."""

    def __init__(self, seed, begin, days, services, pace=1.0):
        self.random = random.Random(seed)
        self.seed, self.begin, self.days, self.pace = seed, begin, days, pace
        self.services = [Service(f"svc{n}", n % 2 == 0) for n in range(services)]
        self.builds = self.next_pr = self.next_spike = self.next_hold = self.charts = 0
        self.base = "0"
        self.running = {}          # cluster: {service name: (tag, build)}
        self.holds = []
        self.spikes = {}           # repository: builds that are left
        self.acts = []

    def acts_of_the_year(self):
        for day in range(self.days):
            yield from self.acts_of(day)

    def acts_of(self, day):
        self.acts, self.today = [], day
        if day == self.days // 2:
            self.add(5, "policy", text=SECOND_HALF)
        date = datetime.datetime.fromtimestamp(self.begin // SECOND + day * 86400, datetime.timezone.utc)
        working = date.weekday() < 5
        for service in self.services:
            self.nightly(service, date)
            if working:
                self.commits(service)
                self.pull_requests(service)
                self.releases(service)
            self.developers(service)
        self.base_images(date)
        self.chart_and_scratch(working)
        self.spike()
        self.clusters()
        self.scanners()
        self.lawyers()
        self.mishaps()
        self.acts.sort(key=lambda act: act.when)
        # Each at its own second, as one request follows the other.
        taken = 0
        for act in self.acts:
            taken = max(taken + SECOND, act.when)
            yield act._replace(when=taken)

    def add(self, hour, kind, **fields):
        """At some time in the hour; `hour` may have a fraction, for what comes after something else."""
        second = int(hour * 3600) + self.random.randrange(60) + 1
        self.acts.append(Act(self.begin + (self.today * 86400 + second) * SECOND, kind, fields))

    def chance(self, probability):
        return self.random.random() < probability

    def often(self, mean):
        """How many, this time."""
        mean *= self.pace
        return int(mean) + self.chance(mean - int(mean))

    def hour(self, first=6, last=21):
        return self.random.uniform(first, last)

    def build(self, service):
        self.builds += 1
        make = content.multi_arch if service.multi_arch else content.single
        return make(f"{self.seed} {service.name} {self.builds}", self.base)

    # --- what a service's pipeline does ---

    def commits(self, service):
        for _ in range(self.often(1.2)):
            build = self.build(service)
            tag = "sha-" + self.random.randbytes(4).hex()[:7]
            hour = self.hour(6, 20)
            self.add(hour, "push", repository=service.ci, build=build, tags=[tag, "main", "latest"])
            service.commits.append((tag, build))
            if self.chance(0.5):
                self.add(hour + 0.05, "attach", repository=service.ci, subject=build, seed=f"{tag} 1")
            if self.chance(0.4):
                self.add(hour + 0.1, "sign", repository=service.ci, digest=build.digest, signers=["ci"])
                if self.chance(0.3):
                    self.add(hour + 0.2, "sign", repository=service.ci, digest=build.digest, signers=["ci", "qa"])
        if service.commits and self.chance(0.06):
            # Somebody runs an old pipeline again: another image under a name that is taken, or the very same one.
            tag, build = self.random.choice(service.commits)
            again = self.build(service) if self.chance(0.5) else build
            self.add(self.hour(), "push", repository=service.ci, build=again, tags=[tag])
        if service.commits and self.chance(0.05):
            self.add(self.hour(), "retag", repository=service.ci, source=self.random.choice(service.commits[-12:])[0], tag="stable")

    def pull_requests(self, service):
        if self.chance(0.35 * self.pace):
            self.next_pr += 1
            service.pull_requests[self.next_pr] = self.random.randrange(1, 6)
        for number, left in list(service.pull_requests.items()):
            tag = f"pr-{number}"
            if left and self.chance(0.6):
                service.pull_requests[number] -= 1
                hour = self.hour(6, 20)
                build = self.build(service)
                self.add(hour, "push", repository=service.ci, build=build, tags=[tag])
                if self.chance(0.3):
                    self.add(hour + 0.4, "pull", repository=service.ci, reference=tag, principal="cert:team", child=0)
                if self.chance(0.2):
                    self.add(hour + 0.5, "attach", repository=service.ci, subject=build, seed=f"{tag} {left}")
            elif not left:
                del service.pull_requests[number]
                if self.chance(0.5):   # merged, and the workflow cleans up; others are forgotten
                    self.add(self.hour(), "delete", repository=service.ci, reference=tag)

    def nightly(self, service, date):
        if self.chance(min(1, 0.5 * self.pace)):
            tag = f"nightly-{date:%Y-%m-%d}"
            self.add(1.2, "push", repository=service.ci, build=self.build(service), tags=[tag])
            service.nightly.append(tag)
            if self.chance(0.05):
                self.add(self.hour(), "delete", repository=service.ci, reference=self.random.choice(service.nightly[-8:]))

    def releases(self, service):
        if service.candidate is None and len(service.commits) > 3 and self.chance(0.12 * self.pace):
            part = self.random.choice((0, 1, 1, 2, 2, 2)) if service.version[0] < 4 else self.random.choice((1, 2, 2))
            service.version[part] += 1
            service.version[part + 1:] = [0] * (2 - part)
            service.candidate = (*service.commits[-1], 0)
        if service.candidate is None:
            return
        tag, build, made = service.candidate
        name = ".".join(map(str, service.version))
        if made < 2 and self.chance(0.5):
            self.add(self.hour(), "promote", repository=service.ci, reference=tag, to=service.prod, tags=[f"{name}-rc.{made + 1}"])
            service.candidate = (*service.commits[-1], made + 1) if self.chance(0.3) else (tag, build, made + 1)
        elif self.chance(0.5):
            service.candidate = None
            minor = ".".join(map(str, service.version[:2]))
            hour = self.hour(8, 16)
            self.add(hour, "promote", repository=service.ci, reference=tag, to=service.prod,
                     tags=[name, minor, str(service.version[0]), "latest"])
            self.add(hour + 0.2, "sign", repository=service.prod, digest=build.digest, signers=["ci", "qa", "release"])
            service.releases.append((name, build))

    # --- who pulls ---

    def developers(self, service):
        for _ in range(self.often(0.6)):
            names = [tag for tag, _ in service.commits[-15:]] + service.nightly[-6:] + ["main", "latest", "stable"]
            names += [f"pr-{number}" for number in service.pull_requests]
            self.add(self.hour(), "pull", repository=service.ci, reference=self.random.choice(names), principal="cert:team",
                     child=self.random.choice((None, 0, 1)))
        if service.commits and self.chance(0.15):
            # An old one, by the digest of a platform: it counts for the index.
            _, build = self.random.choice(service.commits[-40:])
            self.add(self.hour(), "pull", repository=service.ci, reference=self.random.choice(list(build.platforms.values())),
                     principal="cert:team", child=None)

    def clusters(self):
        for cluster in ("prod-eu", "prod-us", "staging"):
            runs = self.running.setdefault(cluster, {})
            changed = False
            for service in self.services:
                recent = service.commits[-6:] if cluster == "staging" else service.releases[-3:]
                if recent and self.chance(0.12 if service.name in runs else 0.6):
                    runs[service.name] = self.random.choice(recent)
                    changed = True
                    repository = service.ci if cluster == "staging" else service.prod
                    self.add(self.hour(9, 19), "pull", repository=repository, reference=runs[service.name][0],
                             principal="cert:deployer", child=self.random.choice((0, 1)))
            if runs and (changed or self.chance(0.2)):
                images = []
                for service in self.services:
                    if service.name not in runs:
                        continue
                    tag, build = runs[service.name]
                    repository = service.ci if cluster == "staging" else service.prod
                    # By tag, by the digest of the index, or as containerd says it, by that of the platform.
                    images.append(self.random.choice((f"{repository}:{tag}", f"{repository}@{build.digest}",
                                                      f"{repository}@{build.platforms['amd64']}")))
                self.add(19.5, "report", cluster=cluster, images=images + ["docker.example/library/redis:7"])

    def scanners(self):
        if self.today % 7 == 3:
            for service in self.services:
                for tag, _ in service.commits[-25::3] + service.releases[-8::2]:
                    self.add(self.hour(), "pull", repository=self.random.choice((service.ci, service.prod)), reference=tag,
                             principal="cert:scanner-1", child=0)

    # --- the rest of the house ---

    def base_images(self, date):
        if date.weekday() != 0:
            return
        self.base = f"{date:%Y-%m}" if self.chance(0.5) else f"{date:%Y-%m-%d}"   # reproducible: often the same as last week
        for name in ("runtime", "builder"):
            build = content.multi_arch(f"{name} {self.base}", self.base)
            self.add(5.5, "push", repository=f"base/{name}", build=build, tags=[f"bookworm-{date:%Y%m%d}", "bookworm", "latest"])
            if self.chance(0.4):
                earlier = date - datetime.timedelta(days=7 * self.random.randrange(0, 9))
                self.add(self.hour(), "pull", repository=f"base/{name}", reference=f"bookworm-{earlier:%Y%m%d}",
                         principal="cert:team", child=self.random.choice((None, 0)))

    def chart_and_scratch(self, working):
        if working and self.chance(0.15):
            self.charts += 1
            self.add(self.hour(), "push", repository="charts/umbrella", build=content.chart(f"{self.seed} {self.charts}"),
                     tags=[f"0.{self.charts // 7}.{self.charts % 7}"])
        for _ in range(self.often(0.4)):
            build = self.build(self.random.choice(self.services))
            self.add(self.hour(), "push", repository="scratch/try", build=build, tags=[f"try-{self.random.randrange(12)}"])

    def spike(self):
        if self.chance(0.03):
            self.next_spike += 1
            self.spikes[f"ci/spike-{self.next_spike}"] = self.random.randrange(1, 6)
        for repository, left in list(self.spikes.items()):
            if self.chance(0.5):
                self.add(self.hour(), "push", repository=repository, build=self.build(self.random.choice(self.services)), tags=[f"try-{left}"])
                self.spikes[repository] = left - 1
                if left == 1:
                    del self.spikes[repository]

    def lawyers(self):
        if self.chance(0.03):
            service = self.random.choice(self.services)
            known = [(service.ci, tag) for tag, _ in service.commits[-20:]] + [(service.ci, tag) for tag in service.nightly[-5:]]
            known += [(service.prod, tag) for tag, _ in service.releases]
            if known:
                self.next_hold += 1
                repository, tag = self.random.choice(known)
                self.add(self.hour(), "hold", hold=f"case-{self.next_hold}", repository=repository, tag=tag)
                self.holds.append(f"case-{self.next_hold}")
        if len(self.holds) > 2 or self.holds and self.chance(0.015):
            self.add(22.2, "release_hold", hold=self.holds.pop(0))

    def mishaps(self):
        service = self.random.choice(self.services)
        if service.commits and self.chance(0.08):
            # By digest: refused where a tag may not go, and while an index lists it.
            build = self.random.choice(service.commits[-10:])[1]
            self.add(self.hour(), "delete", repository=service.ci, reference=self.random.choice([d for d, _, _ in build.manifests]))
        if service.releases and self.chance(0.03):
            self.add(self.hour(), "delete", repository=service.prod, reference=self.random.choice(service.releases)[0])
        if self.chance(0.1):
            self.add(self.hour(), "abandon", repository=service.ci, blobs=[content.blob(f"abandoned {self.seed} {self.today}")])
        if self.chance(0.08):
            self.add(22.5, "restore", pick=self.random.random())
        if self.today % 45 == 20:
            self.add(12.5, "crash", lose_pulls=self.today == 245)
