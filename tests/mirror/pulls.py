"""What a mirror is for: each way in, once however many ask, the second time without upstream."""
import contextlib
import sqlite3
import threading

from hub import held, status, without
from registry import image
from standing import standing
from world import Reader, World, at_once, code, eventually


def the_second_pull_needs_no_upstream(checks, binary, directory):
    with World(binary, directory, "twice") as world:
        demo = world.image()
        checks("cold: manifest and blobs bit for bit", not (wrong := world.pull(demo)), wrong)
        checks("one HEAD and one GET of the manifest, and each blob once",
               world.hub.count("registry", "HEAD .*manifests") >= 1 and world.hub.count("cdn", "GET") == len(demo.blobs),
               world.hub.all_seen())
        checks("one token for all of it", world.hub.count("token") == 1, world.hub.all_seen())
        for digest in demo.blobs:
            world.wait_stored(digest)
        world.hub.stop()
        checks("warm, upstream stopped: the same", not (wrong := world.pull(demo)), wrong)
        by_digest = world.manifest(demo.digest)
        checks("by digest too", by_digest.status == 200 and by_digest.body == demo.manifest, by_digest)
        world.mirror.stop()
        world.mirror.start()
        checks("and after a restart", not (wrong := world.pull(demo)), wrong)


def every_way_in_leads_to_one_repository(checks, binary, directory):
    with World(binary, directory, "ways", default=True) as world:
        demo = world.image()
        ways = ["/v2/docker.io/library/demo", "/v2/docker.io/demo", "/docker.io/v2/library/demo", "/Docker.IO/v2/demo",
                "/v2/docker.io/v2/library/demo", "/v2/library/demo", "/v2/demo"]
        asked = [(way, "") for way in ways] + [("/v2/library/demo", "?ns=docker.io"), ("/v2/demo", "?ns=INDEX.docker.io:443"),
                                               ("/v2/docker.io/library/demo", "?ns=docker.io"),
                                               ("/docker.io/v2/demo", "?ns=docker.io")]
        for way, query in asked:
            answer = world.get(f"{way}/manifests/1{query}")
            checks(f"{way} {query}: the image", answer.status == 200 and answer.body == demo.manifest, answer)
            answer = world.get(f"{way}/blobs/{demo.layer}{query}")
            checks(f"{way} {query}: its layer", answer.status == 200 and answer.body == demo.blobs[demo.layer], answer.status)
        checks("fetched once in all", world.hub.count("cdn", "GET") == 1 and world.hub.count("registry", "GET.*manifests") <= 2,
               world.hub.all_seen())
        checks("/docker.io/v2/ is answered as /v2/", world.get("/docker.io/v2/").status == world.get("/v2/").status)
        repositories = world.get("/v2/_catalog").body
        checks("one stored repository", repositories.count(b"demo") == 1, repositories)
        answer = world.get("/v2/library/demo/manifests/1?ns=elsewhere.example")
        checks("an unknown ns is refused and asks nobody", answer.status == 404 and code(answer) == "NAME_UNKNOWN", answer)
        own = world.get(f"/v2/library/demo/manifests/1?ns={world.mirror.address}")
        checks("ns that names this registry itself is no mirror's", own.status == 200, own)


def local_names_never_leak(checks, binary, directory):
    with World(binary, directory, "local", default=True) as world:
        world.image("team/app")
        answer = world.get("/v2/team/app/manifests/1")
        checks("a default mirror without allow is asked for library/ only", answer.status == 404 and not world.hub.all_seen(),
               (answer, world.hub.all_seen()))
        world.image("library/own")
        digest, answer = world.mirror.push_blob("library/own", b"ours")
        checks("a push to library/own is a local one", answer.status == 201, answer)
        answer = world.mirror.push_manifest("library/own", "mine", image((digest, 4)))
        checks("and its manifest", answer.status == 201, answer)
        answer = world.get("/v2/library/own/manifests/1")
        checks("then no tag of it falls through", answer.status == 404 and not world.hub.all_seen(), answer)
        named = world.get("/v2/library/own/manifests/1?ns=docker.io")
        checks("but ns names the mirror's", named.status == 200, named)


