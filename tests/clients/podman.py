import contextlib
import json
import os
import subprocess
from pathlib import Path

from client import Client
from images import from_layout
from kept_logins import KeptLogins
from mirrors import DEMO, Mirrors, documented, replaced
from releases import Releases


class Podman(Releases, KeptLogins, Mirrors, Client):
    programs = ("podman", "crun")
    login_file = "auth.json"
    needs_root = True   # rootless podman wants subordinate ids, which a build machine need not have

    def podman(self, *command, registry=False, input=None):
        """registry: the command speaks to it, so it is told how to trust it."""
        trust = []
        if registry:
            trust = [f"--cert-dir={self.cert_dir}"] if self.tls else ["--tls-verify=false"]
        # Storage of its own, nothing of the machine's; vfs because overlay on overlay does not work everywhere.
        return self.run("podman", "--root", self.directory / "storage", "--runroot", self.directory / "run",
                        "--storage-driver", "vfs", "--events-backend", "none", "--cgroup-manager", "cgroupfs",
                        command[0], *(command[1:2] if command[0] == "manifest" else []), *trust,
                        *command[2 if command[0] == "manifest" else 1:], input=input)

    def log_in(self, password, user="alice"):
        self.podman("login", "--username", user, "--password-stdin", self.server.address, registry=True, input=password)

    def pull_again(self, name):
        self.podman("pull", name, registry=True)

    @contextlib.contextmanager
    def mirrored(self, mirror):
        text = replaced(documented("stele.conf"), server=("stele.example", mirror.address))
        # Without TLS podman has to be told so.
        text = text if self.tls else text.rstrip() + "\ninsecure = true\n"
        file = mirror.directory / "registries.conf"
        file.write_text(text)
        self.variables = {"CONTAINERS_REGISTRIES_CONF": str(file)}
        try:
            yield
        finally:
            self.variables = {}

    def pull_demo(self, graph):
        self.podman("rmi", "--all", "--force")
        self.podman("pull", *([f"--cert-dir={self.cert_dir}"] if self.tls else []), DEMO)
        found = json.loads(self.podman("image", "inspect", DEMO))[0]
        digest, manifest = self.image_of_this_machine()
        self.expect("image id", f"sha256:{found['Id']}", manifest["config"]["digest"])
        self.expect("digests", {name.split("@")[1] for name in found["RepoDigests"]} & {graph.root, digest} != set(), True)
        self.podman("save", "--format", "oci-dir", "-o", self.directory / f"demo-{self.saved}", DEMO)
        saved = from_layout(self.directory / f"demo-{self.saved}")
        self.saved += 1
        self.expect("layers", saved.content()[0][1], self.layers_of_this_machine())

    saved = 0

    def stop(self):
        self.podman("rmi", "--all", "--force")

    def load(self, layout, name):
        self.podman("load", "-i", layout.archive(self.directory / "load.tar"))
        identity = self.podman("images", "--quiet", "--no-trunc").split()[0]
        self.podman("tag", identity, name)

    def push_as(self, layout, name):
        self.podman("load", "-i", layout.docker_archive(self.directory / "load.tar", name))
        self.podman("push", name, registry=True)

    def check_push(self):
        self.load(self.single, self.name("podman/single"))
        self.podman("push", self.name("podman/single"), registry=True)
        self.single.graph.same_content(self.served("podman/single"), "pushed")

    def check_pull_what_was_pushed(self):
        self.podman("rmi", "--all", "--force")
        self.podman("pull", self.name("podman/single"), registry=True)
        self.podman("save", "--format", "oci-dir", "-o", self.directory / "saved", self.name("podman/single"))
        saved = from_layout(self.directory / "saved")
        self.single.graph.same_content(saved, "pulled")
        config = self.served("podman/single").document()["config"]["digest"]
        self.expect("configuration", saved.document()["config"]["digest"], config)

    def check_digest_of_pulled(self):
        found = self.podman("image", "inspect", "--format", "{{.Digest}}", self.name("podman/single")).strip()
        self.expect("digest", found, self.served("podman/single").root)

    def check_pull_by_digest(self):
        digest = self.served("podman/single").root
        self.podman("rmi", "--all", "--force")
        self.podman("pull", self.name("podman/single", digest), registry=True)
        self.expect("images", len(set(self.podman("images", "--quiet").split())), 1)

    def check_push_manifest_list(self):
        self.podman("manifest", "create", self.name("podman/list"))
        self.podman("manifest", "add", "--all", self.name("podman/list"), f"oci:{self.multi.directory}:1.0")
        self.podman("manifest", "push", "--all", self.name("podman/list"), f"docker://{self.name('podman/list')}", registry=True)
        self.multi.graph.same_content(self.served("podman/list"), "pushed")

    def check_list_tags(self):
        self.podman("tag", self.podman("images", "--quiet").split()[0], self.name("podman/single", "2.0"))
        self.podman("push", self.name("podman/single", "2.0"), registry=True)
        # search has no --cert-dir; over TLS the CA comes by SSL_CERT_FILE.
        found = self.podman("search", "--list-tags", "--format", "json", f"{self.server.address}/podman/single",
                            registry=not self.tls)
        self.expect("tags", json.loads(found)[0]["Tags"], ["1.0", "2.0"])

    def check_partial_pulls_of_zstd_chunked(self):
        directory = self.directory / "partial"
        (directory / "context").mkdir(parents=True)
        files = {name: os.urandom(size) for name, size in (("large", 3_000_000), ("larger", 5_000_000), ("small", 100))}
        for name, data in files.items():
            (directory / "context" / name).write_bytes(data)
        (directory / "context/Containerfile").write_text("FROM scratch\nCOPY large larger small /\n")
        # Parts of a layer go into the overlay driver alone.
        (directory / "storage.conf").write_text(
            f'[storage]\ndriver = "overlay"\ngraphroot = "{directory}/storage"\nrunroot = "{directory}/run"\n[storage.options]\n'
            'pull_options = {enable_partial_images = "true", use_hard_links = "false", ostree_repos = ""}\n')
        name = self.name("podman/partial")
        trust = [f"--cert-dir={self.cert_dir}"] if self.tls else ["--tls-verify=false"]
        self.variables = {"CONTAINERS_STORAGE_CONF": str(directory / "storage.conf")}
        try:
            podman = ["podman", "--events-backend", "none", "--cgroup-manager", "cgroupfs"]
            self.run(*podman, "build", "--tag", name, directory / "context")
            self.run(*podman, "push", "--compression-format", "zstd:chunked", *trust, name)
            self.run(*podman, "rmi", "--all", "--force")
            done = subprocess.run([self.find("podman"), *podman[1:], "--log-level", "debug", "pull", *trust, name], text=True,
                                  env=self.environment(), cwd=directory, capture_output=True, timeout=self.patience)
            self.expect("pull", done.returncode, 0)
            told = [line for line in done.stderr.splitlines() if "partial blob" in line]
            self.expect(f"pulled in parts: {told}", [line for line in told if "Retrieved partial blob" in line] != [], True)
            mounted = Path(self.run(*podman, "image", "mount", name).strip())
            for name_of, data in files.items():
                self.expect(name_of, (mounted / name_of).read_bytes() == data, True)
            self.run(*podman, "image", "umount", "--all")
            self.run(*podman, "rmi", "--all", "--force")
        finally:
            self.variables = {}
