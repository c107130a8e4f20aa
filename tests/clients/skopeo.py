import json
import socket

from client import Client
from images import from_layout
from kept_logins import KeptLogins
from releases import Releases


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


class Skopeo(Releases, KeptLogins, SkopeoTransport):
    login_file = "auth.json"

    def log_in(self, password, user="alice"):
        trust = [f"--cert-dir={self.cert_dir}"] if self.tls else ["--tls-verify=false"]
        self.run("skopeo", "login", *trust, "--username", user, "--password-stdin", self.server.address, input=password)

    def pull_again(self, name):
        self.skopeo("inspect", "--raw", f"docker://{name}")

    def pull_whole(self, name):
        self.skopeo("copy", f"docker://{name}", f"dir:{self.directory}/whole", side="src-")

    def push_as(self, layout, name):
        self.skopeo("copy", "--preserve-digests", layout.reference, f"docker://{name}", side="dest-")

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

    def check_wrong_scheme_is_refused_at_once(self):
        # docker, podman, buildah and skopeo try https first on a registry that they may use without TLS. A server that
        # waits for the rest of a header then costs each of their commands ten seconds; it ends without an answer.
        host, port = self.server.address.split(":")
        said = b""
        with socket.create_connection((host, int(port)), timeout=120) as connection:
            client_hello = b"\x16\x03\x01\x00\x2e\x01\x00\x00\x2a\x03\x03" + bytes(32) + b"\x00\x00\x02\x13\x01\x01\x00"
            connection.sendall(b"GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n" if self.tls else client_hello)
            try:
                while more := connection.recv(4096):
                    said += more
            except ConnectionError:
                pass
        if not self.tls:
            self.expect("a TLS handshake without TLS", b" 400 " in said[:20] and b"a TLS handshake came to a plain HTTP port" in said, True)
