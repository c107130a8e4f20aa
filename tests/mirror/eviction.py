"""Room is made by age and by size, for what can be fetched again alone; lifecycle rules apply to mirrors too."""
import json
import re
import time

from hub import status
from promotion import Platforms, promote
from warm import HERE, warm
from world import World, eventually

DEMO = HERE + "demo"
SHORT_LEASE = "gc: {lease: 1s}\n"


def tags(world, repository=DEMO):
    """Those that are here; asking is no pull."""
    answer = world.get(f"/api/v1/repositories/{repository.replace('/', '%2F')}/tags")
    return [tag["tag"] for tag in json.loads(answer.body)["tags"]] if answer.status == 200 else []


def job(world):
    said = json.loads(world.mirror.command("status", "--json").stdout)
    return next(job for job in said["jobs"] if job["name"] == "eviction")


def evicted(world):
    return int(float(re.search(r'^stele_mirror_evicted_total{mirror="docker.io"} (\S+)$', world.get("/metrics").body.decode(), re.M)[1]))


def a_lifecycle_rule_expires_mirrored_tags(checks, binary, directory):
    policy = directory / "rule" / "m" / "policy.yaml"
    policy.parent.mkdir(parents=True)
    policy.write_text("version: 1\nlifecycle: {keep_last: 0, max_fraction: 1}\nlifecycle_rules:\n"
                      "  - {name: cache, repositories: [\"docker.io/**\"], expire: [{tags: [\"old-*\"], older_than: 1s}]}\n")
    with World(binary, directory, "rule", mirror_config=SHORT_LEASE + f"policy: {policy}\n") as world:
        old, young = world.image(tag="old-1", label="old"), world.image(tag="new", label="new")
        checks("both are pulled", not (wrong := world.pull(old, "old-1") or world.pull(young, "new")), wrong)

        def expired():
            world.mirror.command("lifecycle", "run")
            return tags(world) == ["new"]
        eventually(expired, "the rule's tag goes")
        gone = world.mirror.command("why", f"{DEMO}:old-1")
        checks("and its record says by which rule", "cache" in gone.stdout, gone)
        world.hub.forget()
        checks("the next pull fetches it again", not (wrong := world.pull(old, "old-1")), wrong)
        checks("from upstream", world.hub.count("registry", f"GET.*{old.digest}") == 1, world.hub.all_seen())
        checks("it has its tag again", tags(world) == ["new", "old-1"], tags(world))


def what_a_mirror_keeps_is_no_quotas_concern(checks, binary, directory):
    """Its own size bounds it; a promotion out of it is held to the quota of where it goes."""
    policy = directory / "quota.yaml"
    policy.write_text("version: 1\nquotas: [{repositories: [\"**\"], storage: 1}]\n")
    with World(binary, directory, "quota", mirror_config=f"policy: {policy}\n") as world:
        image = world.image(tag="new")
        checks("an image is pulled", not (wrong := world.pull(image, "new")), wrong)
        checks("and has its tag here", tags(world) == ["new"], tags(world))
        refused = world.mirror.command("tag", "promote", f"{DEMO}:new", "team/app:new")
        checks("but does not go where there is no room", refused.returncode == 3 and "team/app may hold 1 byte" in refused.stderr, refused)


def a_first_pull_through_the_mirror_is_use(checks, binary, directory):
    """The lifecycle rule sees the pull that brought the image, on the tag, the index and its child (L32)."""
    policy = directory / "first-pull.yaml"
    policy.write_text("version: 1\nlifecycle: {keep_last: 0, max_fraction: 1}\nlifecycle_rules:\n"
                      "  - {name: unused, repositories: [\"docker.io/**\"], expire: [{tags: [\"*\"], not_pulled_for: 7d}]}\n")
    with World(binary, directory, "first-pull", mirror_config=SHORT_LEASE + f"policy: {policy}\n") as world:
        index = Platforms(world)
        child = index.images["linux/amd64"]
        checks("by tag, then the child by digest, as clients do", world.manifest().status == 200 and
               world.manifest(child.digest).status == 200 and all(world.blob(digest).status == 200 for digest in child.blobs))

        def verdicts(days):
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + days * 86400))
            plan = json.loads(world.mirror.command("lifecycle", "plan", "--json", "--at", at).stdout)
            return {(item["tag"], item["digest"]): (item["verdict"], item["last_used"]) for item in plan["items"]}
        wanted = {("1", index.digest), (None, child.digest)}
        eventually(lambda: wanted <= set(verdicts(6)) or ("1", index.digest) in verdicts(6), "the pulls are written down")
        soon, later = verdicts(6), verdicts(8)
        checks("six days later all of it is kept", {verdict for verdict, _ in soon.values()} == {"KEEP"}, soon)
        checks("as last used by that pull", soon[("1", index.digest)][1] is not None, soon)
        checks("eight days later it may go", later[("1", index.digest)][0] == "EXPIRE", later)