def writes_to_a_mirror_are_refused(checks, binary, directory):
    with World(binary, directory, "writes") as world:
        demo = world.image()
        for method, path in (("POST", "/v2/docker.io/library/demo/blobs/uploads/"),
                             ("PUT", "/v2/docker.io/library/demo/manifests/2"),
                             ("PATCH", "/v2/docker.io/demo/blobs/uploads/0123456789abcdef0123456789abcdef"),
                             ("PUT", "/docker.io/v2/library/demo/manifests/2")):
            answer = world.mirror.request(method, path, demo.manifest)
            checks(f"{method} {path} is refused and says why",
                   answer.status == 405 and code(answer) == "UNSUPPORTED" and "mirror" in answer.message, answer)
        checks("and nothing asked upstream", not world.hub.all_seen(), world.hub.all_seen())


def clients_stream_behind_one_fetch(checks, binary, directory):
    """M4, M5: the gate opens only when every client has its first half."""
    with World(binary, directory, "stream") as world:
        demo = world.image(layers=(4_000_000,))
        gate = threading.Event()
        world.hub.fault("cdn", demo.layer, held(2_000_000, gate))
        path = f"/v2/docker.io/library/demo/blobs/{demo.layer}"
        readers = at_once(16, lambda _: Reader(world.mirror, path).read(1_000_000))
        checks("every client gets the first bytes while the rest is still upstream",
               all(reader.status == 200 and len(reader.body) == 1_000_000 for reader in readers))
        readers[0].close()
        readers[1].close()
        part = Reader(world.mirror, path)
        checks("a late client gets byte 0 at once", len(part.read(1000).body) == 1000)
        ranged = world.mirror.connection()
        ranged.request("GET", path, headers={"Range": "bytes=1000-4999"})
        answer = ranged.getresponse()
        body = answer.read()
        checks("a range of what has arrived is answered at once",
               answer.status == 206 and body == demo.blobs[demo.layer][1000:5000] and
               answer.headers["Content-Range"] == "bytes 1000-4999/4000000", answer.status)
        gate.set()
        finished = at_once(14, lambda number: readers[number + 2].rest())
        checks("and the whole, though two have left", all(finished) and
               all(reader.body == demo.blobs[demo.layer] for reader in readers[2:]))
        checks("the late one too", part.rest() and part.body == demo.blobs[demo.layer])
        checks("upstream saw one GET", world.hub.count("cdn", "GET") == 1, world.hub.all_seen())


def a_fetch_goes_on_when_its_only_client_leaves(checks, binary, directory):
    with World(binary, directory, "leaves") as world:
        demo = world.image(layers=(4_000_000,))
        gate = threading.Event()
        world.hub.fault("cdn", demo.layer, held(2_000_000, gate))
        Reader(world.mirror, f"/v2/docker.io/library/demo/blobs/{demo.layer}").read(1000).close()
        gate.set()
        world.wait_stored(demo.layer)
        checks("it was fetched to its end", world.hub.count("cdn", "GET") == 1, world.hub.all_seen())
        answer = world.blob(demo.layer)
        checks("and is right", answer.body == demo.blobs[demo.layer])


def a_thousand_pulls_cost_one_head(checks, binary, directory):
    """M26, M3."""
    with World(binary, directory, "thousand") as world:
        demo = world.image()
        statuses = at_once(8, lambda _: {world.manifest().status for _ in range(125)})
        checks("all of them succeed", all(each == {200} for each in statuses), statuses)
        # The first request of all has no token yet: it is the challenge.
        checks("one HEAD beside the challenge, one GET",
               world.hub.count("registry", "HEAD.*manifests") == 2 and world.hub.count("registry", "GET.*manifests") == 1,
               world.hub.all_seen())
        checks("and the digest is right", world.manifest().headers["Docker-Content-Digest"] == demo.digest)
        world.mirror.stop()
        with contextlib.closing(sqlite3.connect(world.mirror.data / "stele.db")) as catalog:
            catalog.execute("UPDATE mirrored_tags SET compared_at = 0")     # its time is over
            catalog.commit()
        world.mirror.start()
        world.hub.forget()
        statuses = at_once(8, lambda _: {world.manifest().status for _ in range(125)})
        checks("after its time a thousand more: one HEAD beside the challenge, never a GET", all(each == {200} for each in statuses) and
               world.hub.count("registry", "HEAD.*manifests") == 2 and world.hub.count("registry", "GET") == 0, world.hub.all_seen())


