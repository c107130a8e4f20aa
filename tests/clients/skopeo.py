import json

from client import Client
from images import from_layout


class SkopeoTransport(Client):
    """Carries layouts to the registry and back; also for clients that have no transport of their own."""
    programs = ("skopeo",)

    def skopeo(self, command, *arguments, side=""):
        """side is "src-" or "dest-" for the commands that have two."""
        trust = f"--{side}cert-dir={self.cert_dir}" if self.tls else f"--{side}tls-verify=false"
        return self.run("skopeo", "--insecure-policy", command, trust, *arguments)

    def push(self, layout, repository, tag="1.0"):
        self.skopeo("copy", "--all", "--preserve-digests", layout.reference, f"docker://{self.name(repository, tag)}", side="dest-")

    def pull(self, repository, directory, tag="1.0"):
        self.skopeo("copy", "--all", "--preserve-digests", f"docker://{self.name(repository, tag)}", f"oci:{directory}:1.0", side="src-")
        return from_layout(directory)


class Skopeo(SkopeoTransport):
    def check_push_multi_arch(self):
        self.push(self.multi, "skopeo/multi")
        self.multi.graph.same(self.served("skopeo/multi"), "pushed")

    def check_pull_multi_arch(self):
        self.multi.graph.same(self.pull("skopeo/multi", self.directory / "pulled"), "pulled")

    def check_copy_between_repositories(self):
        both = [f"--src-cert-dir={self.cert_dir}"] if self.tls else ["--src-tls-verify=false"]
        self.skopeo("copy", "--all", "--preserve-digests", *both, f"docker://{self.name('skopeo/multi')}",
                    f"docker://{self.name('skopeo/copied/deep')}", side="dest-")
        self.multi.graph.same(self.served("skopeo/copied/deep"), "copied")

    def check_inspect(self):
        self.push(self.single, "skopeo/single")
        found = json.loads(self.skopeo("inspect", f"docker://{self.name('skopeo/single')}"))
        self.expect("digest", found["Digest"], self.single.graph.root)
        raw = self.skopeo("inspect", "--raw", f"docker://{self.name('skopeo/multi')}")
        self.expect("raw manifest", raw.encode(), self.multi.graph.parts[self.multi.graph.root])

    def check_list_tags(self):
        self.push(self.single, "skopeo/single", "2.0")
        found = json.loads(self.skopeo("list-tags", f"docker://{self.server.address}/skopeo/single"))
        self.expect("tags", found["Tags"], ["1.0", "2.0"])

    def check_sync_out_and_back(self):
        local, back = self.directory / "sync", self.directory / "sync-back"
        self.skopeo("sync", "--all", "--src", "docker", "--dest", "dir", self.name("skopeo/multi"), local, side="src-")
        self.skopeo("sync", "--all", "--src", "dir", "--dest", "docker", local, f"{self.server.address}/synced", side="dest-")
        self.multi.graph.same(self.pull("synced/multi", back), "synced")

    def check_delete(self):
        self.push(self.multi, "skopeo/deleted")
        self.skopeo("delete", f"docker://{self.name('skopeo/deleted')}")
        self.expect_status("HEAD", "/v2/skopeo/deleted/manifests/1.0", 404)
