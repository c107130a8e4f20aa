import json

from client import Client
from images import Layout, digest_of, from_layout, host_architecture
from kept_logins import KeptLogins
from releases import Releases
from server import Failure


class Crane(Releases, KeptLogins, Client):
    programs = ("crane",)
    login_file = "config.json"

    def crane(self, command, *arguments):
        # Over TLS the CA comes by SSL_CERT_FILE.
        return self.run("crane", command, *([] if self.tls else ["--insecure"]), *arguments)

    def log_in(self, password, user="alice"):
        # It keeps what it is told without asking the registry.
        self.run("crane", "auth", "login", "--username", user, "--password-stdin", self.server.address, input=password)

    def pull_again(self, name):
        self.crane("manifest", name)

    def pull_whole(self, name):
        self.crane("pull", "--format=oci", name, self.directory / "whole")

    def push_as(self, layout, name):
        self.crane("push", layout.directory, name)

    def check_kaniko_would_know_the_refusal(self):
        """kaniko's --push-ignore-immutable-tag-errors looks for a registry's sentence in what go-containerregistry, which crane is
        made of too, prints of the error: kaniko up to 1.24.0 for the first or the second, its forks for the first or the third.
        kaniko 1.24.0 itself: kaniko.py."""
        known = ("The repository has enabled tag immutability", "cannot be overwritten because the repository is immutable",
                 "cannot be overwritten because the tag is immutable")
        other = Layout(self.directory / "another-build", [host_architecture()], "another build")
        self.push_as(self.single, self.name("as-kaniko/app", "1.0.0"))
        try:
            self.push_as(other, self.name("as-kaniko/app", "1.0.0"))
        except Failure as failure:
            said = str(failure)
        else:
            raise Failure("1.0.0 was pushed again")
        for version, words in (("up to 1.24.0", known[:2]), ("the forks", (known[0], known[2]))):
            self.expect(f"{version}: one of {words} in {said}", any(word in said for word in words), True)
        # ECR's present words do not depend on what is printed of the detail.
        self.expect(f"{known[2]!r} in {said}", known[2] in said, True)

    def check_push(self):
        self.crane("push", self.single.directory, self.name("crane/single"))
        self.single.graph.same(self.served("crane/single"), "pushed")

    def check_push_index(self):
        # crane pushes index.json itself: an index of an index.
        self.crane("push", "--index", self.multi.directory, self.name("crane/multi"))
        served = self.served("crane/multi")
        self.expect("nested index", served.document()["manifests"][0]["digest"], self.multi.graph.root)
        self.multi.graph.same(self.served("crane/multi", self.multi.graph.root), "pushed")

    def check_an_index_of_what_was_pushed_before(self):
        """As `docker buildx imagetools create` does: no byte of an image is sent again."""
        digests = [digest for digest, _ in self.multi.graph.images()]
        names = [word for digest in digests for word in ("-m", self.name("crane/multi", digest))]
        self.crane("index", "append", *names, "-t", self.name("crane/multi", "joined"))
        joined = self.served("crane/multi", "joined")
        self.expect("images", [entry["digest"] for entry in joined.document()["manifests"]], digests)
        self.multi.graph.same_content(joined, "joined")

    def check_pull(self):
        self.crane("pull", "--format=oci", self.name("crane/single"), self.directory / "pulled")
        self.single.graph.same(from_layout(self.directory / "pulled"), "pulled")

    def check_validate(self):
        self.crane("validate", "--remote", self.name("crane/single"))

    def check_manifest_digest_and_blob(self):
        raw = self.crane("manifest", self.name("crane/single")).encode()
        self.expect("manifest", digest_of(raw), self.single.graph.root)
        self.expect("digest", self.crane("digest", self.name("crane/single")).strip(), self.single.graph.root)
        config = json.loads(raw)["config"]["digest"]
        self.expect("blob", digest_of(self.crane("blob", self.name("crane/single", config)).encode()), config)

    def check_copy_between_repositories(self):
        self.crane("copy", self.name("crane/single"), self.name("crane/elsewhere"))
        self.single.graph.same(self.served("crane/elsewhere"), "copied")

    def check_tag_and_list(self):
        self.crane("tag", self.name("crane/single"), "2.0")
        self.expect("tags", self.crane("ls", f"{self.server.address}/crane/single").split(), ["1.0", "2.0"])

    def check_catalog(self):
        found = self.crane("catalog", self.server.address).split()
        self.expect("repositories", [name for name in found if name.startswith("crane/")],
                    ["crane/elsewhere", "crane/multi", "crane/single"])

    def check_append(self):
        extra = self.directory / "extra.tar"
        _, manifest = self.multi.graph.images()[0]
        extra.write_bytes(self.multi.graph.parts[manifest["layers"][0]["digest"]])
        self.crane("append", "-b", self.name("crane/single"), "-f", extra, "-t", self.name("crane/single", "appended"))
        self.expect("layers", len(self.served("crane/single", "appended").document()["layers"]), 3)

    def check_delete(self):
        self.crane("delete", self.name("crane/elsewhere", self.single.graph.root))
        self.expect_status("HEAD", "/v2/crane/elsewhere/manifests/1.0", 404)
        self.single.graph.same(self.served("crane/single"), "the other repository's image")
