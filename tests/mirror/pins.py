"""Tags that stay behind upstream's on purpose: pins, quarantine, and who moves them."""
import contextlib
import json
import sqlite3
import threading

from hub import held, status
from registry import Failure, digest_of
from world import FOREVER, Image, World, code, eventually

DEMO = "docker.io/library/demo"


def updates(world, mirror="docker.io"):
    """What `stele mirror updates` says of one mirror."""
    done = world.mirror.command("mirror", "updates", mirror, "--json")
    return json.loads(done.stdout)["mirrors"][0]


def the_only(answer):
    if len(answer["updates"]) != 1:
        raise Failure(f"one update was expected: {answer}")
    return answer["updates"][0]


def approve(world, tag="1", digest=None, repository=DEMO):
    """Status and body of the API's answer, on the local socket."""
    body = {"repository": repository, "tag": tag}
    if digest:
        body["digest"] = digest
    return world.administer("POST", "/api/v1/mirrors/docker.io/approvals", body)


def events(world, action):
    """Actor, tag, old and new digest, and reason of each."""
    with contextlib.closing(sqlite3.connect(f"file:{world.mirror.data / 'stele.db'}?mode=ro", uri=True)) as catalog:
        return catalog.execute("SELECT actor, tag, old_digest, new_digest, reason FROM events WHERE action = ?", (action,)).fetchall()


def serves(world, image_, reference="1"):
    answer = world.manifest(reference)
    return answer.status == 200 and answer.body == image_.manifest and "Warning" not in answer.headers


def an_update_is_listed_and_moves_nothing(checks, binary, directory):
    """P8, P9: neither asking nor fetching what upstream names binds the tag to it."""
    with World(binary, directory, "pin-updates", tag_ttl="1s", more="tags: pin") as world:
        demo = world.image()
        world.pull(demo)
        before = world.hub.count("registry", "HEAD .*manifests/1$")
        eventually(lambda: updates(world) and world.hub.count("registry", "HEAD .*manifests/1$") > before, "it is compared")
        checks("upstream names the same: nothing to see", updates(world)["updates"] == [], updates(world))
        newer = world.image(layers=(1000, 200_000, 70), label="newer")
        eventually(lambda: updates(world)["updates"], "the update is seen")
        seen = the_only(updates(world))
        checks("what is held, and what upstream names", (seen["repository"], seen["tag"], seen["state"], seen["held"],
               seen["upstream"]) == (DEMO, "1", "pinned", demo.digest, newer.digest), seen)
        layers = seen["difference"][0]["layers"]
        checks("the difference in layers and bytes", (layers["added"], layers["removed"], layers["kept"]) == (3, 2, 0) and
               (layers["held_bytes"], layers["upstream_bytes"]) == (301_040, 201_110), layers)
        checks("the tag is what it was, without a Warning", serves(world, demo), world.manifest())
        head = world.manifest(method="HEAD")
        checks("HEAD too", head.headers["Docker-Content-Digest"] == demo.digest, head)
        checks("of the new image only the manifest was fetched", not any(world.stored(d) for d in set(newer.blobs) - set(demo.blobs)))
        world.hub.forget()
        again = the_only(updates(world))
        checks("its manifest is fetched once", world.hub.count("registry", "GET") == 0, world.hub.all_seen())
        checks("it is as old as it was", again["seen_at"] == seen["seen_at"], (again, seen))
        newest = world.image(label="newest")
        eventually(lambda: the_only(updates(world))["upstream"] == newest.digest, "upstream moves again")
        checks("another digest, another age", the_only(updates(world))["seen_at"] > seen["seen_at"])
        said = world.mirror.command("mirror", "updates").stdout
        checks("in words", f"{DEMO}:1" in said and "pinned" in said and "layers added" in said, said)


