import json
import os

from client import Client
from images import digest_of, from_layout
from logins import Logins
from releases import Releases
from server import Failure, Server


class Regctl(Releases, Logins, Client):
    programs = ("regctl",)

    def start(self):
        self.know_the_server()

    def know_the_server(self):
        trust = ["--cacert", self.server.ca.read_text()] if self.tls else ["--tls", "disabled"]
        self.regctl("registry", "set", self.server.address, *trust, "--skip-check")

    def show_certificate(self, certificate, key):
        self.regctl("registry", "set", self.server.address, "--client-cert", certificate.read_text(), "--client-key", key.read_text(), "--skip-check")

    def regctl(self, *command, **more):
        return self.run("regctl", *command, **more)

    def log_in(self, password, user="alice"):
        self.regctl("registry", "login", "--user", user, "--pass-stdin", self.server.address, input=password)

    def pull_again(self, name):
        self.regctl("manifest", "get", name)

    def pull_whole(self, name):
        self.regctl("image", "copy", name, f"ocidir://{self.directory}/whole:1.0")

    def push_as(self, layout, name):
        self.regctl("image", "copy", f"ocidir://{layout.directory}:1.0", name)

    def check_copy_in_and_out(self):
        self.regctl("image", "copy", f"ocidir://{self.multi.directory}:1.0", self.name("regctl/multi"))
        self.multi.graph.same(self.served("regctl/multi"), "copied in")
        out = self.directory / "out"
        self.regctl("image", "copy", self.name("regctl/multi"), f"ocidir://{out}:1.0")
        self.multi.graph.same(from_layout(out), "copied out")

    def check_copy_between_repositories(self):
        self.regctl("image", "copy", self.name("regctl/multi"), self.name("regctl/elsewhere"))
        self.multi.graph.same(self.served("regctl/elsewhere"), "copied")

    def check_an_index_of_what_was_pushed_before(self):
        """As `docker buildx imagetools create` does: no byte of an image is sent again."""
        digests = [digest for digest, _ in self.multi.graph.images()]
        refs = [word for digest in digests for word in ("--ref", self.name("regctl/multi", digest))]
        self.regctl("index", "create", *refs, self.name("regctl/joined"))
        joined = self.served("regctl/joined")
        self.expect("images", [entry["digest"] for entry in joined.document()["manifests"]], digests)
        self.multi.graph.same_content(joined, "joined")

    def check_artifact_and_referrers(self):
        self.regctl("artifact", "put", "--artifact-type", "application/vnd.example.sbom", "--subject", self.name("regctl/multi"),
                    input="bill of materials")
        found = json.loads(self.regctl("artifact", "list", self.name("regctl/multi"), "--format", "{{json .}}"))
        descriptors = found["descriptors"] if "descriptors" in found else found["manifests"]
        self.expect("referrers", [entry["artifactType"] for entry in descriptors], ["application/vnd.example.sbom"])
        text = self.regctl("artifact", "get", self.name("regctl/multi", descriptors[0]["digest"]))
        self.expect("artifact", text, "bill of materials")

    def check_blob(self):
        data = os.urandom(60_000).hex()
        digest = self.regctl("blob", "put", f"{self.server.address}/regctl/blobs", input=data).strip()
        self.expect("digest", digest, digest_of(data.encode()))
        self.expect("blob", self.regctl("blob", "get", f"{self.server.address}/regctl/blobs", digest), data)

    def check_list(self):
        self.regctl("image", "copy", self.name("regctl/multi"), self.name("regctl/multi", "2.0"))
        self.expect("tags", self.regctl("tag", "ls", f"{self.server.address}/regctl/multi").split(), ["1.0", "2.0"])
        self.expect("regctl/multi in the list", "regctl/multi" in self.regctl("repo", "ls", self.server.address).split(), True)

    def check_delete_tag(self):
        self.regctl("tag", "delete", self.name("regctl/multi", "2.0"))
        self.expect("tags", self.tags("regctl/multi"), ["1.0"])
        self.multi.graph.same(self.served("regctl/multi"), "the image of the other tag")

    def check_delete_manifest(self):
        self.regctl("manifest", "delete", self.name("regctl/elsewhere", self.multi.graph.root))
        self.expect_status("HEAD", "/v2/regctl/elsewhere/manifests/1.0", 404)

    # How deleting is forbidden → the server's configuration, its policy, what is done before, words of the refusal.
    forbidden = {
        "rule": ("", "tag_rules:\n  - {name: kept, repositories: [\"**\"], tags: [\"**\"], mutability: mutable, delete: deny}\n", (), "rule kept"),
        "hold": ("", "tag_rules: []\n", ("hold", "set", "trial", "regctl/kept", "--case", "1", "--reason", "the court's"), "trial"),
        "off": ("delete: off\n", "tag_rules: []\n", (), "deletion is switched off"),
    }

    def check_tag_rm_where_deleting_is_forbidden(self):
        """regctl points the tag to a dummy and deletes that: the tag must not end there, however deleting is forbidden."""
        for how, (config, policy, before, words) in self.forbidden.items():
            directory = self.directory / f"delete-{how}"
            directory.mkdir()
            (directory / "policy.yaml").write_text(f"version: 1\n{policy}")
            with Server(directory, tls=self.tls, config=f"{config}policy: {directory}/policy.yaml\n") as server, self.speaking_to(server):
                name = self.name("regctl/kept")
                self.push_as(self.single, name)
                if before:
                    self.run(server.command[0], *before, "--data", directory / "data")
                try:
                    self.regctl("tag", "rm", name)
                except Failure as failure:
                    said = str(failure)
                else:
                    raise Failure(f"{how}: the tag was removed")
                if "409" not in said and "405" not in said and words not in said:
                    raise Failure(f"{how}: the user does not read why: {said}")
                self.single.graph.same(self.served("regctl/kept"), f"{how}: after it")
