"""Lists of a mirror: upstream's tags, and referrers, of which an empty list is never a guess."""
import json

from hub import status
from registry import IMAGE, digest_of, image
from world import World, code, eventually

INDEX = "application/vnd.oci.image.index.v1+json"


def tags_of(answer):
    return json.loads(answer.body).get("tags")


def listed(answer):
    return [entry["digest"] for entry in json.loads(answer.body).get("manifests", ())]


def the_tags_are_upstreams(checks, binary, directory):
    """P11, M18."""
    with World(binary, directory, "tags", tag_ttl="1s") as world:
        demo = world.image()
        wanted = sorted(["1"] + [f"v{number}" for number in range(250)])
        for tag in wanted:
            world.source.push_manifest("library/demo", tag, demo.manifest)
        path = "/v2/docker.io/library/demo/tags/list"
        checks("none pulled: all of upstream's, in byte order", tags_of(answer := world.get(path)) == wanted, answer)
        pages, target = [], f"{path}?n=100"
        while target:
            answer = world.get(target)
            pages += tags_of(answer)
            link = answer.headers["Link"]
            target = link[1:link.index(">")] if link else None
        checks("the same by pages", pages == wanted, len(pages))
        world.pull(demo)
        world.hub.stop()
        eventually(lambda: world.get(path).headers["Warning"], "the list's time is over")
        answer = world.get(path)
        checks("upstream stopped: all of them, with Warning", tags_of(answer) == wanted, answer)
        world.mirror.stop()
        world.mirror.start()
        answer = world.get(path)
        checks("never listed since the start, upstream stopped: what is here, with Warning",
               tags_of(answer) == ["1"] and answer.headers["Warning"], answer)


def a_list_in_pages_is_followed(checks, binary, directory):
    with World(binary, directory, "pages") as world:
        world.image()

        def page(handler, _):
            second = "last=b" in handler.path
            body = json.dumps({"name": "library/demo", "tags": ["c", "not a tag\"", "a"] if second else ["b"]}).encode()
            more = {} if second else {"Link": '<http://elsewhere.example/v2/library/demo/tags/list?last=b&n=1>; rel="next"'}
            handler.answer(200, {"Content-Type": "application/json", **more}, body)
        world.hub.fault("registry", "tags/list", page)
        answer = world.get("/v2/docker.io/library/demo/tags/list")
        checks("both pages, from upstream's own host, without what is no tag", tags_of(answer) == ["a", "b", "c"], answer)


def unknown_repositories_have_no_tags(checks, binary, directory):
    with World(binary, directory, "notags") as world:
        world.image()
        answer = world.get("/v2/docker.io/library/none/tags/list")
        checks("404 NAME_UNKNOWN", answer.status == 404 and code(answer) == "NAME_UNKNOWN", answer)


def referrers_are_upstreams(checks, binary, directory):
    """P10, M17 (a), (c), (d)."""
    with World(binary, directory, "referrers", tag_ttl="1s") as world:
        demo = world.image()
        signature = json.loads(image((digest_of(b"{}"), 2)))
        world.source.push_blob("library/demo", b"{}")
        signature |= {"artifactType": "application/x.signature",
                      "subject": {"mediaType": IMAGE, "digest": demo.digest, "size": len(demo.manifest)}}
        signature = json.dumps(signature).encode()
        world.source.push_manifest("library/demo", digest_of(signature), signature)
        path = f"/v2/docker.io/library/demo/referrers/{demo.digest}"
        world.hub.fault("registry", "referrers", status(503))
        answer = world.get(path)
        checks("cold, upstream does not answer: 503, never an empty list", answer.status == 503, answer)
        world.hub.mend()
        eventually(lambda: world.get(path).status == 200, "upstream is asked again")
        answer = world.get(path)
        checks("upstream's referrers", listed(answer) == [digest_of(signature)] and answer.headers["Content-Type"] == INDEX,
               answer)
        checks("filtered by type", listed(world.get(path + "?artifactType=application/x.signature")) == [digest_of(signature)]
               and listed(world.get(path + "?artifactType=other")) == [])
        checks("each is fetched only when asked for", world.hub.count("registry", digest_of(signature)) == 0)
        checks("and then served", world.manifest(digest_of(signature)).body == signature)
        world.hub.stop()
        eventually(lambda: world.get(path).headers["Warning"], "the list's time is over")
        answer = world.get(path)
        checks("upstream stopped: the same, with Warning", listed(answer) == [digest_of(signature)], answer)


def the_fallback_tag_is_asked_where_there_is_no_endpoint(checks, binary, directory):
    """M17 (b): ghcr.io leads to a web page."""
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        {"mediaType": IMAGE, "digest": digest_of(b"sig"), "size": 3, "artifactType": "a/b"}]}).encode()
    for name, action in (("404", status(404)), ("405", status(405)), ("a page", status(200, {}, b"<html>"))):
        with World(binary, directory, f"fallback-{name}".replace(" ", "")) as world:
            demo = world.image()
            tag = demo.digest.replace(":", "-")
            world.hub.fault("registry", "referrers", action)
            path = f"/v2/docker.io/library/demo/referrers/{demo.digest}"
            world.hub.fault("registry", f"manifests/{tag}", status(200, {"Content-Type": INDEX}, index))
            answer = world.get(path)
            checks(f"{name}: what the fallback tag lists", listed(answer) == [digest_of(b"sig")], answer)
    with World(binary, directory, "fallback-none") as world:
        demo = world.image()
        world.hub.fault("registry", "referrers", status(404))
        answer = world.get(f"/v2/docker.io/library/demo/referrers/{demo.digest}")
        checks("neither: an empty list, since upstream says so", answer.status == 200 and listed(answer) == [], answer)


TESTS = [the_tags_are_upstreams, a_list_in_pages_is_followed, unknown_repositories_have_no_tags, referrers_are_upstreams,
         the_fallback_tag_is_asked_where_there_is_no_endpoint]
