import base64
import contextlib
import re
import shutil

from client import Client
from daemon import Daemon
from images import digest_of, push
from logins import Releaser
from mirrors import DEMO, PAGE, Mirrors, write_hosts_file
from pull_secrets import PAGE as PULL_SECRETS, PullSecrets, rules
from server import NotTried


class Cri(Mirrors, PullSecrets, Client):
    """containerd with its CRI plugin, as a kubelet has it: crictl asks it for images, and nothing runs in it."""
    programs = ("crictl", "containerd", "ctr")
    needs_root = True
    daemon = None

    def start(self):
        self.certs = self.directory / "certs.d"
        self.certs.mkdir()
        key, section = re.search(r"`(config_path = )\"/etc/containerd/certs\.d\"` stands below\s+`(\[plugins\.\S+\])`", PAGE.read_text()).groups()
        config = self.directory / "containerd.toml"
        config.write_text(f'version = 2\nroot = "{self.directory}/root"\nstate = "{self.directory}/state"\n'
                          f'[grpc]\n  address = "{self.socket}"\n[ttrpc]\n  address = "{self.socket}.ttrpc"\n'
                          f'[plugins."io.containerd.grpc.v1.cri".containerd]\n  snapshotter = "native"\n'
                          f'{section}\n  {key}"{self.certs}"\n')
        self.daemon = Daemon([self.find("containerd"), "--config", config], self.environment(), self.directory / "containerd.log",
                             lambda: self.crictl("images"))

    def stop(self):
        if self.daemon:
            self.daemon.stop()

    @property
    def socket(self):
        return self.directory / "containerd.sock"

    def crictl(self, *command):
        return self.run("crictl", "--runtime-endpoint", f"unix://{self.socket}", "--timeout", "60s", *command)

    @contextlib.contextmanager
    def mirrored(self, mirror):
        write_hosts_file(self.certs, mirror)
        try:
            yield
        finally:
            shutil.rmtree(self.certs / "docker.io")

    def pull_demo(self, graph):
        self.crictl("rmi", "--all")
        self.expect("content left", self.run("ctr", "--address", self.socket, "--namespace", "k8s.io", "content", "ls", "--quiet").split(), [])
        said = self.crictl("pull", DEMO)
        digest, manifest = self.image_of_this_machine()
        self.expect(f"the image's id in {said}", manifest["config"]["digest"] in said, True)
        for part in (graph.root, digest, *self.blobs_of_this_machine()):
            path = self.directory / "root/io.containerd.content.v1.content/blobs" / part.replace(":", "/")
            self.expect(f"bytes of {part}", digest_of(path.read_bytes()), part)

    def check_zot_over_tls_through_a_mirror(self):
        if not self.find("zot"):
            raise NotTried("zot could not be had; 'scripts/go_tools.sh zot' says why")
        self.another_registry_over_tls("zot")

    @contextlib.contextmanager
    def reaching(self, more=""):
        hosts = self.certs / self.server.address
        hosts.mkdir()
        ca = f'  ca = "{self.server.ca}"\n' if self.tls else ""
        (hosts / "hosts.toml").write_text(f'server = "{self.server.url}"\n[host."{self.server.url}"]\n  capabilities = ["pull", "resolve"]\n{ca}{more}')
        try:
            yield
        finally:
            shutil.rmtree(hosts)

    def check_a_login_of_the_node_itself(self):
        """In its hosts.toml, as docs/robots.md says: for whatever it pulls from that registry, without a pull secret."""
        documented = re.search(r'^\[host\."https://registry\.example\.com"\.header\]\n( +authorization = "Basic .*")$', PULL_SECRETS.read_text(), re.M)[1]
        with self.where_one_logs_in("node-login", rules()) as server, self.speaking_to(server):
            push(Releaser(server), "prod/app", self.single.graph)
            account = base64.b64encode(f"k8s-prod-eu:{self.robot('k8s-prod-eu')}".encode()).decode()
            line = re.sub('Basic .*"', f'Basic {account}"', documented)
            with self.reaching(f'[host."{server.url}".header]\n{line}\n'):
                self.crictl("rmi", "--all")
                self.crictl("pull", self.name("prod/app"))
                self.expect("the image's id", self.single.graph.document()["config"]["digest"].partition(":")[2] in self.crictl("inspecti", self.name("prod/app")), True)
