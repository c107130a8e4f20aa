"""Upstreams that fail: no wrong byte is ever served as right or stored (I6), what is here is served, and what is not gets the
status that says whose fault it is."""
import threading

from hub import cut, held, reset, status, wrong_bytes
from registry import Registry
from world import Reader, World, code, eventually


def loop(handler, _):
    handler.answer(302, {"Location": handler.path})


# name: (what the hub does to requests for manifests, status and code when nothing is here)
MANIFEST_FAULTS = {
    "reset": (reset, 503, "UNAVAILABLE"),
    "401": (status(401, {"WWW-Authenticate": 'Bearer realm="REALM",service="hub.test"'}), 403, "DENIED"),
    "403": (status(403), 403, "DENIED"),
    "404": (status(404), 404, "MANIFEST_UNKNOWN"),
    "429": (status(429, {"Retry-After": "60"}), 429, "TOOMANYREQUESTS"),
    "500": (status(500), 503, "UNAVAILABLE"),
    "redirect loop": (loop, 503, "UNAVAILABLE"),
    "no registry": (status(418), 502, "UNAVAILABLE"),
}


def every_manifest_fault_cold_warm_and_expired(checks, binary, directory):
    for name, (action, wanted, wanted_code) in MANIFEST_FAULTS.items():
        with World(binary, directory, f"mf-{name}".replace(" ", ""), tag_ttl="1s") as world:
            demo = world.image()
            other = world.image(tag="2")
            if name == "401":
                realm = world.hub.url("token") + "/token"
                action = status(401, {"WWW-Authenticate": f'Bearer realm="{realm}",service="hub.test"'})
            world.pull(demo)
            world.hub.fault("registry", "manifests", action)
            expired = []

            def stale():
                expired.append(world.manifest())
                return expired[-1].headers["Warning"]
            eventually(stale, f"{name}: the tag's time is over")
            checks(f"{name}, warm and expired: the image all the time, at last with Warning",
                   all(answer.status == 200 and answer.body == demo.manifest for answer in expired), expired[-1])
            answer = world.manifest(method="HEAD")
            checks(f"{name}, expired, HEAD: the digest", answer.headers["Docker-Content-Digest"] == demo.digest, answer)
            answer = world.manifest("2")
            checks(f"{name}, cold: {wanted} {wanted_code}", (answer.status, code(answer)) == (wanted, wanted_code), answer)
            checks(f"{name}, cold: no challenge of upstream's, no secret in the message",
                   "WWW-Authenticate" not in answer.headers and "s3cret" not in answer.body.decode(), answer)
            asked = world.hub.count("registry")
            world.manifest("2")
            checks(f"{name}: upstream is not asked again at once", world.hub.count("registry") == asked, world.hub.all_seen())
            checks(f"{name}: nothing else is stored", world.manifest(other.digest).status != 200)
            checks(f"{name}: no upload is left", not world.mirror.uploads(), world.mirror.uploads())


def a_manifest_of_other_bytes_is_not_kept(checks, binary, directory):
    """M29."""
    for name, action, wanted in (("wrong bytes", wrong_bytes, 502), ("cut", cut(100), 503)):
        with World(binary, directory, f"mw-{name[:3]}", more="missing_ttl: 1s") as world:
            demo = world.image()
            world.hub.fault("registry", "GET.*manifests", action)
            answer = world.manifest(demo.digest)
            checks(f"{name}: by digest {wanted}", answer.status == wanted, answer)
            answer = world.manifest()
            checks(f"{name}: by tag not 200", answer.status in (502, 503), answer)
            world.hub.mend()
            eventually(lambda: world.manifest().body == demo.manifest, f"{name}: mended, the pull succeeds")


def the_next_upstream_is_asked(checks, binary, directory):
    """M29: the second URL in order."""
    with World(binary, directory, "second-url") as world:
        demo = world.image()
        world.hub.fault("registry", "GET.*manifests", wrong_bytes)
        config = (f"mirrors:\n  - name: docker.io\n    upstreams: [\"{world.hub.url()}\", "
                  f"\"http://{world.source.address}\"]\n")
        with Registry(binary, directory / "second-url" / "x", config=config).start() as both:
            answer = both.request("GET", "/v2/docker.io/library/demo/manifests/1")
            checks("wrong bytes at the first: the second's", answer.body == demo.manifest, answer)
            world.hub.stop()
            answer = both.request("GET", f"/v2/docker.io/library/demo/blobs/{demo.layer}")
            checks("no connection at the first: the second's", answer.body == demo.blobs[demo.layer], answer.status)


