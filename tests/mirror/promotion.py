"""Promotion out of a mirror: whole or refused, with its provenance, whatever was pulled before."""
import json
import re

from hub import status, wrong_bytes
from registry import IMAGE, digest_of, image
from world import World, Image, code

INDEX = "application/vnd.oci.image.index.v1+json"
SOURCE = "docker.io/library/demo"


class Platforms:
    """An index of images for several platforms, each with a layer of its own, under one tag."""

    def __init__(self, world, names=("linux/amd64", "linux/arm64"), tag="1"):
        self.images = {name: Image(world.source, "library/demo", f"{tag}-child-{number}", label=name)
                       for number, name in enumerate(names)}
        entries = []
        for name, child in self.images.items():
            system, machine, *variant = name.split("/")
            platform = {"os": system, "architecture": machine, **({"variant": variant[0]} if variant else {})}
            entries.append({"mediaType": IMAGE, "digest": child.digest, "size": len(child.manifest), "platform": platform})
        self.manifest = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
        self.digest = digest_of(self.manifest)
        world.source.request("PUT", f"/v2/library/demo/manifests/{tag}", self.manifest, {"Content-Type": INDEX})


def promote(world, reference="1", to="base/demo", source=SOURCE, **more):
    return world.mirror.request("POST", f"/api/v1/repositories/{source}/promote",
                                json.dumps({"reference": reference, "to": to, **more}).encode(),
                                {"Content-Type": "application/json"})


def differs(world, images, repository="base/demo"):
    """What of the images the mirror's own repository does not have bit for bit."""
    for child in images:
        answer = world.get(f"/v2/{repository}/manifests/{child.digest}")
        if answer.status != 200 or answer.body != child.manifest:
            return f"{child.digest}: {answer}"
        for digest, bytes_ in child.blobs.items():
            answer = world.get(f"/v2/{repository}/blobs/{digest}")
            if answer.status != 200 or answer.body != bytes_:
                return f"{digest}: {answer.status}"
    return ""


def tags(world, repository="base/demo"):
    answer = world.get(f"/v2/{repository}/tags/list")
    return json.loads(answer.body).get("tags") if answer.status == 200 else []


def what_was_never_pulled_is_promoted_whole(checks, binary, directory):
    with World(binary, directory, "never") as world:
        index = Platforms(world)
        done = world.mirror.command("promote", f"{SOURCE}:1", "base/demo")
        checks("by the command of the documentation", done.returncode == 0 and f"{index.digest} is now base/demo:1" in done.stdout,
               done)
        checks("it says what was fetched", "fetched for it from http://" in done.stdout and "3 manifests" in done.stdout, done.stdout)
        answer = world.get("/v2/base/demo/manifests/1")
        checks("the tag is upstream's index", answer.body == index.manifest and
               answer.headers["Docker-Content-Digest"] == index.digest, answer)
        checks("with every platform, bit for bit", not (wrong := differs(world, index.images.values())), wrong)
        checks("each blob was asked for once", world.hub.count("cdn", "GET") == sum(len(i.blobs) for i in index.images.values()),
               world.hub.all_seen())
        history = json.loads(world.get("/api/v1/repositories/base/demo/tags/1/history").body)["history"][0]
        checks("its record: promoted, from where, which digest, of which upstream", history["action"] == "tag.promote" and
               history["reason"] == f"{SOURCE}:1@{index.digest} of {world.hub.url()}", history)
        world.hub.stop()
        world.evict()
        checks("it outlives the mirror's copy", not (wrong := differs(world, index.images.values())), wrong)


def what_is_here_is_not_fetched_again(checks, binary, directory):
    with World(binary, directory, "again") as world:
        index = Platforms(world)
        amd64 = index.images["linux/amd64"]
        world.manifest("1")
        checks("one platform was pulled", not (wrong := world.pull(amd64, amd64.digest)), wrong)
        for digest in amd64.blobs:
            world.wait_stored(digest)
        world.hub.forget()
        answer = promote(world)
        said = json.loads(answer.body)
        checks("promoted", answer.status == 201 and said["digest"] == index.digest and said["manifests"] == 3, answer)
        checks("fetched was the other platform alone", said["mirrored"]["fetched_manifests"] == 1 and
               said["mirrored"]["fetched_blobs"] == len(index.images["linux/arm64"].blobs) and
               world.hub.count("cdn", "GET") == len(index.images["linux/arm64"].blobs), said)
        world.hub.stop()
        answer = promote(world, to="base/second", upstream="never")
        checks("again, upstream stopped and not to be asked: from what is here", answer.status == 201 and
               json.loads(answer.body)["mirrored"]["fetched_bytes"] == 0, answer)
        checks("whole there too", not (wrong := differs(world, index.images.values(), "base/second")), wrong)
        answer = promote(world, reference=index.digest, to="base/third", tags=["stable"], upstream="never")
        checks("by digest, under another tag", answer.status == 201 and tags(world, "base/third") == ["stable"], answer)