def what_was_not_used_for_long_goes_and_comes_back(checks, binary, directory):
    """I5."""
    with World(binary, directory, "age", more="evict_after: 2s", mirror_config=SHORT_LEASE) as world:
        demo, used = world.image(tag="1", label="a"), world.image(tag="2", label="b")
        report = {"images": [f"{DEMO}@{used.digest}"]}
        done = warm(world, f"{DEMO}:1\n{DEMO}:2\n")
        answer = world.mirror.request("PUT", "/api/v1/in-use/prod", json.dumps(report).encode(), {"Content-Type": "application/json"})
        checks("both are here, one is in use", done.returncode == 0 and answer.status // 100 == 2, (done, answer))
        answer = promote(world)
        checks("the other was promoted", answer.status == 201, answer)
        eventually(lambda: tags(world) == ["2"], "what nobody uses goes")
        eventually(lambda: evicted(world) == 1, "it is counted")
        checks("its record",
               "mirror docker.io" in world.mirror.command("lifecycle", "runs").stdout, world.mirror.command("lifecycle", "runs"))
        why = world.mirror.command("why", f"{DEMO}:1")
        checks("why it went", "making room in mirror docker.io" in why.stdout, why)
        checks("the job is listed", job(world)["runs"] > 0 and not job(world)["problem"], job(world))
        world.hub.forget()
        checks("it comes back when it is pulled", not (wrong := world.pull(demo)), wrong)
        checks("from upstream", world.hub.count("registry", f"GET.*{demo.digest}") == 1, world.hub.all_seen())
        world.hub.stop()
        for digest, bytes_ in demo.blobs.items():
            answer = world.blob(digest, "base/demo")
            checks("what another repository needs stays", answer.status == 200 and answer.body == bytes_, answer.status)
        checks("what a cluster runs stays", "2" in tags(world))


def what_upstream_lost_stays(checks, binary, directory):
    """M20, I5."""
    with World(binary, directory, "lost", more="evict_after: 2s", mirror_config=SHORT_LEASE) as world:
        first, second = world.image(tag="1", label="a"), world.image(tag="2", label="b")
        one = warm(world, f"{DEMO}:1\n")
        world.hub.fault("registry", "HEAD.*manifests/1$", status(404))
        two = warm(world, f"{DEMO}:2\n")
        checks("both are here", one.returncode == two.returncode == 0, (one, two))
        eventually(lambda: "2" not in tags(world), "what upstream has goes")
        eventually(lambda: world.hub.count("registry", "HEAD.*manifests/1$") > 1, "upstream was asked for the other")
        checks("what upstream lost stays", tags(world) == ["1"], tags(world))
        checks("and is served", world.manifest("1").body == first.manifest)
        checks("(the other one exists)", second.digest)


def an_upstream_that_cannot_be_asked_loses_nothing(checks, binary, directory):
    """M20, I5."""
    with World(binary, directory, "unasked", more="evict_after: 2s", mirror_config=SHORT_LEASE) as world:
        demo = world.image()
        done = warm(world, f"{DEMO}:1\n")
        world.hub.stop()
        checks("it is here", done.returncode == 0 and tags(world) == ["1"], done)
        eventually(lambda: "keeps what it has" in (job(world)["problem"] or ""), "the job says that it cannot ask")
        checks("nothing went", tags(world) == ["1"] and evicted(world) == 0)
        checks("it is served", not (wrong := world.pull(demo)), wrong)


def a_pin_survives_eviction(checks, binary, directory):
    """P8, M21, I3."""
    with World(binary, directory, "pinned", more="tags: pin\nevict_after: 2s", mirror_config=SHORT_LEASE) as world:
        first = world.image(label="first")
        checks("pinned at the first", warm(world, f"{DEMO}:1\n").returncode == 0)
        second = world.image(label="second")
        eventually(lambda: tags(world) == [], "it goes")
        world.hub.forget()
        answer = world.manifest("1")
        checks("the tag comes back as the digest that it had", answer.body == first.manifest and first.digest != second.digest, answer)
        checks("by digest: upstream's tag was not asked for", world.hub.count("registry", "manifests/1$") == 0, world.hub.all_seen())


def the_least_recently_used_goes_first(checks, binary, directory):
    with World(binary, directory, "size", more="max_size: 700KiB", mirror_config=SHORT_LEASE) as world:
        images = {str(number): world.image(tag=str(number), label=str(number)) for number in (1, 2, 3)}
        for tag in images:
            checks(f"{tag} is fetched", warm(world, f"{DEMO}:{tag}\n").returncode == 0)
        eventually(lambda: tags(world) == ["2", "3"], "the oldest goes, and no more than has to")
        eventually(lambda: evicted(world) == 1, "one went, and is counted")
        checks("it comes back when it is pulled", not (wrong := world.pull(images["1"])), wrong)
        eventually(lambda: tags(world) == ["1", "3"], "then the next one goes")
        eventually(lambda: evicted(world) == 2, "both are counted")
        standing = json.loads(world.mirror.command("mirror", "status", "--json").stdout)["mirrors"][0]
        checks("the status says so", standing["evicted_manifests"] == 2 and standing["evicted_bytes"] > 600_000, standing)


TESTS = [a_first_pull_through_the_mirror_is_use, what_a_mirror_keeps_is_no_quotas_concern, a_lifecycle_rule_expires_mirrored_tags, what_was_not_used_for_long_goes_and_comes_back, what_upstream_lost_stays,
         an_upstream_that_cannot_be_asked_loses_nothing, a_pin_survives_eviction, the_least_recently_used_goes_first]