def a_blob_that_breaks_off_is_continued(checks, binary, directory):
    """M6: cut after every tenth; then reset."""
    with World(binary, directory, "tenths") as world:
        demo = world.image(layers=(1_000_000,))
        for tenth in range(1, 10):
            world.hub.fault("cdn", demo.layer, cut(100_000), times=1)
        answer = world.blob(demo.layer)
        checks("cut after every tenth: one clean body", answer.status == 200 and answer.body == demo.blobs[demo.layer],
               (answer.status, len(answer.body)))
        ranges = [seen.headers.get("Range") for seen in world.hub.all_seen() if seen.where == "cdn"]
        checks("each time from where it was", ranges == [None] + [f"bytes={n}00000-" for n in range(1, 10)], ranges)
        world.wait_stored(demo.layer)
    with World(binary, directory, "reset") as world:
        demo = world.image(layers=(1_000_000,))
        world.hub.fault("cdn", demo.layer, cut(300_000), times=1)
        world.hub.fault("cdn", demo.layer, status(206, {"Content-Range": "bytes 5-9/10"}, b"wrong"), times=1)
        reader = Reader(world.mirror, f"/v2/docker.io/library/demo/blobs/{demo.layer}")
        whole = reader.rest()
        checks("continued at another place: the connection is reset, never ended cleanly",
               not whole and demo.blobs[demo.layer].startswith(reader.body), len(reader.body))
        checks("and nothing is stored", not world.stored(demo.layer))


def a_blob_without_progress_is_given_up(checks, binary, directory):
    with World(binary, directory, "noprogress") as world:
        demo = world.image(layers=(1_000_000,))
        world.hub.fault("cdn", demo.layer, cut(400_000), times=1)
        world.hub.fault("cdn", demo.layer, cut(0))
        reader = Reader(world.mirror, f"/v2/docker.io/library/demo/blobs/{demo.layer}")
        checks("the connection is reset", not reader.rest() and len(reader.body) < 1_000_000, len(reader.body))
        checks("what came was right", demo.blobs[demo.layer].startswith(reader.body))
        eventually(lambda: not world.mirror.uploads(), "what came is removed")
        checks("nothing is published", not world.stored(demo.layer))
        world.hub.mend()
        eventually(lambda: world.blob(demo.layer).body == demo.blobs[demo.layer], "mended, the pull succeeds")


def wrong_bytes_of_a_blob_never_end_cleanly(checks, binary, directory):
    """I6: whole, too short without length, too long; and for whoever joined."""
    with World(binary, directory, "wrong") as world:
        demo = world.image(layers=(1_000_000,))
        world.hub.fault("cdn", f"GET.*{demo.layer}", wrong_bytes)
        path = f"/v2/docker.io/library/demo/blobs/{demo.layer}"
        reader = Reader(world.mirror, path)
        checks("one flipped bit: reset before the end", not reader.rest() and len(reader.body) < 1_000_000, len(reader.body))
        eventually(lambda: not world.mirror.uploads(), "what came is removed")
        checks("and not published", not world.stored(demo.layer))
        answer = world.blob(demo.layer, method="HEAD")
        checks("HEAD still tells its length only", answer.headers["Content-Length"] == "1000000", answer)
        world.hub.mend()
        world.hub.fault("cdn", demo.layer, status(200, {}, b"x" * 10))
        reader = Reader(world.mirror, path)
        checks("another, shorter body: never whole", not reader.rest(), len(reader.body))
        world.hub.mend()
        answer = world.blob(demo.layer)
        checks("mended: right", answer.body == demo.blobs[demo.layer], answer.status)


BLOB_FAULTS = {
    "404": (status(404), 404, "BLOB_UNKNOWN"),
    "403": (status(403), 403, "DENIED"),
    "429": (status(429), 429, "TOOMANYREQUESTS"),
    "500": (status(500), 503, "UNAVAILABLE"),
    "reset": (reset, 503, "UNAVAILABLE"),
    "redirect loop": (lambda handler, _: handler.answer(307, {"Location": handler.path}), 503, "UNAVAILABLE"),
}


def every_blob_fault_cold_and_warm(checks, binary, directory):
    for name, (action, wanted, wanted_code) in BLOB_FAULTS.items():
        with World(binary, directory, f"bf-{name}".replace(" ", "")) as world:
            demo = world.image()
            world.blob(demo.layer)
            world.wait_stored(demo.layer)
            world.hub.fault("cdn", "", action)
            answer = world.blob(demo.layer)
            checks(f"blob {name}, warm: right", answer.body == demo.blobs[demo.layer], answer.status)
            cold = next(digest for digest in demo.blobs if digest != demo.layer)
            for method in ("HEAD", "GET"):
                answer = world.blob(cold, method=method)
                checks(f"blob {name}, cold {method}: {wanted}", answer.status == wanted and
                       (method == "HEAD" or code(answer) == wanted_code), answer)


def upstream_gone_is_asked_seldom(checks, binary, directory):
    """The breaker: M12."""
    with World(binary, directory, "gone", tag_ttl="1s") as world:
        demo = world.image()
        world.pull(demo)
        world.hub.fault("registry", "", status(429, {"Retry-After": "3600"}))
        eventually(lambda: world.manifest().headers["Warning"], "429 is answered with what is here")
        world.hub.forget()
        answers = [world.manifest() for _ in range(50)]
        checks("fifty pulls more: right, with Warning, and upstream asked by none", not world.hub.all_seen() and
               all(answer.body == demo.manifest and answer.headers["Warning"] for answer in answers), world.hub.all_seen())
        answer = world.manifest("never-seen")
        checks("nothing here: 429 with upstream's Retry-After, as much of it as is left", answer.status == 429 and
               3500 < int(answer.headers["Retry-After"]) <= 3600, answer)


