"""What the checks of one client share. A client is a class below; its methods check_… are its named tests, run in the
order in which they are written, first against a plain server and then over TLS."""
import contextlib
import json
import os
import shutil
import subprocess

from images import Layout, from_server, host_architecture
from server import TOOLS, Failure


# What scripts/go_tools.sh builds.
GO = ("crane", "oras", "regctl", "cosign", "helm", "buildx", "kaniko", "buildctl", "buildkitd", "stargz-fetch", "crictl", "crio", "pinns")


class Client:
    programs = ()    # each must be installed; a missing one is a failure
    needs_root = False
    transports = ("plain", "tls")
    patience = 120   # seconds that a command may take

    def __init__(self, server, directory):
        self.server = server
        self.directory = directory
        self.tls = server.ca is not None
        self.home = directory / "home"
        self.home.mkdir(parents=True)
        (self.home / "auth.json").write_text("{}")   # podman and buildah insist that it exists
        self.multi = Layout(directory / "multi", ["amd64", "arm64"])
        self.single = Layout(directory / "single", [host_architecture()])
        # What containers/image looks for in --cert-dir.
        self.cert_dir = directory / "certs"
        self.cert_dir.mkdir()
        self.variables = {}   # what a check adds to the environment
        self.trust()

    def know_the_server(self):
        """Writes what the client has to be told of self.server; the CA is in cert_dir already."""

    def trust(self):
        if self.tls:
            shutil.copy(self.server.ca, self.cert_dir / "ca.crt")

    def show_certificate(self, certificate, key):
        """From now on the client shows it to the server."""
        shutil.copy(certificate, self.cert_dir / "client.cert")
        shutil.copy(key, self.cert_dir / "client.key")

    @contextlib.contextmanager
    def speaking_to(self, server):
        """For the time of a check to another server than the client's usual one."""
        usual, self.server = self.server, server
        self.trust()
        self.know_the_server()
        try:
            yield server
        finally:
            self.server = usual
            self.trust()

    def start(self):
        """Called once before the checks; for daemons."""

    def stop(self):
        """Called once after the checks, also when start() failed half-way."""

    def prepare(self):
        for program in self.programs:
            if not self.find(program):
                script = f"go_tools.sh {program}" if program in GO else "dependencies.sh clients"
                raise Failure(f"{program} is not installed; run 'scripts/{script}'")
        if self.needs_root and os.geteuid() != 0:
            raise Failure(f"{self.programs[0]} needs root here; run 'sudo make clients'")
        self.start()

    @staticmethod
    def find(program):
        path = os.pathsep.join([str(TOOLS), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
        return shutil.which(program, path=path)

    def environment(self):
        environment = {"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin", "HOME": str(self.home), "LANG": "C.UTF-8",
                       "XDG_RUNTIME_DIR": str(self.home), "REGISTRY_AUTH_FILE": str(self.home / "auth.json"),
                       "DOCKER_CONFIG": str(self.home), "NO_PROXY": "127.0.0.1", "TMPDIR": str(self.directory)}
        if self.tls:
            environment["SSL_CERT_FILE"] = str(self.server.ca)
        return environment | self.variables

    def run(self, program, *arguments, cwd=None, input=None):
        """Runs a client and returns its standard output; any status but 0 is a failure with all that it said."""
        command = [self.find(program), *map(str, arguments)]
        try:
            done = subprocess.run(command, env=self.environment(), cwd=cwd or self.directory, input=input, timeout=self.patience,
                                  capture_output=True, text=True)
        except subprocess.TimeoutExpired as late:
            raise Failure(f"{program} {' '.join(command[1:])} did not end within {self.patience} s: {late.stderr}") from None
        if done.returncode != 0:
            raise Failure(f"{program} {' '.join(command[1:])} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def name(self, repository, reference="1.0"):
        """host:port/repository:tag, or @digest."""
        return f"{self.server.address}/{repository}{'@' if ':' in reference else ':'}{reference}"

    def served(self, repository, reference="1.0"):
        return from_server(self.server, repository, reference)

    def expect(self, what, found, expected):
        if found != expected:
            raise Failure(f"{what}: expected {expected!r}, got {found!r}")

    def expect_status(self, method, path, expected):
        status, _, body = self.server.request(method, path, headers={"Accept": "*/*"})
        if status != expected:
            raise Failure(f"{method} {path} answered {status}, not {expected}: {body[:300].decode(errors='replace')}")

    def tags(self, repository):
        """As the registry says, to set up or confirm what a client's own list says."""
        status, _, body = self.server.request("GET", f"/v2/{repository}/tags/list")
        if status != 200:
            raise Failure(f"tags/list of {repository} answered {status}")
        return json.loads(body)["tags"]
