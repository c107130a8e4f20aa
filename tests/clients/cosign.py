import json

from client import Client


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
