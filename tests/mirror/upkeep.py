"""Mirrored repositories under lifecycle rules, holds and locks, and their damaged blobs: nothing goes that could not come back."""
import json
import re

from eviction import DEMO, SHORT_LEASE, evicted, job, tags
from hub import status
from promotion import promote
from warm import warm
from world import World, eventually

ALL_OLD = ("lifecycle: {keep_last: 0, max_fraction: 1}\nlifecycle_rules:\n"
           "  - {name: cache, repositories: [\"docker.io/**\"], expire: [{tags: [\"old-*\"], older_than: 1s}]}\n")


def with_policy(directory, name, text):
    policy = directory / f"{name}.yaml"
    policy.write_text("version: 1\n" + text)
    return SHORT_LEASE + f"policy: {policy}\n"


def plan(world):
    return json.loads(world.mirror.command("lifecycle", "plan", "--json").stdout)


def run_until(world, wanted, what):
    """Runs begin when the lease of the start, and of what was pulled, is over. The last run."""
    last = {}

    def done():
        answer = world.mirror.command("lifecycle", "run", "--json")
        if answer.returncode == 0:
            last.update(json.loads(answer.stdout))
        return bool(last) and wanted(last)
    eventually(done, what)
    return last


def a_rule_takes_no_last_copy(checks, binary, directory):
    """P8, M20, I5: one HEAD before it, 404 blocks."""
    with World(binary, directory, "last-copy", mirror_config=with_policy(directory, "last-copy", ALL_OLD)) as world:
        lost, there = world.image(tag="old-1", label="lost"), world.image(tag="old-2", label="there")
        checks("both are pulled", not (wrong := world.pull(lost, "old-1") or world.pull(there, "old-2")), wrong)
        eventually(lambda: plan(world)["plan"]["expiring"] >= 2, "both are due")
        world.hub.fault("registry", "HEAD.*manifests/old-1$", status(404))
        world.hub.forget()
        run = run_until(world, lambda run: tags(world) == ["old-1"], "what upstream has goes")
        checks("one HEAD for it", world.hub.count("registry", "HEAD.*manifests/old-2$") == 1, world.hub.all_seen())
        checks("what upstream lost stays, and the run says why", "BLOCKED: old-1: gone upstream" in json.dumps(run), run)
        checks("it counts as blocked", run["run"]["blocked"] >= 1 if "run" in run else run["blocked"] >= 1, run)
        checks("and is served", world.manifest("old-1").body == lost.manifest)


def a_rule_waits_for_an_upstream_that_does_not_answer(checks, binary, directory):
    """P8, I5: unreachable keeps."""
    with World(binary, directory, "rule-unasked", mirror_config=with_policy(directory, "rule-unasked", ALL_OLD)) as world:
        demo = world.image(tag="old-1")
        checks("it is pulled", not (wrong := world.pull(demo, "old-1")), wrong)
        eventually(lambda: plan(world)["plan"]["expiring"] >= 1, "it is due")
        world.hub.stop()
        run = run_until(world, lambda run: "whether it could be fetched again is not known" in json.dumps(run),
                        "the run says that it could not ask")
        checks("nothing went", tags(world) == ["old-1"], run)
        checks("it is served", not (wrong := world.pull(demo, "old-1")), wrong)


