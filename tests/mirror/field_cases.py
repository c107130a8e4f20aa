"""What users of other mirrors ran into and no other file here has; the letters name the rows of the collection of reports."""
import json
import threading

from hub import held, status
from registry import Registry, image, make_certificates
from world import Image, Reader, World, at_once, code, eventually


def a_tag_that_was_only_looked_at_is_known_after_its_time(checks, binary, directory):
    """M3: HEAD by tag, GET by digest, blobs, as containerd does; then upstream is gone."""
    with World(binary, directory, "learned", tag_ttl="1s") as world:
        demo = world.image()
        checks("HEAD by tag", world.manifest(method="HEAD").headers["Docker-Content-Digest"] == demo.digest)
        checks("GET by digest", world.manifest(demo.digest).body == demo.manifest)
        world.hub.stop()
        eventually(lambda: world.manifest(method="HEAD").headers["Warning"], "its time is over")
        answer = world.manifest(method="HEAD")
        checks("HEAD after it: the same digest", answer.status == 200 and answer.headers["Docker-Content-Digest"] == demo.digest, answer)
        checks("tags/list shows it", b'"1"' in world.get("/v2/docker.io/library/demo/tags/list").body)


def a_manifest_does_not_wait_for_a_layer(checks, binary, directory):
    """M5."""
    with World(binary, directory, "beside") as world:
        big, other = world.image(layers=(4_000_000,)), world.image(tag="2", label="other")
        gate = threading.Event()
        world.hub.fault("cdn", big.layer, held(2_000_000, gate))
        reader = Reader(world.mirror, f"/v2/docker.io/library/demo/blobs/{big.layer}").read(1000)
        answer = world.manifest("2", method="HEAD")
        checks("a cold HEAD while a layer is held", answer.headers["Docker-Content-Digest"] == other.digest, answer)
        checks("and another image whole", not (wrong := world.pull(other, "2")), wrong)
        gate.set()
        checks("the layer too", reader.rest() and reader.body == big.blobs[big.layer])


def a_slow_reader_does_not_slow_the_fetch(checks, binary, directory):
    """M6: more than what sockets hold is stored while its only client reads nothing."""
    with World(binary, directory, "slow-reader") as world:
        demo = world.image(layers=(40_000_000,))
        reader = Reader(world.mirror, f"/v2/docker.io/library/demo/blobs/{demo.layer}").read(1000)
        world.wait_stored(demo.layer)
        checks("it is stored, and the client has its first bytes", len(reader.body) == 1000)
        checks("which gets the rest when it likes", reader.rest() and reader.body == demo.blobs[demo.layer])


def a_redirect_on_the_same_host_keeps_its_authorization(checks, binary, directory):
    """M8."""
    with World(binary, directory, "samehost") as world:
        demo = world.image()
        path = f"/v2/library/demo/blobs/{demo.layer}"
        world.hub.redirects = False
        world.manifest()        # the first request of all has no token yet
        world.hub.fault("registry", f"GET {path}$", lambda handler, _: handler.answer(307, {"Location": path + "?again=1"}), times=1)
        answer = world.blob(demo.layer)
        checks("the pull succeeds", answer.body == demo.blobs[demo.layer], answer.status)
        seen = [one.authorization for one in world.hub.all_seen() if one.target == path + "?again=1"]
        checks("with the token on the second hop", seen and all(one.startswith("Bearer ") for one in seen), seen)


