"""Pulling from Docker Hub and from a private registry through a Stele that mirrors them: checks that the clients share whose
configuration docs/mirror.md shows. What they are configured with, and the mirror too, is read from that page."""
import contextlib
import re
import sys

from images import TAG, host_architecture, push
from logins import USERS
from server import ROOT, Server

sys.path.insert(0, str(ROOT / "tests/mirror"))
from hub import Hub  # noqa: E402

PAGE = ROOT / "docs/mirror.md"
UPSTREAM = "https://registry-1.docker.io"


def documented(file):
    """The block of docs/mirror.md below the line that names the file."""
    found = re.findall(rf"^[^\n]*`\S*{re.escape(file)}`[^\n]*\n+```\w+\n(.*?)^```", PAGE.read_text(), re.S | re.M)
    if len(found) != 1:
        raise LookupError(f"docs/mirror.md has {len(found)} blocks for {file}")
    return found[0]


def replaced(text, **words):
    """Each of the words must be there, so that the page cannot drift from what is tried."""
    for word, value in words.values():
        if word not in text:
            raise LookupError(f"docs/mirror.md does not say {word!r} in\n{text}")
        text = text.replace(word, value)
    return text


def write_hosts_file(directory, mirror):
    """The page's hosts.toml for docker.io, below a directory as config_path and --hosts-dir name it."""
    (directory / "docker.io").mkdir(parents=True, exist_ok=True)
    text = replaced(documented("hosts.toml"), server=("https://stele.example", mirror.url), ca=("/etc/ssl/stele-ca.pem", str(mirror.ca)))
    if not mirror.ca:   # without TLS
        text = "".join(line for line in text.splitlines(True) if "ca =" not in line)
    (directory / "docker.io/hosts.toml").write_text(text)


class Mirrors:
    """A client has mirrored(mirror), a context in which it is configured as the page says, and pull_demo(graph), which forgets
    the image, pulls docker.io/library/demo:1.0 for this machine's architecture and compares it bit for bit."""

    def check_docker_hub_through_a_mirror(self):
        directory = self.directory / "hub"
        with Server(directory / "u") as source:
            push(source, "library/demo", self.multi.graph)
            hub = Hub(source)
            try:
                self.three_pulls(directory, hub.url(), "", hub)
            finally:
                hub.stop()

    def check_distribution_over_tls_through_a_mirror(self):
        self.another_registry_over_tls("docker-registry")

    def another_registry_over_tls(self, kind):
        directory = self.directory / kind
        with contextlib.ExitStack() as running:
            source = running.enter_context(Server(directory / "u", tls=True, kind=kind))
            push(source, "library/demo", self.multi.graph)
            self.three_pulls(directory, source.url, f"    ca: {source.ca}\n", Stopped(running))

    def three_pulls(self, directory, upstream, more, source):
        """The first, the second, and one with the upstream stopped."""
        config = replaced(documented("config.yaml"), upstream=(UPSTREAM, upstream)) + more
        with Server(directory / "m", tls=self.tls, config=config) as mirror, self.speaking_to(mirror), self.mirrored(mirror):
            self.pull_demo(self.multi.graph)
            wanted = self.blobs_of_this_machine()
            if isinstance(source, Hub):
                self.expect("blobs fetched upstream", sorted(source.paths("cdn", "GET")),
                            sorted(f"/v2/library/demo/blobs/{digest}" for digest in wanted))
                source.forget()
            self.pull_demo(self.multi.graph)
            if isinstance(source, Hub):
                self.expect("asked upstream by the second pull", source.all_seen(), [])
            source.stop()
            self.pull_demo(self.multi.graph)

    def check_a_mirror_for_everybody_where_one_has_to_log_in(self, place="users"):
        directory = self.directory / place
        directory.mkdir()
        (directory / "users").write_text(USERS)
        (directory / "policy.yaml").write_text(documented("policy.yaml"))
        more = f"auth: {{htpasswd: {{file: {directory}/users}}}}\npolicy: {directory}/policy.yaml\n"
        with Server(directory / "u") as source:
            push(source, "library/demo", self.multi.graph)
            hub = Hub(source)
            try:
                self.three_pulls(directory, hub.url(), more, hub)
            finally:
                hub.stop()

    def blobs_of_this_machine(self):
        """Nothing of the other platforms is asked for."""
        manifest = self.image_of_this_machine()[1]
        return [manifest["config"]["digest"]] + [layer["digest"] for layer in manifest["layers"]]

    def image_of_this_machine(self):
        entry = next(entry for entry in self.multi.graph.document()["manifests"]
                     if entry["platform"]["architecture"] == host_architecture())
        return entry["digest"], self.multi.graph.document(entry["digest"])

    def layers_of_this_machine(self):
        return next(layers for architecture, layers in self.multi.graph.content() if architecture == host_architecture())


class Stopped:
    """Stops a server that was entered in an ExitStack."""

    def __init__(self, running):
        self.running = running

    def stop(self):
        self.running.close()


DEMO = f"docker.io/library/demo:{TAG}"