def of_an_index_the_platforms_are_compared(checks, binary, directory):
    with World(binary, directory, "pin-index", tag_ttl="1s", more="tags: pin") as world:
        def index(label, platforms, base):
            entries, images = [], {}
            for platform in platforms:
                one = images[platform] = Image(world.source, "library/demo", f"{platform}-{label}", label=label, base=base)
                entries.append({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": one.digest,
                                "size": len(one.manifest), "platform": {"os": "linux", "architecture": platform}})
            entries.append({**entries[0], "platform": {"os": "unknown", "architecture": "unknown"}})
            text = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
                               "manifests": entries}).encode()
            answer = world.source.request("PUT", "/v2/library/demo/manifests/1", text,
                                          {"Content-Type": "application/vnd.oci.image.index.v1+json"})
            if answer.status != 201:
                raise Failure(f"the index could not be pushed: {answer}")
            return text, images
        held_text, held_images = index("old", ("amd64", "arm64", "s390x"), "debian:12")
        checks("the index is pulled", world.manifest().body == held_text)
        checks("and one platform of it", world.pull(held_images["amd64"], held_images["amd64"].digest) == "")
        text, images = index("new", ("amd64", "arm64", "riscv64"), "debian:13")
        eventually(lambda: updates(world)["updates"], "the update is seen")
        seen = the_only(updates(world))
        changes = {change["platform"]: change for change in seen["difference"]}
        checks("platforms that changed, went and came", {name: change["change"] for name, change in changes.items()} ==
               {"linux/amd64": "changed", "linux/arm64": "changed", "linux/s390x": "removed", "linux/riscv64": "added"}, seen)
        layers = changes["linux/amd64"]["layers"]
        checks("layers and base of the platform that is here", layers and layers["added"] == 2 and
               (layers["held_base"], layers["upstream_base"]) == ("debian:12", "debian:13"), changes)
        checks("of what nobody pulled nothing is fetched", changes["linux/arm64"]["layers"] is None and
               world.hub.count("registry", images["arm64"].digest) == 0, changes)
        done = approve(world, digest=digest_of(text))
        checks("approved", done[0] == 200, done)
        world.hub.stop()
        checks("the tag is the new index", world.manifest().body == text)
        checks("whose platform is here whole, without upstream", world.pull(images["amd64"], images["amd64"].digest) == "")


def an_approved_tag_moves_with_its_content(checks, binary, directory):
    with World(binary, directory, "pin-approve", tag_ttl="1s", more="tags: pin") as world:
        demo = world.image()
        world.pull(demo)
        newer = world.image(label="newer")
        eventually(lambda: updates(world)["updates"], "the update is seen")
        answer = approve(world, digest=demo.digest)
        checks("another digest than upstream's: 409 that names upstream's", answer[0] == 409 and
               newer.digest in json.dumps(answer[1]), answer)
        checks("and nothing has moved", serves(world, demo) and not events(world, "tag.approve"))
        done = world.mirror.command("mirror", "approve", f"{DEMO}:1", "--digest", newer.digest)
        checks("approved", done.returncode == 0 and newer.digest in done.stdout and demo.digest in done.stdout, done)
        found = events(world, "tag.approve")
        checks("one event: who, from where to where", len(found) == 1 and found[0][1:4] == ("1", demo.digest, newer.digest) and
               found[0][0] and not found[0][0].startswith("mirror:") and found[0][4] == world.hub.url(), found)
        world.hub.stop()
        checks("all of it is here, without upstream", world.pull(newer) == "", world.pull(newer))
        world.hub.start()
        eventually(lambda: updates(world)["updates"] == [], "nothing is left to approve")
        answer = approve(world)
        checks("nothing was seen that could be approved: 409", answer[0] == 409, answer)
        answer = approve(world, digest=newer.digest)
        checks("once more: it is there already", (answer[0], answer[1].get("previous")) == (200, newer.digest) and
               len(events(world, "tag.approve")) == 1, answer)
        answer = approve(world, tag="other")
        checks("a tag that is not held: 404", answer[0] == 404, answer)
        answer = world.administer("POST", "/api/v1/mirrors/nowhere.example/approvals", {"repository": DEMO, "tag": "1"})
        checks("a mirror that is not there: 404", answer[0] == 404, answer)
        answer = approve(world, repository="ours/demo")
        checks("a repository of nobody's mirror: 400", answer[0] == 400, answer)


def what_upstream_names_meanwhile_is_not_approved(checks, binary, directory):
    """Approved is what was looked at, not what happens to be there."""
    with World(binary, directory, "pin-race", tag_ttl="1s", more="tags: pin") as world:
        demo = world.image()
        world.pull(demo)
        looked_at = world.image(label="looked-at")
        eventually(lambda: updates(world)["updates"], "the update is seen")
        since = world.image(label="since")
        answer = approve(world)
        checks("409, for it is another one now", answer[0] == 409 and since.digest in json.dumps(answer[1]) and
               looked_at.digest in json.dumps(answer[1]), answer)
        checks("the tag has not moved", serves(world, demo))


