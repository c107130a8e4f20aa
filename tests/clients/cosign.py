import contextlib
import json
import time

from client import Client
from server import Failure, Server


class Cosign(Client):
    """Signing without the public services: a key of our own, no transparency log. Under the built-in rules: the
    image's tag is immutable, and the tags that the old format makes (sha256-<hex>.sig, .att) are append-only."""
    programs = ("cosign", "crane")
    bundle = "application/vnd.dev.sigstore.bundle.v0.3+json"

    def environment(self):
        return dict(super().environment(), COSIGN_PASSWORD="", SIGSTORE_NO_CACHE="true")

    def start(self):
        self.run("cosign", "generate-key-pair")
        (self.directory / "predicate.json").write_text('{"built": "here"}')

    def cosign(self, verb, *options, name):
        trust = [] if self.tls else ["--allow-http-registry"]
        return self.run("cosign", verb, *options, *trust, name)

    def push(self, repository):
        """The digest of an image in a repository of its own for each format."""
        trust = [] if self.tls else ["--insecure"]
        self.run("crane", "push", *trust, "--index", self.multi.directory, self.name(repository, "1.0.0"))
        return self.served(repository, "1.0.0").root

    def sign_and_attest(self, name, new):
        offline = ["--tlog-upload=false", "--use-signing-config=false", f"--new-bundle-format={str(new).lower()}", "--yes",
                   "--key", "cosign.key"]
        for turn in ("first", "second"):
            self.cosign("sign", *offline, "-a", f"turn={turn}", name=name)
            self.cosign("attest", *offline, "--type", "custom", "--predicate", "predicate.json", name=name)

    def verify(self, name, new):
        key = ["--key", "cosign.pub", "--insecure-ignore-tlog=true", f"--new-bundle-format={str(new).lower()}"]
        self.cosign("verify", *key, name=name)
        self.cosign("verify-attestation", *key, "--type", "custom", name=name)

    def check_tags_of_the_old_format(self):
        digest = self.push("cosign/old")
        self.sign_and_attest(self.name("cosign/old", digest), new=False)
        self.verify(self.name("cosign/old", digest), new=False)
        tag = digest.replace(":", "-")
        for ending, layers in ((".sig", 2), (".att", 2)):
            _, _, body = self.server.request("GET", f"/v2/cosign/old/manifests/{tag}{ending}", headers={"Accept": "*/*"})
            self.expect(f"layers of {ending}", len(json.loads(body)["layers"]), layers)
            # A signature is evidence: the built-in rule keeps it.
            self.expect_status("DELETE", f"/v2/cosign/old/manifests/{tag}{ending}", 409)

    def check_referrers_of_the_new_format(self):
        digest = self.push("cosign/new")
        self.sign_and_attest(self.name("cosign/new", digest), new=True)
        self.verify(self.name("cosign/new", digest), new=True)
        _, _, body = self.server.request("GET", f"/v2/cosign/new/referrers/{digest}")
        kinds = [entry["artifactType"] for entry in json.loads(body)["manifests"]]
        self.expect("referrers", kinds, [self.bundle] * 4)

    def check_two_signers(self):
        """The same payload signed by two: the second signature drops nothing of the first."""
        digest = self.push("cosign/two")
        name = self.name("cosign/two", digest)
        offline = ["--tlog-upload=false", "--use-signing-config=false", "--new-bundle-format=false", "--yes"]
        self.run("cosign", "generate-key-pair", "--output-key-prefix", "second")
        for key in ("cosign", "second", "cosign"):
            self.cosign("sign", *offline, "--key", f"{key}.key", name=name)
        for key in ("cosign", "second"):
            self.cosign("verify", "--key", f"{key}.pub", "--insecure-ignore-tlog=true", "--new-bundle-format=false", name=name)
        tag = digest.replace(":", "-") + ".sig"
        _, _, body = self.server.request("GET", f"/v2/cosign/two/manifests/{tag}", headers={"Accept": "*/*"})
        manifest = json.loads(body)
        payloads = {layer["digest"] for layer in manifest["layers"]}
        self.expect("signatures, of one payload", (len(manifest["layers"]) >= 2, len(payloads)), (True, 1))
        # One that drops a signature is refused, though every payload is still there.
        manifest["layers"] = manifest["layers"][:1]
        status, _, said = self.server.request("PUT", f"/v2/cosign/two/manifests/{tag}", json.dumps(manifest),
                                              {"Content-Type": manifest["mediaType"]})
        self.expect("dropping a signature", (status, b"append-only" in said), (409, True))

    def check_signatures_through_a_mirror(self):
        self.through_a_mirror("stele")

    def check_signatures_through_a_mirror_of_a_registry_without_referrers(self):
        """Distribution 2.8: what the new format attaches is listed by the fallback tag alone."""
        self.through_a_mirror("docker-registry")

    def through_a_mirror(self, kind):
        """Signed upstream, in both formats; verified through the mirror, once more, and with the upstream stopped."""
        directory = self.directory / f"mirrored-{kind}"
        formats = {"old": False, "new": True}
        with contextlib.ExitStack() as running:
            upstream = running.enter_context(Server(directory / "u", tls=self.tls, kind=kind))
            with self.speaking_to(upstream):
                digests = {name: self.push(f"far/{name}") for name in (*formats, "unsigned")}
                for name, new in formats.items():
                    self.sign_and_attest(self.name(f"far/{name}", digests[name]), new)
            ca = f"    ca: {upstream.ca}\n" if self.tls else ""
            config = f"mirrors:\n  - name: far.example\n    upstreams: [\"{upstream.url}\"]\n    tag_ttl: 1s\n    missing_ttl: 1s\n{ca}"
            with Server(directory / "m", tls=self.tls, config=config) as mirror, self.speaking_to(mirror):
                for _ in range(2):
                    self.verified_there(formats, digests)
                self.not_verified("far.example/far/unsigned", digests["unsigned"])
                running.close()     # the upstream stops
                for name in formats:
                    self.until_stale(f"/v2/far.example/far/{name}/manifests/1.0.0")
                self.verified_there(formats, digests)

    def verified_there(self, formats, digests):
        for name, new in formats.items():
            for reference in (digests[name], "1.0.0"):
                self.verify(self.name(f"far.example/far/{name}", reference), new)

    def not_verified(self, repository, digest):
        for new in (False, True):
            try:
                self.verify(self.name(repository, digest), new)
            except Failure as failure:
                self.expect(f"what it says of an image without signatures: {failure}", "no signatures found" in str(failure), True)
            else:
                raise Failure(f"{repository}@{digest} is not signed, and was verified")

    def until_stale(self, path):
        deadline = time.monotonic() + 120
        while "Warning" not in self.server.request("HEAD", path, headers={"Accept": "*/*"})[1]:
            if time.monotonic() > deadline:
                raise Failure(f"{path} is believed for longer than its time")
            time.sleep(0.05)