def what_a_cluster_runs_is_not_even_asked_for(checks, binary, directory):
    """P8, I5: in-use digests protect mirrored content."""
    with World(binary, directory, "rule-in-use", mirror_config=with_policy(directory, "rule-in-use", ALL_OLD)) as world:
        used, other = world.image(tag="old-1", label="used"), world.image(tag="old-2", label="other")
        checks("both are pulled", not (wrong := world.pull(used, "old-1") or world.pull(other, "old-2")), wrong)
        answer = world.mirror.request("PUT", "/api/v1/in-use/prod", json.dumps({"images": [f"{DEMO}@{used.digest}"]}).encode(),
                                      {"Content-Type": "application/json"})
        checks("a cluster reports one", answer.status // 100 == 2, answer)
        world.hub.forget()
        run_until(world, lambda run: tags(world) == ["old-1"], "the other one goes")
        item = next(item for item in plan(world)["items"] if item["tag"] == "old-1")
        checks("the plan names the cluster", item["verdict"] == "BLOCKED" and "cluster prod" in item["reason"], item)
        checks("upstream was not asked for it", world.hub.count("registry", "HEAD.*manifests/old-1$") == 0, world.hub.all_seen())
        checks("it is served", not (wrong := world.pull(used, "old-1")), wrong)


def a_plan_takes_no_last_copy_either(checks, binary, directory):
    with World(binary, directory, "plan-copy", mirror_config=with_policy(directory, "plan-copy", ALL_OLD)) as world:
        for tag in ("old-1", "old-2"):
            world.image(tag=tag, label=tag)
            checks(f"{tag} is fetched, which is no pull", warm(world, f"{DEMO}:{tag}\n").returncode == 0)
        world.hub.fault("registry", "HEAD.*manifests/old-1$", status(404))
        eventually(lambda: plan(world)["plan"]["expiring"] >= 2, "both are due")
        document = world.mirror.directory / "plan.json"
        said = []

        def applied():      # when the leases are over
            world.mirror.command("lifecycle", "plan", "--output", document)
            said.append(world.mirror.command("lifecycle", "apply", document).stdout)
            return tags(world) == ["old-1"]
        eventually(applied, "what upstream has goes by the plan")
        checks("what it lost stays", any("old-1: gone upstream" in text for text in said), said)


def eviction_leaves_what_is_held_or_locked(checks, binary, directory):
    """I5: what the law or a rule retains, by age and by size."""
    rules = ("tag_rules:\n  - {name: kept, repositories: [\"docker.io/**\"], tags: [\"locked\"], mutability: mutable, lifecycle: allow,"
             " lock: {for: 1h, mode: governance}}\n")
    for name, more in (("age", "evict_after: 2s"), ("size", "max_size: 1KiB")):
        with World(binary, directory, f"retained-{name}", more=more,
                   mirror_config=with_policy(directory, f"retained-{name}", rules)) as world:
            images = {tag: world.image(tag=tag, label=tag) for tag in ("held", "locked", "free")}
            digest = world.image(tag="by-digest", label="by-digest")
            for tag in ("held", "locked", "by-digest"):
                checks(f"{tag} is fetched", warm(world, f"{DEMO}:{tag}\n").returncode == 0)
            for target in (f"{DEMO}:held", f"{DEMO}@{digest.digest}"):
                done = world.mirror.command("hold", "set", "case", target, "--case", "7")
                checks(f"a hold on {target[:30]}", done.returncode == 0, done)
            locks = world.mirror.command("lock", "list", DEMO)
            checks("a lock was stamped", images["locked"].digest[:19] in locks.stdout or "locked" in locks.stdout, locks)
            checks("free is fetched last", warm(world, f"{DEMO}:free\n").returncode == 0)
            eventually(lambda: "free" not in tags(world), "what nothing retains goes")
            before = job(world)["runs"]
            eventually(lambda: job(world)["runs"] > before + 2, "more rounds pass")
            checks("what is held or locked stays", tags(world) == ["by-digest", "held", "locked"], tags(world))
            checks("one went", evicted(world) == 1, evicted(world))
            if name == "age":
                held = next(hold for hold in json.loads(world.mirror.command("hold", "list", "--json").stdout)["holds"] if hold["tag"] == "held")
                done = world.mirror.command("hold", "release", held["id"], "--reason", "the case is closed")
                checks("a hold is released", done.returncode == 0, done)
                eventually(lambda: tags(world) == ["by-digest", "locked"], "then that one goes")
            checks("what is locked is served", not (wrong := world.pull(images["locked"], "locked")), wrong)


def a_damaged_blob_is_repaired_from_upstream(checks, binary, directory):
    """I6: found by a GET in the repository that it was promoted to."""
    with World(binary, directory, "repair") as world:
        demo = world.image()
        checks("it is promoted", promote(world).status == 201)
        path = world.mirror.data / "blobs" / "sha256" / demo.layer[7:9] / demo.layer[7:]
        path.chmod(0o600)
        with path.open("r+b") as file:
            file.truncate(1000)
        world.hub.forget()

        def whole():
            answer = world.blob(demo.layer, "base/demo")
            return answer.status == 200 and answer.body == demo.blobs[demo.layer]
        eventually(whole, "the right bytes are back")
        checks("from upstream, once", world.hub.count("cdn", "GET") == 1, world.hub.all_seen())

        def counted():
            metrics = world.get("/metrics").body.decode()
            return re.search(r"^stele_scrub_repaired_total 1$", metrics, re.M) and re.search(r"^stele_quarantined_blobs 0$", metrics, re.M)
        eventually(counted, "the scrub counts it, and nothing is in quarantine")
        listed = world.mirror.command("quarantine", "list")
        checks("nothing is listed", demo.layer[7:19] not in listed.stdout, listed)


def what_upstream_lost_stays_in_quarantine(checks, binary, directory):
    with World(binary, directory, "no-repair") as world:
        demo = world.image()
        checks("it is promoted", promote(world).status == 201)
        path = world.mirror.data / "blobs" / "sha256" / demo.layer[7:9] / demo.layer[7:]
        path.chmod(0o600)
        path.write_bytes(b"")
        world.hub.fault("registry", f"blobs/{demo.layer}", status(404))
        eventually(lambda: world.blob(demo.layer, "base/demo").status == 404 and
                   demo.layer[7:19] in world.mirror.command("quarantine", "list").stdout, "it is in quarantine")
        world.hub.mend()
        answer = world.mirror.push_blob("other/app", demo.blobs[demo.layer])[1]
        checks("a push mends it", answer.status == 201, answer)
        answer = world.blob(demo.layer, "base/demo")
        checks("everywhere", answer.status == 200 and answer.body == demo.blobs[demo.layer], answer.status)


TESTS = [a_rule_takes_no_last_copy, a_rule_waits_for_an_upstream_that_does_not_answer, what_a_cluster_runs_is_not_even_asked_for,
         a_plan_takes_no_last_copy_either, eviction_leaves_what_is_held_or_locked, a_damaged_blob_is_repaired_from_upstream,
         what_upstream_lost_stays_in_quarantine]
