import base64
import contextlib
import json
import shutil

from client import Client
from daemon import Daemon
from images import from_layout, push
from logins import Logins
from mirrors import Mirrors, documented, replaced
from releases import Releases
from server import Server


class Buildkit(Releases, Logins, Mirrors, Client):
    """buildkitd with its OCI worker, and buildctl. Its builds run nothing: they copy a file into an empty image or label another."""
    programs = ("buildctl", "buildkitd", "runc")
    needs_root = True
    daemon = None
    login_asked = ("authorization failed",)
    pull_denied = "403 Forbidden: no right pull in secret/app"   # it asks by HEAD first, which has no body

    def start(self):
        self.context = self.directory / "context"
        self.context.mkdir()
        self.know_the_server()

    def start_with(self, config):
        """It reads its file when it starts."""
        self.stop()
        (self.directory / "buildkitd.toml").write_text(config)
        # Mounts of its own: nothing of it is left on the machine.
        self.daemon = Daemon([self.find("unshare"), "--mount", self.find("buildkitd"), "--config", self.directory / "buildkitd.toml",
                              "--root", self.directory / "root", "--addr", self.socket(), "--containerd-worker=false",
                              "--oci-worker-snapshotter=native", "--oci-worker-net=host", "--oci-worker-binary", self.find("runc")],
                             self.environment(), self.directory / "buildkitd.log", lambda: self.buildctl("debug", "workers"))

    def socket(self):
        return f"unix://{self.directory}/buildkitd.sock"

    def buildctl(self, *command):
        return self.run("buildctl", "--addr", self.socket(), *command)

    def registries(self):
        # Loopback is plain to it unless it is told.
        trust = f'ca = ["{self.server.ca}"]\n  http = false' if self.tls else "http = true"
        return f'[registry."{self.server.address}"]\n  {trust}\n'

    def know_the_server(self):
        self.start_with(self.registries())

    @contextlib.contextmanager
    def speaking_to(self, server):
        with super().speaking_to(server):
            yield server
        self.know_the_server()

    def stop(self):
        if self.daemon:
            self.daemon.stop()
            self.daemon = None

    def build(self, dockerfile, output):
        (self.context / "Dockerfile").write_text(dockerfile)
        self.buildctl("build", "--frontend=dockerfile.v0", "--local", f"context={self.context}", "--local", f"dockerfile={self.context}",
                      "--opt", "build-arg:SOURCE_DATE_EPOCH=1700000000", "--output", output)

    def push_as(self, layout, name):
        _, manifest = layout.graph.images()[0]
        (self.context / "content").write_bytes(layout.note.encode() + layout.graph.parts[manifest["layers"][0]["digest"]])
        self.build("FROM scratch\nCOPY content /content\n", f"type=image,name={name},push=true")

    def log_in(self, password, user="alice"):
        account = base64.b64encode(f"{user}:{password}".encode()).decode()
        (self.home / "config.json").write_text(json.dumps({"auths": {self.server.address: {"auth": account}}}))

    def pull_again(self, name):
        self.build_on(name)

    def build_on(self, name):
        """Forgets everything, builds on that image; what was built, as it was put into a layout."""
        self.buildctl("prune", "--all")
        built = self.directory / "built"
        shutil.rmtree(built, ignore_errors=True)
        self.build(f"FROM {name}\nLABEL built=here\n", f"type=oci,tar=false,dest={built}")
        return from_layout(built)

    @contextlib.contextmanager
    def mirrored(self, mirror):
        text = replaced(documented("buildkitd.toml"), server=("stele.example", mirror.address),
                        ca=("/etc/ssl/stele-ca.pem", str(mirror.ca)))
        ca = f'ca = ["{mirror.ca}"]'
        self.start_with(text.replace(ca, f"{ca}\n  http = false" if self.tls else "http = true"))
        yield

    def pull_demo(self, graph):
        self.expect_layers(self.build_on("demo:1.0"), graph)

    def expect_layers(self, built, graph):
        _, manifest = self.image_of_this_machine()
        layers = [layer["digest"] for layer in manifest["layers"]]
        self.expect("layers", [layer["digest"] for layer in built.document()["layers"]], layers)
        for digest in layers:
            self.expect(f"bytes of {digest}", built.parts[digest] == graph.parts[digest], True)

    def check_build_and_push(self):
        self.push_as(self.single, self.name("buildkit/app"))
        image = self.served("buildkit/app")
        self.expect("layers", len(image.document()["layers"]), 1)
        image.content()   # its layers are those that its configuration speaks of

    def check_build_on_a_pulled_base(self):
        push(self.server, "buildkit/base", self.multi.graph)
        self.expect_layers(self.build_on(self.name("buildkit/base")), self.multi.graph)

    def check_cache_in_the_registry(self):
        """The cache is a manifest of a kind of its own; it moves, and is read back."""
        def said_with(content):
            self.buildctl("prune", "--all")
            (self.context / "content").write_text(content)
            (self.context / "Dockerfile").write_text("FROM scratch\nCOPY content /content\n")
            cache = f"type=registry,ref={self.name('buildkit/cache', 'main')}"
            return self.run("sh", "-c", 'exec "$0" "$@" 2>&1', self.find("buildctl"), "--addr", self.socket(), "build", "--progress=plain",
                            "--frontend=dockerfile.v0", "--local", f"context={self.context}", "--local", f"dockerfile={self.context}",
                            "--export-cache", f"{cache},mode=max", "--import-cache", cache)

        for content, cached in (("first", False), ("second", False), ("second", True)):
            said = said_with(content)
            self.expect(f"{content}, from the cache:\n{said}", " CACHED" in said, cached)

    def check_a_mirrors_path_does_as_well(self):
        """stele.example/docker.io: what other registries want here. The path and what buildkit says of the registry name the same."""
        directory = self.directory / "path"
        with Server(directory / "u") as source:
            push(source, "team/demo", self.multi.graph)
            config = f"mirrors:\n  - name: ghcr.io\n    upstreams: [{source.url}]\n"
            with Server(directory / "m", tls=self.tls, config=config) as mirror, self.speaking_to(mirror):
                for path in ("", "/ghcr.io"):
                    self.start_with(f'[registry."ghcr.io"]\n  mirrors = ["{mirror.address}{path}"]\n{self.registries()}')
                    self.expect_layers(self.build_on("ghcr.io/team/demo:1.0"), self.multi.graph)
                status, _, listed = mirror.request("GET", "/v2/_catalog")
                self.expect("one repository", (status, json.loads(listed)["repositories"]), (200, ["ghcr.io/team/demo"]))