def one_token_a_repository_however_many_pull(checks, binary, directory):
    """M13, M4."""
    with World(binary, directory, "tokens", tag_ttl="1s") as world:
        images = [world.image(f"library/r{number}", label=str(number)) for number in range(8)]
        answers = at_once(64, lambda number: world.manifest(repository=f"docker.io/library/r{number % 8}"))
        checks("64 cold pulls of 8 repositories", all(answer.body == images[number % 8].manifest for number, answer in enumerate(answers)))
        checks("at most 8 tokens", world.hub.count("token") <= 8, world.hub.count("token"))
        world.hub.revoke_tokens()
        world.hub.fault("token", "", status(429, {"Retry-After": "300"}))
        eventually(lambda: world.manifest(repository="docker.io/library/r0").headers["Warning"], "the tag's time is over")
        answer = world.manifest(repository="docker.io/library/r0")
        checks("the token service limits, warm: what is here", answer.body == images[0].manifest, answer)
        answer = world.manifest("2", repository="docker.io/library/r1")
        checks("cold: 429 with its Retry-After, never 404", (answer.status, code(answer)) == (429, "TOOMANYREQUESTS") and
               int(answer.headers["Retry-After"]) > 200, answer)


def a_refusal_is_remembered(checks, binary, directory):
    """M14: 401 after a good anonymous token."""
    with World(binary, directory, "refusal") as world:
        world.image()
        realm = world.hub.url("token") + "/token"
        world.hub.fault("registry", "manifests", status(401, {"WWW-Authenticate": f'Bearer realm="{realm}",service="hub.test"'}))
        answer = world.manifest()
        checks("403 DENIED, and no challenge", (answer.status, code(answer)) == (403, "DENIED") and
               "WWW-Authenticate" not in answer.headers, answer)
        world.hub.forget()
        checks("asked again: the same, and nobody upstream is asked", world.manifest().status == 403 and not world.hub.all_seen(),
               world.hub.all_seen())


def a_certificate_of_a_stranger_is_named(checks, binary, directory):
    """M16."""
    certificates = make_certificates(directory / "stranger")
    with Registry(binary, directory / "tls-upstream", tls=certificates).start() as source:
        demo = Image(source, "library/demo", "1")
        for name, ca in (("unknown", ""), ("known", f"    ca: {certificates / 'ca.crt'}\n")):
            config = f"mirrors:\n  - name: tls.example\n    upstreams: [\"https://{source.address}\"]\n    tag_ttl: 1s\n{ca}"
            with Registry(binary, directory / f"tls-{name}", config=config).start() as mirror:
                answer = mirror.request("GET", "/v2/tls.example/library/demo/manifests/1")
                if ca:
                    checks("with its CA: the image", answer.body == demo.manifest, answer)
                    source.stop()
                    source.tls = None
                    answers = []

                    def stale():
                        answers.append(mirror.request("GET", "/v2/tls.example/library/demo/manifests/1"))
                        return answers[-1].headers["Warning"]
                    eventually(stale, "its time is over")
                    checks("warm: what is here", answers[-1].body == demo.manifest, answers[-1])
                else:
                    checks("502 or 503, UNAVAILABLE, and that it is the certificate", answer.status in (502, 503) and
                           code(answer) == "UNAVAILABLE" and "certificate" in answer.message.lower(), answer)


def a_signature_that_comes_later_is_found(checks, binary, directory):
    """M17 (e): that there is none is believed for missing_ttl and no longer."""
    with World(binary, directory, "later", more="missing_ttl: 2s") as world:
        demo = world.image()
        tag = demo.digest.replace(":", "-") + ".sig"
        checks("there is none", world.manifest(tag).status == 404)
        before = world.hub.count("registry", tag)
        checks("which is believed", world.manifest(tag).status == 404 and world.hub.count("registry", tag) == before)
        config, _ = world.source.push_blob("library/demo", b"a signature")
        signature = image((config, 11), label="cosign")
        world.source.push_manifest("library/demo", tag, signature)
        eventually(lambda: world.manifest(tag).body == signature, "it is found")