def referrers_and_signatures_go_along(checks, binary, directory):
    with World(binary, directory, "attached") as world:
        demo = world.image()

        def attached(label, blob, subject=True):
            config, _ = world.source.push_blob("library/demo", blob)
            manifest = json.loads(image((config, len(blob)), label=label))
            if subject:
                manifest["subject"] = {"mediaType": IMAGE, "digest": demo.digest, "size": len(demo.manifest)}
            return json.dumps(manifest).encode()
        sbom, signature = attached("sbom", b"an sbom"), attached("cosign", b"a signature", subject=False)
        world.source.push_manifest("library/demo", digest_of(sbom), sbom)
        tag = demo.digest.replace(":", "-") + ".sig"
        world.source.push_manifest("library/demo", tag, signature)
        answer = promote(world)
        checks("promoted with both", answer.status == 201 and json.loads(answer.body)["manifests"] == 3, answer)
        listed = json.loads(world.get(f"/v2/base/demo/referrers/{demo.digest}").body)["manifests"]
        checks("the SBOM is listed", [entry["digest"] for entry in listed] == [digest_of(sbom)], listed)
        checks("the signature has its tag", tags(world) == sorted(["1", tag]), tags(world))
        checks("and its blob", world.get(f"/v2/base/demo/blobs/{digest_of(b'a signature')}").body == b"a signature")


def what_is_not_whole_is_refused(checks, binary, directory):
    with World(binary, directory, "refused") as world:
        def refused(what, tag, where, pattern, action, wanted, *words):
            index = Platforms(world, tag=tag)
            part = index.images["linux/arm64"]
            name = part.digest if "manifests" in pattern else part.layer
            world.hub.fault(where, pattern + name, action)
            answer = promote(world, tag)
            checks(f"{what}: {wanted}, and which", answer.status == wanted and name in answer.message and
                   all(word in answer.message for word in words), answer)
            checks(f"{what}: nothing of it is in the target", world.get("/v2/base/demo/tags/list").status == 404 and
                   world.get(f"/v2/base/demo/manifests/{index.images['linux/amd64'].digest}").status == 404)
            return name, answer
        lost, _ = refused("a platform that upstream lost", "a", "registry", "GET.*manifests/", status(404), 404,
                          "upstream does not have it")
        done = world.mirror.command("promote", f"{SOURCE}:a", "base/demo")
        checks("the command says it, status 4", done.returncode == 4 and lost in done.stderr, done)
        refused("a layer that upstream lost", "b", "registry", "GET.*blobs/", status(404), 404, "upstream does not have it")
        lost, _ = refused("a layer of wrong bytes", "c", "cdn", "", wrong_bytes, 502, "other bytes")
        answer = promote(world, "c", upstream="never")
        checks("what is not here and not to be asked for: 404, and which", answer.status == 404 and
               lost in answer.message and "it is not here" in answer.message, answer)
        answer = promote(world, "none")
        checks("a tag that upstream does not have", answer.status == 404 and code(answer) == "MANIFEST_UNKNOWN", answer)
        answer = promote(world, "a", upstream="perhaps")
        checks("neither ask nor never", answer.status == 400 and "ask or never" in answer.message, answer)
        _, answer = refused("upstream limits", "d", "registry", "GET.*blobs/", status(429, {"Retry-After": "1234"}), 429)
        checks("its Retry-After is told", re.fullmatch(r"12[23]\d", answer.headers["Retry-After"]), answer.headers)


def an_upstream_that_is_gone_refuses_or_is_not_asked(checks, binary, directory):
    with World(binary, directory, "departed") as world:
        demo = world.image()
        checks("pulled", not (wrong := world.pull(demo)), wrong)
        for digest in demo.blobs:
            world.wait_stored(digest)
        world.hub.stop()
        answer = promote(world)
        checks("whether there are signatures cannot be known: refused, and what helps", answer.status == 503 and
               "--offline" in answer.message and answer.headers["Retry-After"], answer)
        checks("nothing of it in the target", world.get("/v2/base/demo/tags/list").status == 404)
        done = world.mirror.command("promote", "--offline", f"{SOURCE}:1", "base/demo")
        checks("--offline: what is here is whole, and promoted", done.returncode == 0 and
               not (wrong := differs(world, [demo])), (done, wrong if done.returncode == 0 else ""))


def nothing_is_promoted_into_a_mirror(checks, binary, directory):
    with World(binary, directory, "into", more="deny: [library/secret]") as world:
        demo = world.image()
        config, _ = world.mirror.push_blob("own/app", b"config")
        world.mirror.push_manifest("own/app", "1", image((config, 6)))
        for source, to in (("own/app", "docker.io/library/app"), (SOURCE, "docker.io/library/other"), (SOURCE, SOURCE)):
            answer = promote(world, source=source, to=to, tags=["x"])
            checks(f"{source} to {to}: refused", answer.status == 405 and "mirror" in answer.message, answer)
        checks("and nobody was asked", not world.hub.all_seen(), world.hub.all_seen())
        answer = promote(world, source="docker.io/library/secret")
        checks("what the mirror denies is not fetched for a promotion", answer.status == 403 and not world.hub.all_seen(), answer)
        answer = promote(world, source="docker.io/demo")
        checks("the short name is the mirror's repository", answer.status == 201 and
               json.loads(answer.body)["from"] == SOURCE and not (wrong := differs(world, [demo])), answer)


TESTS = [what_was_never_pulled_is_promoted_whole, what_is_here_is_not_fetched_again, referrers_and_signatures_go_along,
         what_is_not_whole_is_refused, an_upstream_that_is_gone_refuses_or_is_not_asked, nothing_is_promoted_into_a_mirror]
