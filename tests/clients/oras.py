import json
import os

from client import Client
from images import digest_of, from_layout
from kept_logins import KeptLogins
from releases import Releases


class Oras(Releases, KeptLogins, Client):
    programs = ("oras",)
    login_file = "config.json"
    reads_back = True

    certificate = ()

    def show_certificate(self, certificate, key):
        self.certificate = ("cert-file", certificate), ("key-file", key)

    def oras(self, *command, side="", **more):
        """command and its options; side is "from-" or "to-" for those that have two."""
        trust = f"--{side}ca-file={self.server.ca}" if self.tls else f"--{side}plain-http"
        shown = [f"--{side}{option}={file}" for option, file in self.certificate]
        return self.run("oras", *command, trust, *shown, **more)

    def log_in(self, password, user="alice"):
        self.oras("login", "--username", user, "--password-stdin", self.server.address, input=password)

    def pull_again(self, name):
        self.oras("manifest", "fetch", name)

    def pull_whole(self, name):
        self.oras("cp", "--to-oci-layout", name, f"{self.directory}/whole:1.0", side="from-")

    def push_as(self, layout, name):
        self.oras("cp", "--from-oci-layout", f"{layout.directory}:1.0", name, side="to-")

    def check_push_and_pull_files(self):
        data = os.urandom(200_000)
        (self.directory / "report.bin").write_bytes(data)
        self.oras("push", self.name("oras/files"), "--artifact-type", "application/vnd.example.report",
                  "report.bin:application/octet-stream")
        self.oras("pull", self.name("oras/files"), "-o", self.directory / "pulled")
        self.expect("file", (self.directory / "pulled/report.bin").read_bytes() == data, True)

    def check_copy_in_and_out(self):
        self.oras("cp", "--from-oci-layout", f"{self.multi.directory}:1.0", self.name("oras/multi"), side="to-")
        self.multi.graph.same(self.served("oras/multi"), "copied in")
        out = self.directory / "out"
        self.oras("cp", "--to-oci-layout", self.name("oras/multi"), f"{out}:1.0", side="from-")
        self.multi.graph.same(from_layout(out), "copied out")

    def attach(self, kind, text):
        (self.directory / "signature.txt").write_text(text)
        self.oras("attach", self.name("oras/multi"), "--artifact-type", kind, "signature.txt:text/plain")

    def check_attach_and_discover(self):
        self.attach("application/vnd.example.sbom", "bill of materials")
        self.attach("application/vnd.example.signature", "signed")
        found = self.discover()
        self.expect("referrers", sorted(entry["artifactType"] for entry in found),
                    ["application/vnd.example.sbom", "application/vnd.example.signature"])
        filtered = self.discover("--artifact-type", "application/vnd.example.sbom")
        self.expect("filtered", [entry["artifactType"] for entry in filtered], ["application/vnd.example.sbom"])
        self.oras("pull", self.name("oras/multi", filtered[0]["digest"]), "-o", self.directory / "sbom")
        self.expect("attachment", (self.directory / "sbom/signature.txt").read_text(), "bill of materials")

    def discover(self, *options):
        found = json.loads(self.oras("discover", "--format", "json", *options, self.name("oras/multi")))
        return found.get("referrers", found.get("manifests")) or []

    def check_copy_with_referrers(self):
        out = self.directory / "recursive"
        self.oras("cp", "-r", "--to-oci-layout", self.name("oras/multi"), f"{out}:1.0", side="from-")
        self.multi.graph.same(from_layout(out), "copied out")
        self.oras("cp", "-r", "--from-oci-layout", f"{out}:1.0", self.name("oras/again"), side="to-")
        status, _, body = self.server.request("GET", f"/v2/oras/again/referrers/{self.multi.graph.root}")
        self.expect("referrers copied", (status, len(json.loads(body)["manifests"])), (200, 2))

    def check_tag_and_list(self):
        self.oras("tag", self.name("oras/multi"), "2.0")
        found = self.oras("repo", "tags", f"{self.server.address}/oras/multi").split()
        self.expect("tags", found, ["1.0", "2.0"])
        self.expect("oras/multi in the list", "oras/multi" in self.oras("repo", "ls", self.server.address).split(), True)

    def check_blob(self):
        data = os.urandom(50_000)
        (self.directory / "blob").write_bytes(data)
        self.oras("blob", "push", f"{self.server.address}/oras/blobs", "blob")
        self.oras("blob", "fetch", self.name("oras/blobs", digest_of(data)), "--output", "fetched")
        self.expect("blob", (self.directory / "fetched").read_bytes() == data, True)

    def check_delete(self):
        self.oras("manifest", "delete", "--force", self.name("oras/files"))
        self.expect_status("HEAD", "/v2/oras/files/manifests/1.0", 404)
