"""What `stele mirror status`, GET /api/v1/mirrors and /metrics say: counts that are right, not only there."""
import json
import re
import threading

from hub import held, status
from world import Reader, World, eventually


def standing(world):
    done = world.mirror.command("mirror", "status", "--json")
    return json.loads(done.stdout)["mirrors"][0]


def metric(world, name):
    found = re.search(rf'^stele_mirror_{name}{{mirror="docker.io"[^}}]*}} (\S+)$', world.get("/metrics").body.decode(), re.M)
    return float(found[1]) if found else None


def the_counts_are_right(checks, binary, directory):
    with World(binary, directory, "counts", tag_ttl="1s") as world:
        demo = world.image()
        before = standing(world)
        checks("at first: nothing asked, no hit rate, no limit known", before["hits"] == before["misses"] == 0 and
               before["hit_rate"] is None and before["remaining"] is None and before["fetches"] == [], before)
        world.hub.remaining = 77
        world.pull(demo)
        size = len(demo.manifest) + sum(map(len, demo.blobs.values()))
        eventually(lambda: standing(world)["served_bytes"] == size, "every byte that went out is counted once")
        after = standing(world)
        checks("a cold pull: everything missed", (after["hits"], after["misses"]) == (0, 1 + len(demo.blobs)), after)
        checks("every byte that came in is counted once", after["fetched_bytes"] == size, (after, size))
        checks("the limit is what upstream said", after["remaining"] == 77, after)
        for digest in demo.blobs:
            world.wait_stored(digest)
        for digest in demo.blobs:
            world.blob(digest)
        warm = standing(world)
        checks("blobs that are here: hits, and nothing fetched", warm["hits"] == len(demo.blobs) and
               warm["fetched_bytes"] == size and warm["misses"] == after["misses"], warm)
        world.wait_expired()
        compared = standing(world)
        checks("an expired tag: a comparison and a hit", compared["revalidations"] >= 1 and
               compared["misses"] == warm["misses"] and compared["stale_answers"] == 0, compared)
        world.hub.fault("registry", "manifests", status(429, {"Retry-After": "3000"}))
        eventually(lambda: world.manifest().headers["Warning"], "the tag's time is over")
        limited = standing(world)
        checks("upstream limits: a stale answer, which is a hit", limited["stale_answers"] == 1 and
               limited["misses"] == warm["misses"], limited)
        url = limited["upstreams"][0]
        checks("it is left alone, and why", 2900 < url["asked_again_in"] <= 3000 and "429" in url["problem"], url)
        checks("/metrics agrees", [metric(world, name) for name in
               ("hits_total", "misses_total", "stale_total", "remaining", "upstream_paused", "fetched_bytes_total", "served_bytes_total",
                "revalidations_total", "upstream_requests_total")] ==
               [limited["hits"], limited["misses"], 1, 77, 1, size, limited["served_bytes"], limited["revalidations"],
                limited["upstream_requests"]], (limited, world.get("/metrics").body.decode()))
        checks("of what went out too, twice by now", metric(world, "served_bytes_total") > 2 * sum(map(len, demo.blobs.values())))
        checks("latencies: one for each request that is no token",
               metric(world, "upstream_seconds_count") == limited["upstream_requests"] - limited["token_requests"], limited)
        said = world.mirror.command("mirror", "status").stdout
        checks("in words too", "docker.io" in said and "answers 429" in said and "%" in said, said)


def what_arrives_is_listed(checks, binary, directory):
    with World(binary, directory, "arriving") as world:
        demo = world.image(layers=(1_000_000,))
        gate = threading.Event()
        world.hub.fault("cdn", demo.layer, held(500_000, gate))
        readers = [Reader(world.mirror, f"/v2/docker.io/library/demo/blobs/{demo.layer}").read(1000) for _ in range(3)]
        eventually(lambda: standing(world)["fetches"][0]["arrived_bytes"] == 500_000, "what has come is counted")
        now = standing(world)
        checks("one fetch, by name, with its length", now["fetching"] == 1 and now["fetches"] == [{
            "repository": "docker.io/library/demo", "digest": demo.layer, "arrived_bytes": 500_000, "bytes": 1_000_000}], now)
        checks("two of three have joined", now["coalesced"] == 2, now)
        checks("/metrics agrees", (metric(world, "coalesced_total"), metric(world, "fetches")) == (2, 1), world.get("/metrics").body.decode())
        gate.set()
        checks("all are served", all(reader.rest() and reader.body == demo.blobs[demo.layer] for reader in readers))
        eventually(lambda: standing(world)["fetching"] == 0, "then nothing arrives any more")


def the_limit_stretches_the_time_of_tags(checks, binary, directory):
    """M26."""
    with World(binary, directory, "stretch", tag_ttl="1s") as world:
        demo = world.image()
        world.hub.remaining = 3
        world.pull(demo)
        now = standing(world)
        checks("few pulls left: believed for an hour, and said so", now["tag_ttl"] == 3600 and now["tag_ttl_stretched"] and
               now["remaining"] == 3, now)
        world.hub.remaining = 100
        world.manifest("other")
        checks("the limit is back: as configured", standing(world)["tag_ttl"] == 1 and
               not standing(world)["tag_ttl_stretched"], standing(world))


TESTS = [the_counts_are_right, what_arrives_is_listed, the_limit_stretches_the_time_of_tags]
