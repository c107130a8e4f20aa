import contextlib
import re
import shutil

from client import Client
from daemon import Daemon
from images import digest_of
from mirrors import DEMO, PAGE, Mirrors, write_hosts_file


class Cri(Mirrors, Client):
    """containerd with its CRI plugin, as a kubelet has it: crictl asks it for images, and nothing runs in it."""
    programs = ("crictl", "containerd", "ctr", "zot")
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
        self.another_registry_over_tls("zot")
