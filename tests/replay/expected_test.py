"""The model by itself: sentences of docs/policy.md as small cases, and what goes held against all subsets of small graphs."""
import hashlib
import itertools
import json
import os
import random
import unittest

import expected
from expected import BLOCKED, EXPIRE, KEEP, Registry

DAY = 86400 * expected.SECOND
HEAD = """version: 1
tag_rules:
  - {name: signatures, tags: ["@signature"], mutability: append-only}
  - {name: releases, tags: ["@semver"], mutability: immutable}
lifecycle: {ignore_pulls_by: ["cert:scanner-*"]}
lifecycle_rules:
"""


def digest_of(text):
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


class World:
    """Manifests by names, in the repository `a`."""

    def __init__(self, rules):
        self.registry = Registry(HEAD + rules, 0, 0)
        self.repository = self.registry.repository("a")

    def push(self, name, day, tags=(), entries=(), subject=None):
        document = {"mediaType": "image", "name": name, "manifests": [{"digest": digest_of(e)} for e in entries]}
        if subject:
            document["subject"] = {"digest": digest_of(subject)}
        return self.registry.push_manifest("a", json.dumps(document), digest_of(name), tags, day * DAY)

    def plan(self, day):
        return expected.Judge(self.registry, self.repository, self.registry.policy, day * DAY).plan()

    def verdicts(self, day):
        return {item.tag or item.digest: item.verdict for item in self.plan(day).items}


class Sentences(unittest.TestCase):
    def test_no_expire_rule_no_deletion(self):
        """no expire rule, no deletion"""
        world = World("  - {name: r, keep: [{tags: [latest]}]}\n")
        world.push("x", 0, ["y"])
        world.push("z", 0)
        self.assertEqual(set(world.verdicts(1000).values()), {KEEP})

    def test_what_was_used_since_the_plan_stays(self):
        """a re-tagged or re-pulled item survives, and with it what it hangs from, and what hangs from that"""
        world = World('  - {name: r, expire: [{tags: ["*"], older_than: 5d}]}\n')
        world.push("child", 0)
        world.push("index", 0, ["i"], entries=["child"])
        world.push("sbom", 0, subject="index")
        world.push("idle", 0, ["x"])
        world.push("fresh", 20, ["main"])
        plan = world.plan(10)
        self.assertEqual(len(plan.removals), 4)
        self.assertEqual(world.plan(20).as_approved(plan, 10 * DAY).removals, plan.removals)
        world.repository.manifests[digest_of("child")].pulled = 11 * DAY
        again = world.plan(20)
        self.assertEqual(again.removals, plan.removals)
        self.assertEqual(again.as_approved(plan, 10 * DAY).removals, {digest_of("idle")})
        self.assertEqual({item.tag for item in again.as_approved(plan, 10 * DAY).due()}, {"x"})

    def test_keep_beats_expire(self):
        """keep always beats expire, across rules"""
        world = World('  - {name: r, expire: [{tags: ["*"], older_than: 5d}]}\n  - {name: s, keep: [{tags: [main]}]}\n')
        world.push("x", 0, ["main"])
        world.push("y", 0, ["old"])
        world.push("z", 8, ["new"])
        self.assertEqual(world.verdicts(10), {"main": KEEP, "old": EXPIRE, "new": KEEP})

    def test_protected(self):
        """protected tags are blocked and take no slot"""
        world = World('  - {name: r, keep: [{tags: ["*"], newest_pushed: 1}], expire: [{everything_else: true}]}\n')
        world.push("a", 0, ["one"])
        world.push("b", 1, ["two"])
        world.push("c", 2, ["1.0.0"])
        self.assertEqual(world.verdicts(10), {"one": EXPIRE, "two": KEEP, "1.0.0": BLOCKED})

    def test_reachability(self):
        """kept are roots, index children and referrers, all recursively; referrers and signatures die with their subject"""
        world = World('  - {name: r, keep: [{tags: [main]}], expire: [{tags: ["*"]}, {untagged: true}]}\n')
        for index in ("main", "old"):
            world.push(f"{index}-child", 0)
            world.push(index, 0, [index], entries=[f"{index}-child", "both"])
            world.push(f"{index}-sbom", 0, subject=f"{index}-child")
            world.push(f"{index}-sbom-of-sbom", 0, subject=f"{index}-sbom")
            world.push(f"{index}-sig", 0, [digest_of(index).replace(":", "-") + ".sig"])
        world.push("both", 0)
        names = ("old", "old-child", "old-sbom", "old-sbom-of-sbom", "old-sig")
        self.assertEqual(world.plan(10).removals, {digest_of(name) for name in names})

    def test_in_use(self):
        """what a cluster runs keeps its index; a stale report is no weaker"""
        world = World('  - {name: r, expire: [{everything_else: true}]}\n')
        world.push("child", 0)
        world.push("index", 0, ["old"], entries=["child"])
        world.push("newer", 1, ["newer"])
        world.push("image", 0, ["image"])
        world.registry.report("eu", ["a@" + digest_of("child")])
        self.assertEqual(world.verdicts(900), {"old": BLOCKED, "newer": EXPIRE, "image": EXPIRE, digest_of("child"): BLOCKED})

    def test_pulls(self):
        """last used is the latest of pushed, tagged and pulled; a child's pull counts for its index; scanners' do not"""
        world = World('  - {name: r, expire: [{tags: ["*"], not_pulled_for: 30d}]}\n')
        for name in ("a", "b", "c", "d"):
            world.push(name + "-child", 0)
            world.push(name, 0, [name], entries=[name + "-child"])
        world.registry.pull("a", digest_of("a-child"), "cert:team", 50 * DAY)
        world.registry.pull("a", digest_of("b-child"), "cert:scanner-1", 50 * DAY)
        world.push("c", 50, ["again"])
        self.assertEqual(world.verdicts(60), {"a": KEEP, "b": EXPIRE, "c": KEEP, "again": KEEP, "d": EXPIRE} |
                         {digest_of(name + "-child"): EXPIRE if name in "bd" else KEEP for name in "abcd"})

    def test_unrecorded_pulls_keep(self):
        """if pull recording was off in the window, keep"""
        world = World('  - {name: r, expire: [{tags: ["*"], not_pulled_for: 30d}]}\n')
        world.push("x", 0, ["x"])
        world.push("y", 0, ["y"])
        world.registry.pulls_since = 40 * DAY
        self.assertEqual(set(world.verdicts(60).values()), {KEEP})
        self.assertEqual(sorted(world.verdicts(71).values()), [BLOCKED, EXPIRE])   # never the last image

    def test_last_image(self):
        """never the last image: the newest stays, of equals the later name"""
        world = World('  - {name: r, expire: [{everything_else: true}]}\n')
        world.push("x", 0, ["x"])
        world.push("y", 5, ["y"])
        world.push("z", 5, ["z"])
        self.assertEqual(world.verdicts(60), {"x": EXPIRE, "y": EXPIRE, "z": BLOCKED})

    def test_versions(self):
        """newest_semver ranks by precedence"""
        ordered = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1", "v1.10.0", "2"]
        shuffled = sorted(ordered)
        self.assertEqual(sorted(shuffled, key=expected.version), ordered)
        self.assertIsNone(expected.version("sha-123"))

    def test_names_stay_bound(self):
        """an immutable name stays bound after it went, and append-only goes on from where it was"""
        world = World("  - {name: r, keep: [{tags: [main]}]}\n")
        world.push("x", 0, ["1.0.0"])
        world.registry.unbind(world.repository, "1.0.0")
        self.assertEqual((world.push("y", 1, ["1.0.0"]), world.push("x", 1, ["1.0.0"])), (409, 201))

    def test_patterns(self):
        """patterns"""
        for patterns, text, matched in (
                (["ci/**"], "ci/a/b", True), (["ci/*"], "ci/a/b", False), (["**", "!ci/**"], "ci/a", False), (["{a,b}/x-?"], "b/x-1", True),
                (["@sha"], "prod-sha-a1b2c3d", True), (["@semver"], "1.4", False), (["@semver-minor"], "1.4", True), (["/a+/"], "aab", False)):
            self.assertEqual(expected.matches(patterns, text), matched, (patterns, text))

    def test_fraction(self):
        """more than max_fraction of the manifests stops"""
        world = World('  - {name: r, expire: [{tags: ["old-*"]}]}\n')
        for n in range(4):
            world.push(f"m{n}", n, [f"old-{n}" if n < 2 else f"new-{n}"])
        self.assertFalse(world.plan(9).stopped)
        world.push("m2", 9, ["old-3"])
        world.registry.unbind(world.repository, "new-2")
        self.assertTrue(world.plan(10).stopped)