def an_approval_without_its_content_moves_nothing(checks, binary, directory):
    """I6: content is here and verified before the tag names it."""
    for name, fault in (("lost", status(404)), ("wrong", status(200, body=b"x" * 300_000)), ("limited", status(429))):
        with World(binary, directory, f"pin-{name}", tag_ttl="1s", more="tags: pin") as world:
            demo = world.image()
            world.pull(demo)
            newer = world.image(label="newer")
            eventually(lambda: updates(world)["updates"], "the update is seen")
            world.hub.fault("cdn", newer.layer, fault)
            world.hub.fault("registry", f"blobs/{newer.layer}", fault)
            answer = approve(world, digest=newer.digest)
            checks(f"a layer is {name}: refused", answer[0] in (429, 502, 503), answer)
            checks(f"a layer is {name}: the tag has not moved", serves(world, demo) and not events(world, "tag.approve"))


def a_cleared_pin_is_approved_too(checks, binary, directory):
    """M21: upstream has lost what the pin names; the 404 says how to go on, and that works."""
    with World(binary, directory, "updates-lost", tag_ttl="1s", more="tags: pin") as world:
        demo = world.image()
        world.pull(demo)
        for digest in demo.blobs:
            world.wait_stored(digest)
        newer = world.image(label="newer")
        world.evict()
        world.hub.fault("registry", demo.digest, status(404))
        answer = world.manifest()
        checks("404 that names the digest and the way on", answer.status == 404 and code(answer) == "MANIFEST_UNKNOWN" and
               demo.digest in answer.body.decode() and "mirror approve" in answer.body.decode(), answer)
        eventually(lambda: updates(world)["updates"], "the update is seen")
        seen = the_only(updates(world))
        checks("listed, without a difference and why", seen["upstream"] == newer.digest and seen["difference"] is None and
               seen["problem"], seen)
        done = approve(world)
        checks("approved", done[0] == 200 and done[1]["previous"] is None, done)
        checks("served", serves(world, newer))


def a_tag_that_upstream_lost_is_listed(checks, binary, directory):
    with World(binary, directory, "pin-gone", tag_ttl="1s", more="tags: pin") as world:
        demo = world.image()
        world.pull(demo)
        world.hub.fault("registry", "HEAD .*manifests/1$", status(404))
        eventually(lambda: updates(world)["updates"], "it is seen to be gone")
        seen = the_only(updates(world))
        checks("gone, and held", (seen["state"], seen["upstream"], seen["held"]) == ("gone", None, demo.digest), seen)
        checks("it is served on", serves(world, demo))
        answer = approve(world, digest=demo.digest)
        checks("nothing to approve there: 404", answer[0] == 404, answer)


def upstream_is_asked_within_its_limits(checks, binary, directory):
    with World(binary, directory, "pin-paced", tag_ttl=FOREVER, more="tags: pin") as world:
        images = {tag: world.image(tag=tag) for tag in ("1", "2", "3")}
        for tag, one in images.items():
            world.pull(one, tag)
        world.hub.forget()
        updates(world)
        checks("what was compared within tag_ttl is not asked for", world.hub.all_seen() == [], world.hub.all_seen())
    with World(binary, directory, "updates-limited", tag_ttl="1s", more="tags: pin") as world:
        images = {tag: world.image(tag=tag) for tag in ("1", "2", "3")}
        for tag, one in images.items():
            world.pull(one, tag)
        newer = world.image(tag="1", label="newer")
        eventually(lambda: updates(world)["updates"], "the update is seen")
        world.hub.fault("registry", "manifests", status(429, {"Retry-After": "3000"}))
        eventually(lambda: updates(world)["problem"], "upstream limits")
        world.hub.forget()
        limited = updates(world)
        checks("limited: left alone", world.hub.count("registry") == 0, world.hub.all_seen())
        checks("and what was seen is still told, with the reason", the_only(limited)["upstream"] == newer.digest and
               "429" in limited["problem"], limited)
        answer = approve(world)
        checks("nothing is approved that upstream cannot be asked for", answer[0] == 429, answer)


