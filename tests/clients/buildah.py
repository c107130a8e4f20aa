from client import Client
from images import from_layout


class Buildah(Client):
    programs = ("buildah", "crun")
    needs_root = True

    def buildah(self, command, *arguments, registry=False):
        """registry: the command speaks to it, so it is told how to trust it."""
        trust = []
        if registry:
            trust = [f"--cert-dir={self.cert_dir}"] if self.tls else ["--tls-verify=false"]
        return self.run("buildah", "--root", self.directory / "storage", "--runroot", self.directory / "run",
                        "--storage-driver", "vfs", command, *trust, *arguments)

    def stop(self):
        self.buildah("rm", "--all")
        self.buildah("rmi", "--all", "--force")

    def check_build_and_push(self):
        (self.directory / "payload").write_bytes(self.single.graph.parts[self.single.graph.root])
        container = self.buildah("from", "scratch").strip()
        self.buildah("copy", container, self.directory / "payload", "/payload")
        self.buildah("config", "--label", "made-by=buildah", container)
        self.buildah("commit", "--format", "oci", container, self.name("buildah/built"))
        self.buildah("push", self.name("buildah/built"), registry=True)
        self.buildah("push", self.name("buildah/built"), f"oci:{self.directory / 'before'}:1.0")
        from_layout(self.directory / "before").same_content(self.served("buildah/built"), "pushed")

    def check_pull_what_was_pushed(self):
        self.buildah("rm", "--all")
        self.buildah("rmi", "--all", "--force")
        self.buildah("pull", self.name("buildah/built"), registry=True)
        self.buildah("push", self.name("buildah/built"), f"oci:{self.directory / 'after'}:1.0")
        before, after = from_layout(self.directory / "before"), from_layout(self.directory / "after")
        before.same_content(after, "pulled")
        self.expect("configuration", after.document()["config"], before.document()["config"])

    def check_build_on_a_pulled_base(self):
        (self.directory / "Containerfile").write_text(
            f"FROM {self.name('buildah/built')}\nCOPY payload /again\nLABEL second=yes\n")
        self.buildah("build", "--layers", "--pull-always", "-t", self.name("buildah/child"), "-f",
                     self.directory / "Containerfile", self.directory, registry=True)
        self.buildah("push", self.name("buildah/child"), registry=True)
        base, child = self.served("buildah/built").document(), self.served("buildah/child").document()
        self.expect("shared layer", child["layers"][0]["digest"], base["layers"][0]["digest"])

    def check_push_manifest_list(self):
        self.buildah("manifest", "create", self.name("buildah/list"))
        self.buildah("manifest", "add", "--all", self.name("buildah/list"), f"oci:{self.multi.directory}:1.0")
        trust = [f"--cert-dir={self.cert_dir}"] if self.tls else ["--tls-verify=false"]
        self.buildah("manifest", "push", "--all", *trust, self.name("buildah/list"), f"docker://{self.name('buildah/list')}")
        self.multi.graph.same_content(self.served("buildah/list"), "pushed")