class BruteForce(unittest.TestCase):
    def test_removals(self):
        """the set that goes is the union of all sets that may go, tried one by one on 300 small graphs"""
        chosen = os.environ.get("TEST_SEED")
        for seed in [int(chosen)] if chosen else range(300):
            rng = random.Random(seed)
            world = World('  - {name: r, keep: [{tags: ["k*"]}], expire: [{tags: ["x*"]}, {untagged: true, older_than: 5d}]}\n')
            names = [f"m{n}" for n in range(rng.randrange(2, 8))]
            for n, name in enumerate(names):
                tags = [rng.choice("kxo") + name] if rng.random() < 0.5 else []
                if n and rng.random() < 0.2:
                    tags.append(digest_of(rng.choice(names[:n])).replace(":", "-"))
                world.push(name, rng.choice((1, 8)), tags, entries=rng.sample(names[:n], rng.randrange(min(n, 2) + 1)),
                           subject=rng.choice(names[:n]) if n and rng.random() < 0.3 else None)
            if rng.random() < 0.3:
                world.registry.report("eu", ["a@" + digest_of(rng.choice(names))])
            world.registry.policy.keep_last = 0
            self.compare(world, seed)

    def compare(self, world, seed):
        judge = expected.Judge(world.registry, world.repository, world.registry.policy, 10 * DAY)
        manifests = world.repository.manifests
        hit, stays = set(), set(judge.roots)
        for digest, manifest in manifests.items():
            tags = [t for t in world.repository.tags_of(digest) if judge.signed_by(t) not in manifests]
            if any(not tag.startswith("x") for tag in tags):
                stays.add(digest)
            elif tags or not world.repository.tags_of(digest) and manifest.pushed <= 5 * DAY:
                hit.add(digest)
        everything, union = list(manifests), set()
        for bits in itertools.product((0, 1), repeat=len(everything)):
            going = {digest for digest, bit in zip(everything, bits) if bit}
            led = judge.spread(hit & going, {d: b & going for d, b in judge.below.items()})
            if not going & stays and led == going and all(judge.above[digest] <= going for digest in going):
                union |= going
        self.assertEqual(judge.plan().removals, union, f"seed {seed}")


if __name__ == "__main__":
    unittest.main()
