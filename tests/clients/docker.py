import base64
import contextlib
import hashlib
import json
import re
import tarfile

from daemon import Daemon
from images import host_architecture, uncompressed
from kept_logins import KeptLogins
from mirrors import DEMO, Mirrors, documented, replaced
from releases import Releases
from server import ROOT
from skopeo import SkopeoTransport


class Docker(Releases, KeptLogins, Mirrors, SkopeoTransport):
    """dockerd, started by hand with its own data, state and socket. It makes manifests of its own, so what it pushed is
    compared by configuration and uncompressed layers. skopeo brings the multi-arch image that it pulls.

    dockerd takes 127.0.0.0/8 for insecure registries: over TLS it does not check the certificate there."""
    programs = ("docker", "dockerd", "skopeo")
    needs_root = True
    daemon = None
    login_file = "config.json"
    configuration = ()
    wrapper = ()   # what starts dockerd

    def start(self):
        self.daemon = self.dockerd(self.directory)

    def dockerd(self, directory, *options):
        self.socket = f"unix://{directory}/docker.sock"
        # No network of its own (bridge, iptables): nothing runs in it, and the machine's rules stay as they are.
        return Daemon([*self.wrapper, self.find("dockerd"), "--data-root", directory / "data", "--exec-root", directory / "exec", "--host",
                       self.socket, "--pidfile", directory / "docker.pid", "--storage-driver", "vfs", "--iptables=false",
                       "--ip6tables=false", "--bridge=none", *options],
                      self.environment(), directory / "dockerd.log", lambda: self.docker("version"))

    def stop(self):
        if self.daemon:
            self.daemon.stop()

    def docker(self, *command, **more):
        return self.run("docker", *self.configuration, "--host", self.socket, *command, **more)

    def identity(self, name):
        return self.docker("image", "inspect", "--format", "{{.Id}}", name).strip()

    login_asked = ("requested access to the resource is denied",)   # its own words for a 401

    def log_in(self, password, user="alice"):
        self.docker("login", "--username", user, "--password-stdin", self.server.address, input=password)

    def pull_again(self, name):
        self.docker("pull", name)

    def push_as(self, layout, name):
        self.docker("load", "--input", layout.docker_archive(self.directory / "load.tar", name))
        self.docker("push", name)

    @contextlib.contextmanager
    def mirrored(self, mirror):
        directory, socket = mirror.directory.parent, self.socket
        (directory / "daemon.json").write_text(replaced(documented("daemon.json"), server=("https://stele.example", mirror.url)))
        second = self.dockerd(directory, "--config-file", directory / "daemon.json")
        try:
            yield
        finally:
            self.socket = socket
            second.stop()

    def check_a_login_for_docker_hub_does_not_keep_it_from_the_mirror(self):
        """It sends the mirror what it has for Docker Hub."""
        config = self.directory / "hub-login"
        config.mkdir()
        secret = base64.b64encode(b"hub-user:hub-secret").decode()
        (config / "config.json").write_text(json.dumps({"auths": {"https://index.docker.io/v1/": {"auth": secret}}}))
        self.configuration = ("--config", config)
        try:
            self.check_a_mirror_for_everybody_where_one_has_to_log_in("hub-login-users")
        finally:
            self.configuration = ()

    def pull_demo(self, graph):
        for identity in set(self.docker("images", "--quiet", "--no-trunc").split()):
            self.docker("image", "rm", "--force", identity)
        said = self.docker("pull", "demo:1.0")
        self.expect(f"Digest: {graph.root} in what docker said", f"Digest: {graph.root}" in said, True)
        self.expect("image id", self.identity(DEMO), self.image_of_this_machine()[1]["config"]["digest"])
        self.expect("layers", self.saved_layers(DEMO), self.layers_of_this_machine())

    def check_push(self):
        name = self.name("docker/single")
        self.docker("load", "--input", self.single.docker_archive(self.directory / "load.tar", name))
        self.docker("push", name)
        served = self.served("docker/single")
        self.single.graph.same_content(served, "pushed")
        self.expect("image id", self.identity(name), served.document()["config"]["digest"])

    def check_pull_what_was_pushed(self):
        name, served = self.name("docker/single"), self.served("docker/single")
        self.docker("image", "rm", "--force", self.identity(name))
        said = self.docker("pull", name)
        self.expect(f"Digest: {served.root} in what docker said", f"Digest: {served.root}" in said, True)
        self.expect("image id", self.identity(name), served.document()["config"]["digest"])
        self.expect("layers", self.saved_layers(name), self.single.graph.content()[0][1])

    def saved_layers(self, name):
        """The digests of the uncompressed layers of `docker save`."""
        self.docker("save", "--output", self.directory / "saved.tar", name)
        with tarfile.open(self.directory / "saved.tar") as tar:
            manifest = json.load(tar.extractfile("manifest.json"))[0]
            return ["sha256:" + hashlib.sha256(uncompressed(tar.extractfile(path).read())).hexdigest()
                    for path in manifest["Layers"]]

    def check_pull_multi_arch(self):
        self.push(self.multi, "docker/multi")
        name = self.name("docker/multi")
        self.docker("pull", "--platform", "linux/arm64", name)
        wanted = [layers for architecture, layers in self.multi.graph.content() if architecture == "arm64"][0]
        self.expect("layers", self.saved_layers(name), wanted)
        digests = self.docker("image", "inspect", "--format", "{{join .RepoDigests \" \"}}", name).split()
        self.expect("repo digest", digests, [self.name("docker/multi", self.multi.graph.root)])

    def check_pull_by_digest(self):
        name = self.name("docker/multi", self.multi.graph.root)
        self.docker("image", "rm", "--force", self.identity(name))
        self.docker("pull", name)
        wanted = [layers for architecture, layers in self.multi.graph.content() if architecture == host_architecture()][0]
        self.docker("tag", name, self.name("docker/multi", "mine"))
        self.expect("layers", self.saved_layers(self.name("docker/multi", "mine")), wanted)

    def check_push_again_and_to_another_repository(self):
        self.docker("push", self.name("docker/single"))
        self.docker("tag", self.name("docker/single"), self.name("docker/elsewhere"))
        said = self.docker("push", self.name("docker/elsewhere"))
        self.expect("'Mounted from docker/single' in what docker said", "Mounted from docker/single" in said, True)
        self.served("docker/single").same(self.served("docker/elsewhere"), "pushed elsewhere")

    def check_import_and_push(self):
        # docker import makes an image from a plain tar.
        _, manifest = self.multi.graph.images()[0]
        tar = self.directory / "import.tar"
        tar.write_bytes(uncompressed(self.multi.graph.parts[manifest["layers"][0]["digest"]]))
        self.docker("import", tar, self.name("docker/imported"))
        self.docker("push", self.name("docker/imported"))
        self.expect("layers", self.served("docker/imported").content()[0][1], self.saved_layers(self.name("docker/imported")))

    def check_list_and_all_tags(self):
        self.docker("tag", self.name("docker/single"), self.name("docker/single", "2.0"))
        self.docker("push", self.name("docker/single", "2.0"))
        self.expect("tags", self.tags("docker/single"), ["1.0", "2.0"])
        self.docker("image", "rm", "--force", self.identity(self.name("docker/single")))
        self.docker("pull", "--all-tags", f"{self.server.address}/docker/single")
        found = self.docker("images", "--format", "{{.Tag}}", f"{self.server.address}/docker/single").split()
        self.expect("pulled tags", sorted(found), ["1.0", "2.0"])

    def check_the_lines_of_the_readme(self):
        lines = re.findall(r"^docker (.*)$", (ROOT / "README.md").read_text(), re.M)
        self.expect("commands in README.md", [line.split()[0] for line in lines], ["pull", "tag", "push", "pull"])
        self.expect("the first one", lines[0], "pull alpine")
        # An image from here stands for the one that Docker Hub would give.
        self.docker("load", "--input", self.single.docker_archive(self.directory / "alpine.tar", "alpine:latest"))
        for line in lines[1:]:
            self.docker(*line.replace("127.0.0.1:5000", self.server.address).split())
        self.single.graph.same_content(self.served("demo/app", "1.0.0"), "pushed as README.md says")