def a_quarantined_change_waits(checks, binary, directory):
    with World(binary, directory, "quarantine", tag_ttl="1s", more="quarantine: 365d") as world:
        demo = world.image()
        checks("a first pull is served", world.pull(demo) == "")
        newer = world.image(label="newer")
        world.wait_expired()
        checks("the change waits, without a Warning", serves(world, demo), world.manifest())
        checks("what waits can be had by digest", world.pull(newer, newer.digest) == "")
        checks("which does not bind the tag", serves(world, demo), world.manifest())
        seen = the_only(updates(world))
        year = 365 * 86400
        checks("listed with what is left", seen["state"] == "quarantined" and seen["upstream"] == newer.digest and
               0 <= year - seen["left"] - seen["age"] <= 1 and seen["admitted_at"], seen)
        newest = world.image(label="newest")
        eventually(lambda: the_only(updates(world))["upstream"] == newest.digest, "upstream moves again")
        checks("which begins anew", the_only(updates(world))["admitted_at"] > seen["admitted_at"], seen)
        removed = world.evict()
        checks("the content is cleared away", removed in (200, 202, 204), removed)
        checks("it comes back as what was held", serves(world, demo), world.manifest())
        done = approve(world, digest=newest.digest)
        checks("approval ends it early", done[0] == 200 and serves(world, newest), done)
        checks("nothing waits any more", updates(world)["updates"] == [], updates(world))


def a_quarantine_ends(checks, binary, directory):
    with World(binary, directory, "quarantine-over", tag_ttl="1s", more="quarantine: 2s") as world:
        demo = world.image()
        world.pull(demo)
        newer = world.image(label="newer")
        eventually(lambda: updates(world)["updates"], "the change is seen, and waits")
        eventually(lambda: serves(world, newer), "it is admitted")
        checks("and there is nothing left to see", updates(world)["updates"] == [], updates(world))
        checks("by the mirror itself", not events(world, "tag.approve"))


def what_was_said_in_quarantine_does_not_count_after_it(checks, binary, directory):
    """The tag follows when its time has come, however long upstream's word is believed otherwise."""
    with World(binary, directory, "quarantine-ttl", tag_ttl="1s", more="quarantine: 365d") as world:
        demo = world.image()
        world.pull(demo)
        newer = world.image(label="newer")
        eventually(lambda: updates(world)["updates"], "the change is seen, and waits")
        checks("it waits", serves(world, demo), world.manifest())
        world.mirror.stop()
        config = world.mirror.directory / "stele.yaml"
        config.write_text(config.read_text().replace("tag_ttl: 1s", f"tag_ttl: {FOREVER}").replace("quarantine: 365d", "quarantine: 1s"))
        world.mirror.start()
        eventually(lambda: serves(world, newer), "it is admitted")


def a_pull_does_not_undo_an_approval(checks, binary, directory):
    """A cleared pin is on its way back while somebody approves another digest."""
    with World(binary, directory, "pin-crossing", tag_ttl="1s", more="tags: pin") as world:
        demo = world.image()
        world.pull(demo)
        for digest in demo.blobs:
            world.wait_stored(digest)
        newer = world.image(label="newer")
        world.evict()
        gate = threading.Event()
        world.hub.fault("registry", f"GET .*manifests/{demo.digest}", held(10, gate))
        pulling = threading.Thread(target=world.manifest)
        pulling.start()
        eventually(lambda: world.hub.count("registry", f"GET .*manifests/{demo.digest}"), "the pull is on its way")
        done = approve(world, digest=newer.digest)
        checks("approved meanwhile", done[0] == 200, done)
        gate.set()
        pulling.join()
        checks("and so it stays", serves(world, newer), world.manifest())
        moves = [event[3] for action in ("tag.set", "tag.approve") for event in events(world, action)]
        checks("the tag moved once, by the approval", moves == [demo.digest, newer.digest], moves)


