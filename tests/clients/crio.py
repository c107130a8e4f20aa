import contextlib
import re

from client import Client
from daemon import Daemon
from images import from_layout
from mirrors import DEMO, Mirrors, documented, replaced
from pull_secrets import PullSecrets


class Crio(Mirrors, PullSecrets, Client):
    """CRI-O itself; crictl asks it for images as a kubelet does, and nothing runs in it. It reads its registries when it starts."""
    programs = ("crictl", "crio", "pinns", "conmon", "crun", "skopeo")
    needs_root = True
    login_asked = ("requested access to the resource is denied",)   # its own words for a 401
    denied = ("pulling needs the right pull in team/app, which no rule of access_rules gives to robot:k8s-prod-eu",)
    daemon = None

    def stop(self):
        if self.daemon:
            self.daemon.stop()
            self.daemon = None

    @property
    def socket(self):
        return self.directory / "crio.sock"

    def start_with(self, registries):
        self.stop()
        place = self.directory / "crio"
        for name in ("conf.d", "registries.conf.d", "cni", "plugins", "hooks"):
            (place / name).mkdir(parents=True, exist_ok=True)
        (place / "registries.conf").write_text(registries)
        (place / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        (place / "crio.conf").write_text(f'''[crio]
root = "{place}/root"
runroot = "{place}/run"
storage_driver = "vfs"
log_dir = "{place}/log"
version_file = "{place}/version"
version_file_persist = "{place}/version-persist"
clean_shutdown_file = "{place}/clean"
[crio.api]
listen = "{self.socket}"
stream_port = "0"
[crio.runtime]
conmon = "{self.find('conmon')}"
pinns_path = "{self.find('pinns')}"
cgroup_manager = "cgroupfs"
conmon_cgroup = "pod"
default_runtime = "crun"
namespaces_dir = "{place}/ns"
container_exits_dir = "{place}/exits"
container_attach_socket_dir = "{place}/attach"
hooks_dir = ["{place}/hooks"]
[crio.runtime.runtimes.crun]
runtime_path = "{self.find('crun')}"
runtime_root = "{place}/crun"
monitor_path = "{self.find('conmon')}"
monitor_cgroup = "pod"
[crio.image]
signature_policy = "{place}/policy.json"
[crio.network]
network_dir = "{place}/cni"
plugin_dirs = ["{place}/plugins"]
[crio.nri]
enable_nri = false
''')
        self.daemon = Daemon([self.find("crio"), "--config", place / "crio.conf", "--config-dir", place / "conf.d",
                              "--registries-conf", place / "registries.conf", "--registries-conf-dir", place / "registries.conf.d"],
                             self.environment(), self.directory / "crio.log", lambda: self.crictl("images"))

    def crictl(self, *command):
        return self.run("crictl", "--runtime-endpoint", f"unix://{self.socket}", "--timeout", "60s", *command)

    @contextlib.contextmanager
    def mirrored(self, mirror):
        text = replaced(documented("stele.conf"), server=("stele.example", mirror.address))
        # Without TLS it has to be told so.
        self.start_with(text if self.tls else text.rstrip() + "\ninsecure = true\n")
        try:
            yield
        finally:
            self.stop()

    @contextlib.contextmanager
    def reaching(self):
        self.start_with(f'[[registry]]\nlocation = "{self.server.address}"\ninsecure = {str(not self.tls).lower()}\n')
        try:
            yield
        finally:
            self.stop()

    saved = 0

    def pull_demo(self, graph):
        self.crictl("rmi", "--all")
        said = self.crictl("pull", DEMO)
        digest, manifest = self.image_of_this_machine()
        self.expect(f"a digest of it in {said}", any(found in (graph.root, digest, manifest["config"]["digest"])
                                                     for found in re.findall(r"sha256:[0-9a-f]{64}", said)), True)
        # What it has stored, by its own library.
        place = self.directory / "crio"
        self.saved += 1
        self.run("skopeo", "copy", f"containers-storage:[vfs@{place}/root+{place}/run]{DEMO}", f"oci:{self.directory}/pulled-{self.saved}:demo")
        pulled = from_layout(self.directory / f"pulled-{self.saved}", "demo")
        self.expect("layers", pulled.content()[0][1], self.layers_of_this_machine())
        self.expect("configuration", pulled.document()["config"]["digest"], manifest["config"]["digest"])