def retry_after_is_upstreams_and_bounded(checks, binary, directory):
    """P12: the client is told what upstream said, at most an hour."""
    for said, least, most in (("77", 60, 77), ("999999999", 3500, 3600), ("soon", 50, 60)):
        for code_, wanted in ((429, 429), (503, 503)):
            if (said, code_) == ("soon", 503):
                continue    # that is a pause of the breaker's own
            with World(binary, directory, f"ra-{said}-{code_}") as world:
                world.image()
                world.hub.fault("registry", "manifests", status(code_, {"Retry-After": said}))
                for number in ("first", "second"):
                    answer = world.manifest()
                    checks(f"{code_} with Retry-After {said}, {number} answer", answer.status == wanted and
                           least <= int(answer.headers["Retry-After"]) <= most, answer)


def a_mirror_may_wait_for_its_upstream(checks, binary, directory):
    """`wait`: for clients without a fall-back. It ends with the stop, too."""
    with World(binary, directory, "wait", more="wait: 30s", tag_ttl="1s") as world:
        demo = world.image()
        world.hub.fault("registry", "HEAD.*manifests", status(429, {"Retry-After": "1"}), times=1)
        world.hub.fault("registry", f"GET.*blobs/{demo.layer}", status(503, {"Retry-After": "1"}), times=1)
        checks("429, then right: the image at the first try", world.pull(demo) == "", world.pull(demo))
        checks("asked twice", world.hub.count("registry", "HEAD.*manifests") >= 2, world.hub.all_seen())
        world.hub.fault("registry", "HEAD.*manifests", status(429, {"Retry-After": "3600"}))
        answers = []

        def stale():
            answers.append(world.manifest())
            return answers[-1].headers["Warning"]
        eventually(stale, "something is here: it is served, with Warning")
        answer = world.manifest("2")
        checks("longer than `wait`: 429 at once", answer.status == 429 and int(answer.headers["Retry-After"]) > 3000, answer)
    with World(binary, directory, "wait-stop", more="wait: 5m") as world:
        world.image()
        world.hub.fault("registry", "manifests", status(429, {"Retry-After": "200"}))
        reader = threading.Thread(target=lambda: world.manifest())
        reader.start()
        eventually(lambda: world.hub.count("registry", "manifests") > 0, "upstream is asked")
        checks("a stop does not wait with it", world.mirror.stop() == 0)
        reader.join()


def a_silent_upstream_is_not_waited_for(checks, binary, directory):
    """M12: it takes the connection and says nothing."""
    with World(binary, directory, "silent", tag_ttl="1s") as world:
        demo = world.image()
        world.pull(demo)
        gate = threading.Event()
        world.hub.fault("registry", "manifests", lambda *_: gate.wait(120))
        eventually(lambda: world.manifest().headers["Warning"], "what is here is served, with Warning")
        checks("and it is right", world.manifest().body == demo.manifest)
        answer = world.manifest("2")
        checks("nothing here: 503", answer.status == 503, answer)
        gate.set()


def a_token_service_that_fails_is_upstreams_failure(checks, binary, directory):
    """M13, P12: never 404, never 401."""
    for name, action, wanted in (("429", status(429, {"Retry-After": "9"}), 429), ("500", status(500), 503),
                                 ("404", status(404), 502), ("no token", status(200, {}, b"{}"), 502), ("reset", reset, 503),
                                 ("401", status(401), 403)):
        with World(binary, directory, f"tok-{name}".replace(" ", "")) as world:
            world.image()
            world.hub.fault("token", "", action)
            answer = world.manifest()
            checks(f"token service: {name}: {wanted}", answer.status == wanted, answer)


def a_stop_ends_what_still_arrives(checks, binary, directory):
    with World(binary, directory, "stop") as world:
        demo = world.image(layers=(1_000_000,))
        gate = threading.Event()
        world.hub.fault("cdn", demo.layer, held(500_000, gate))
        reader = Reader(world.mirror, f"/v2/docker.io/library/demo/blobs/{demo.layer}").read(1000)
        reader.close()
        checks("with a fetch under way the server stops in good order", world.mirror.stop() == 0)
        gate.set()
        world.mirror.start()
        checks("and its next start serves right bytes", world.blob(demo.layer).body == demo.blobs[demo.layer])


TESTS = [every_manifest_fault_cold_warm_and_expired, a_manifest_of_other_bytes_is_not_kept, the_next_upstream_is_asked,
         a_blob_that_breaks_off_is_continued, a_blob_without_progress_is_given_up, wrong_bytes_of_a_blob_never_end_cleanly,
         every_blob_fault_cold_and_warm, upstream_gone_is_asked_seldom,
         retry_after_is_upstreams_and_bounded, a_mirror_may_wait_for_its_upstream, a_silent_upstream_is_not_waited_for,
         a_token_service_that_fails_is_upstreams_failure, a_stop_ends_what_still_arrives]