def a_page_asks_for_so_many_and_no_more(checks, binary, directory):
    with World(binary, directory, "pin-pages", tag_ttl=FOREVER, more="tags: pin") as world:
        demo, most, tags = world.image(), 50, [f"t{number:02}" for number in range(60)]
        for tag in tags:
            world.source.push_manifest("library/demo", tag, demo.manifest)
            world.manifest(tag)
        newer = world.image(tag=tags[-1], label="newer")
        world.mirror.stop()
        with contextlib.closing(sqlite3.connect(world.mirror.data / "stele.db")) as catalog:
            catalog.execute("UPDATE mirrored_tags SET compared_at = 0")     # all are due
            catalog.commit()
        world.mirror.start()

        def page(last=""):
            world.hub.forget()
            answer = world.administer("GET", "/api/v1/mirrors/docker.io/updates" + last)[1]
            return answer, len(set(world.hub.paths("registry", "HEAD")))   # the first one is answered by 401
        first, asked = page()
        checks("so many are asked for, and the page ends there", (asked, first["next"], first["updates"]) ==
               (most, f"{DEMO}:{tags[most - 1]}", []), (asked, first))
        second, asked = page("?last=" + first["next"])
        checks("the next page asks for the rest", (asked, second["next"]) == (len(tags) - most, None), (asked, second))
        checks("and tells what it saw", the_only(second)["upstream"] == newer.digest, second)
        again, asked = page()
        checks("what was compared is not asked for again", (asked, again["next"], len(again["updates"])) == (0, None, 1), (asked, again))


def a_mirror_that_follows_has_nothing_to_approve(checks, binary, directory):
    with World(binary, directory, "follows", tag_ttl=FOREVER) as world:
        demo = world.image()
        world.pull(demo)
        world.image(label="newer")
        answer = updates(world)
        checks("nothing is listed", answer["updates"] == [] and answer["tags"] == "follow" and answer["quarantine"] == 0, answer)
        answer = approve(world, digest=demo.digest)
        checks("and approving is refused", answer[0] == 409 and "follows" in json.dumps(answer[1]), answer)


def a_kill_while_content_comes_moves_nothing(checks, binary, directory):
    """I6, I1: the tag moves when all is here, or not."""
    with World(binary, directory, "pin-killed", tag_ttl="1s", more="tags: pin") as world:
        demo = world.image()
        world.pull(demo)
        newer = world.image(label="newer")
        eventually(lambda: updates(world)["updates"], "the update is seen")
        gate = threading.Event()
        world.hub.fault("cdn", newer.layer, held(1000, gate))
        asking = threading.Thread(target=lambda: ignoring(lambda: approve(world, digest=newer.digest)))
        asking.start()
        eventually(lambda: world.hub.count("cdn", newer.layer), "the layer is on its way")
        world.mirror.kill()
        asking.join()
        gate.set()
        world.mirror.start()
        checks("the tag is what it was", serves(world, demo), world.manifest())
        checks("no event tells of more", not events(world, "tag.approve"))
        world.hub.mend()
        done = approve(world, digest=newer.digest)
        checks("asked again, it moves", done[0] == 200 and serves(world, newer), done)


def tags_have_times_of_their_own(checks, binary, directory):
    """M27: what never moves is asked for once."""
    with World(binary, directory, "ttls", tag_ttl='{"@semver": never, "edge*": 1s}') as world:
        release, edge = world.image(tag="1.2.3"), world.image(tag="edge")
        world.pull(release, "1.2.3")
        world.pull(edge, "edge")
        world.hub.forget()
        moved = world.image(tag="edge", label="moved")
        eventually(lambda: serves(world, moved, "edge"), "the tag that moves is followed")
        checks("the version is what it was", serves(world, release, "1.2.3"))
        checks("and not asked for", world.hub.count("registry", "manifests/1.2.3$") == 0, world.hub.all_seen())
        world.hub.stop()
        checks("nor missed when upstream is gone", serves(world, release, "1.2.3"))


def ignoring(work):
    try:
        work()
    except (OSError, ValueError):
        pass    # the server was killed


TESTS = [an_update_is_listed_and_moves_nothing, of_an_index_the_platforms_are_compared, an_approved_tag_moves_with_its_content,
         what_upstream_names_meanwhile_is_not_approved, an_approval_without_its_content_moves_nothing, a_cleared_pin_is_approved_too,
         a_tag_that_upstream_lost_is_listed, upstream_is_asked_within_its_limits, a_quarantined_change_waits, a_quarantine_ends, what_was_said_in_quarantine_does_not_count_after_it,
         a_pull_does_not_undo_an_approval, a_page_asks_for_so_many_and_no_more,
         a_mirror_that_follows_has_nothing_to_approve, a_kill_while_content_comes_moves_nothing, tags_have_times_of_their_own]