def a_head_by_tag_costs_no_get(checks, binary, directory):
    """P9, M3: containerd asks HEAD by tag, then GET by digest."""
    with World(binary, directory, "head") as world:
        demo = world.image()
        heads = at_once(16, lambda _: world.manifest(method="HEAD"))
        checks("sixteen cold HEADs are answered", all(
            head.status == 200 and head.headers["Docker-Content-Digest"] == demo.digest and
            head.headers["Content-Length"] == str(len(demo.manifest)) for head in heads), heads[0])
        checks("by one HEAD upstream and no GET", world.hub.count("registry", "GET") == 0 and
               world.hub.count("registry", "HEAD") == 2, world.hub.all_seen())
        world.manifest(demo.digest)
        world.hub.stop()
        answer = world.manifest()
        checks("the tag is known when its digest has come, upstream stopped",
               answer.status == 200 and answer.body == demo.manifest, answer)
        tags = world.get("/v2/docker.io/library/demo/tags/list").body
        checks("and listed", b'"1"' in tags, tags)


def an_expired_tag_is_compared_by_head(checks, binary, directory):
    with World(binary, directory, "expired", tag_ttl="1s") as world:
        demo = world.image()
        world.pull(demo)
        world.hub.forget()
        world.wait_expired()
        checks("same digest: HEADs alone", world.hub.count("registry", "GET.*manifests") == 0, world.hub.all_seen())
        newer = world.image(label="newer")
        eventually(lambda: world.manifest().body == newer.manifest, "the tag follows upstream")
        checks("another digest: one GET, by digest",
               world.hub.count("registry", f"GET.*manifests/{newer.digest}") == 1 and
               world.hub.count("registry", "GET.*manifests/1$") == 0, world.hub.all_seen())
        checks("and the older one stays reachable by digest", world.manifest(demo.digest).status == 200)


def an_upstream_without_digests_is_asked_once_more(checks, binary, directory):
    """M9, P13."""
    with World(binary, directory, "nodigest", tag_ttl="1s") as world:
        demo = world.image()
        world.hub.fault("registry", "manifests", without("Docker-Content-Digest"))
        answer = world.manifest(method="HEAD")
        checks("cold HEAD by tag: our digest", answer.status == 200 and answer.headers["Docker-Content-Digest"] == demo.digest,
               answer)
        checks("for one GET", world.hub.count("registry", "GET.*manifests") == 1, world.hub.all_seen())
        world.wait_expired()
        answer = world.manifest()
        checks("after its time the tag has not moved", answer.body == demo.manifest, answer)


def a_mirror_of_a_mirror(checks, binary, directory):
    """M11."""
    from registry import Registry
    with World(binary, directory, "second") as world:
        demo = world.image(layers=(1000, 200_000, 3_000))
        config = f"mirrors:\n  - name: near.example\n    upstreams: [\"http://{world.mirror.address}\"]\n"
        with Registry(binary, directory / "second" / "x", config=config).start() as outer:
            answer = outer.request("GET", "/v2/near.example/docker.io/library/demo/manifests/1")
            checks("the manifest, the first time", answer.body == demo.manifest, answer)
            for digest, bytes_ in demo.blobs.items():
                answer = outer.request("GET", f"/v2/near.example/docker.io/library/demo/blobs/{digest}")
                checks("a blob, the first time", answer.body == bytes_, answer.status)
        checks("each object fetched once", world.hub.count("cdn", "GET") == len(demo.blobs) and
               world.hub.count("registry", f"GET.*manifests/{demo.digest}") == 1, world.hub.all_seen())


def a_pinned_tag_stays(checks, binary, directory):
    with World(binary, directory, "pin", tag_ttl="1s", more="tags: pin") as world:
        demo = world.image()
        world.pull(demo)
        world.image(label="newer")
        world.hub.forget()
        answers = [world.manifest() for _ in range(20)]
        checks("at what was first fetched", all(answer.body == demo.manifest for answer in answers))
        checks("and upstream is not asked for the tag", world.hub.count("registry", "manifests") == 0, world.hub.all_seen())