def a_name_that_was_ever_ours_asks_nobody(checks, binary, directory):
    """M25: also when nothing of it is left; `?ns=` names the mirror's."""
    with World(binary, directory, "ever", default=True) as world:
        upstreams = world.image("library/foo")
        digest, _ = world.mirror.push_blob("library/foo", b"ours")
        world.mirror.push_manifest("library/foo", "1", image((digest, 4)))
        removed = world.evict("library/foo")
        checks("ours is deleted with all its tags", removed // 100 == 2, removed)
        answer = world.get("/v2/library/foo/manifests/1")
        checks("404, and nobody is asked", answer.status == 404 and not world.hub.all_seen(), (answer, world.hub.all_seen()))
        answer = world.get("/v2/library/foo/manifests/1?ns=docker.io")
        checks("ns: the mirror's", answer.body == upstreams.manifest, answer)


def the_limit_of_a_refusal_is_read_too(checks, binary, directory):
    """M26."""
    with World(binary, directory, "limit429") as world:
        world.image()
        world.hub.fault("registry", "manifests", status(429, {"Retry-After": "60", "ratelimit-remaining": "0;w=21600"}))
        checks("429", world.manifest().status == 429)
        said = json.loads(world.mirror.command("mirror", "status", "--json").stdout)["mirrors"][0]
        checks("its limit is known", said["remaining"] == 0, said)


def an_account_without_allow_does_not_start(checks, binary, directory):
    """S6."""
    for number, entry in enumerate(("username: u, password_env: P", "credential_helper: pass", "cloud_login: ecr", "cloud_login: google")):
        config = f"mirrors: [{{name: a.example, upstreams: [\"https://a.example\"], {entry}}}]\n"
        exit_status, said = Registry(binary, directory / f"s6-{number}", config=config).refusal()
        checks(f"{entry}: refused, naming allow", exit_status not in (0, None) and "without allow" in said, (exit_status, said))


def canaries_are_in_no_file(checks, binary, directory):
    """Credential leaks: log, audit, catalog, errors; of upstream's account, of a client's login and of a signed URL."""
    account = "robot:c4nary-upstream"
    with World(binary, directory, "canary", account=account, credentials=account, tag_ttl="1s",
               more='token_realm: "{hub.token_host}"') as world:
        demo = world.image()
        login = {"Authorization": "Basic Y2xpZW50OmM0bmFyeS1jbGllbnQ="}      # client:c4nary-client
        answers = [world.get("/v2/docker.io/library/demo/manifests/1", headers=login), world.manifest(),
                   *(world.blob(digest, headers=login) for digest in demo.blobs)]
        for digest in demo.blobs:
            world.wait_stored(digest)
        for where, pattern, action in (("cdn", "", status(403)), ("registry", "manifests", status(500)), ("token", "", status(401))):
            world.hub.revoke_tokens()
            world.hub.fault(where, pattern, action)
            answers += [world.manifest("none"), world.blob("sha256:" + "0" * 64)]
        world.mirror.stop()
        canaries = [b"c4nary", b"Y2xpZW50OmM0bmFyeS1jbGllbnQ=", world.hub.basic_of(account).encode()[6:], b"s3cret", b"token-1"]
        found = {(path.name, canary) for path in world.mirror.directory.rglob("*") if path.is_file() and not path.is_symlink()
                 for canary in canaries if canary in path.read_bytes()}
        checks("no file of the registry's holds one", not found, found)
        checks("no answer either", not any(canary in answer.body or canary.decode() in str(answer.headers)
                                           for answer in answers for canary in canaries if canary != b"token-1"))


TESTS = [a_tag_that_was_only_looked_at_is_known_after_its_time, a_manifest_does_not_wait_for_a_layer,
         a_slow_reader_does_not_slow_the_fetch, a_redirect_on_the_same_host_keeps_its_authorization,
         one_token_a_repository_however_many_pull, a_refusal_is_remembered, a_certificate_of_a_stranger_is_named,
         a_signature_that_comes_later_is_found, a_name_that_was_ever_ours_asks_nobody, the_limit_of_a_refusal_is_read_too,
         an_account_without_allow_does_not_start, canaries_are_in_no_file]