def a_pin_survives_its_content(checks, binary, directory):
    """M21, P8: what was cleared away comes back as the digest it was, or not at all."""
    with World(binary, directory, "pin-evicted", tag_ttl="1s", more="tags: pin") as world:
        demo, lost = world.image(), world.image(tag="2")
        world.pull(demo)
        world.pull(lost, "2")
        for digest in (*demo.blobs, *lost.blobs):
            world.wait_stored(digest)
        for number in ("1", "2"):
            world.image(tag=number, label="newer")
        removed = world.evict()
        checks("both are cleared away", removed in (200, 202, 204), removed)
        world.hub.forget()
        answer = world.manifest(method="HEAD")
        checks("HEAD names the digest that it was", answer.headers["Docker-Content-Digest"] == demo.digest, answer)
        answer = world.manifest()
        checks("the tag is again what it was", answer.status == 200 and answer.body == demo.manifest, answer)
        checks("upstream was not asked for the tag", world.hub.count("registry", "manifests/1$") == 0, world.hub.all_seen())
        world.hub.fault("registry", lost.digest, status(404))
        answer = world.manifest("2")
        checks("upstream has lost it: 404 that names it", answer.status == 404 and code(answer) == "MANIFEST_UNKNOWN" and
               lost.digest in answer.body.decode(), answer)
        checks("nor then was it asked for the tag", world.hub.count("registry", "manifests/2$") == 0, world.hub.all_seen())


def so_many_blobs_at_once_and_no_more(checks, binary, directory):
    """max_fetches: the third begins when one of two is done. What is here already waits for nobody."""
    with World(binary, directory, "at-once", more="max_fetches: 2\nmax_rate: 1GiB") as world:
        demo, here = world.image(layers=(200_000, 300_000, 400_000)), world.image(tag="2", label="here")
        checks("what will be here", not (wrong := world.pull(here, "2")), wrong)
        layers = [digest for digest, bytes_ in demo.blobs.items() if len(bytes_) > 1000]
        gates, readers, begun = {digest: threading.Event() for digest in layers}, {}, []
        for digest in layers:
            world.hub.fault("cdn", digest, held(1000, gates[digest]), times=1)

        def read(digest):
            readers[digest] = Reader(world.mirror, f"/v2/docker.io/library/demo/blobs/{digest}")
            begun.append(digest)
            return readers[digest].rest()
        before = world.hub.count("cdn")
        work = [threading.Thread(target=read, args=(digest,)) for digest in layers]
        for number, thread in enumerate(work):
            thread.start()
            eventually(lambda: standing(world)["fetching"] + standing(world)["waiting"] == number + 1, "it is asked for")
        now = standing(world)
        checks("two arrive, one waits", (now["fetching"], now["waiting"]) == (2, 1), now)
        checks("upstream was asked for two", world.hub.count("cdn") == before + 2, world.hub.all_seen()[-4:])
        checks("its client has no answer yet", layers[2] not in begun, begun)
        checks("what is here is served meanwhile", not (wrong := world.pull(here, "2")), wrong)
        gates[layers[0]].set()
        eventually(lambda: layers[2] in begun, "one is done, and the third begins")
        for gate in gates.values():
            gate.set()
        for thread in work:
            thread.join()
        checks("all are right", all(readers[digest].body == demo.blobs[digest] for digest in layers))
        checks("each was asked for once", all(world.hub.count("cdn", digest) == 1 for digest in layers), world.hub.all_seen())
        eventually(lambda: standing(world)["fetching"] + standing(world)["waiting"] == 0, "nothing arrives or waits any more")


TESTS = [so_many_blobs_at_once_and_no_more, the_second_pull_needs_no_upstream, every_way_in_leads_to_one_repository, local_names_never_leak,
         writes_to_a_mirror_are_refused, clients_stream_behind_one_fetch, a_fetch_goes_on_when_its_only_client_leaves,
         a_thousand_pulls_cost_one_head, a_head_by_tag_costs_no_get, an_expired_tag_is_compared_by_head,
         an_upstream_without_digests_is_asked_once_more, a_mirror_of_a_mirror, a_pinned_tag_stays, a_pin_survives_its_content]
