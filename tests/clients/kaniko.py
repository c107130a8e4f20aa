import base64
import contextlib
import json
import re
import shutil
import subprocess

from client import Client
from images import from_layout, push
from logins import Logins
from mirrors import PAGE, Mirrors, documented, replaced
from server import ROOT, Failure, Server

IGNORED = "Immutable tag error ignored"


class Kaniko(Logins, Mirrors, Client):
    """kaniko's executor, which builds in the root of the machine that it is on, and clears it: it gets one of its own, with mounts and
    processes of its own, in which there is nothing but itself."""
    programs = ("kaniko",)
    needs_root = True

    def start(self):
        self.root = self.directory / "root"
        for name in ("kaniko/.docker", "proc", "tmp", "etc", "workspace"):
            (self.root / name).mkdir(parents=True)
        shutil.copy(self.find("kaniko"), self.root / "kaniko/executor")
        self.know_the_server()

    def know_the_server(self):
        if self.tls and (self.directory / "root").exists():
            shutil.copy(self.server.ca, self.root / "kaniko/ca.crt")

    def executor(self, dockerfile, *options):
        """Builds; what it said."""
        (self.root / "workspace/Dockerfile").write_text(dockerfile)
        address = self.server.address
        trust = [f"--registry-certificate={address}=/kaniko/ca.crt"] if self.tls else ["--insecure", "--insecure-pull"]
        command = [self.find("unshare"), "--mount", "--pid", "--fork", "--kill-child", f"--root={self.root}", "--wd=/", "--mount-proc",
                   "/kaniko/executor", "--force", "--context=dir:///workspace", *trust, *options]
        environment = {"PATH": "/kaniko", "HOME": "/kaniko", "DOCKER_CONFIG": "/kaniko/.docker", "NO_PROXY": "127.0.0.1"}
        try:
            done = subprocess.run(command, env=environment, cwd=self.directory,
                                  capture_output=True, text=True, timeout=self.patience)
        except subprocess.TimeoutExpired as late:
            raise Failure(f"kaniko {' '.join(options)} did not end within {self.patience} s: {late.stderr}") from None
        said = done.stdout + done.stderr
        if done.returncode != 0:
            raise Failure(f"kaniko {' '.join(options)} ended with {done.returncode}:\n{said}")
        return said

    def build(self, tag, content, *options):
        """FROM scratch, under the tag. Two contents never have one digest."""
        (self.root / "workspace/content").write_text(content)
        return self.executor("FROM scratch\nCOPY content /content\n", f"--destination={self.name('kaniko/app', tag)}", *options)

    def digest(self, tag):
        return self.served("kaniko/app", tag).root

    def refused(self, what, action, *expected):
        super().refused(what, lambda: self.unescaped(action), *expected)

    @staticmethod
    def unescaped(action):
        """Its log has messages in quotes, which are escaped in there."""
        try:
            action()
        except Failure as failure:
            raise Failure(str(failure).replace('\\"', '"')) from None

    def check_build_and_push(self):
        self.build("1.0.0", "first")
        image = self.served("kaniko/app", "1.0.0")
        self.expect("layers", len(image.document()["layers"]), 1)
        image.content()   # its layers are those that its configuration speaks of

    def check_build_on_a_pulled_base(self):
        base = self.served("kaniko/app", "1.0.0").document()["layers"]
        (self.root / "workspace/content").write_text("more")
        self.executor(f"FROM {self.name('kaniko/app', '1.0.0')}\nCOPY content /more\n", f"--destination={self.name('kaniko/child', '1.0')}")
        self.expect("layers of the base", self.served("kaniko/child", "1.0").document()["layers"][:-1], base)

    def check_a_release_stays_and_the_refusal_is_shown(self):
        bound = self.digest("1.0.0")
        self.refused("another 1.0.0", lambda: self.build("1.0.0", "second"),
                     'tag "1.0.0" in kaniko/app cannot be overwritten because the tag is immutable (rule releases); it points to ' + bound)
        self.expect("1.0.0 stays", self.digest("1.0.0"), bound)

    def check_push_ignore_immutable_tag_errors(self):
        bound = self.digest("1.0.0")
        said = self.build("1.0.0", "third", "--push-ignore-immutable-tag-errors")
        self.expect(f"kaniko knows the refusal:\n{said}", IGNORED in said, True)
        self.expect("1.0.0 stays", self.digest("1.0.0"), bound)

    def check_what_moves_is_pushed_with_the_flag_too(self):
        for content in ("first", "second"):
            before = self.digest("latest") if content == "second" else None
            said = self.build("latest", content, "--push-ignore-immutable-tag-errors")
            self.expect(f"latest moved:\n{said}", (IGNORED in said, self.digest("latest") == before), (False, False))

    def cached(self, *options):
        (self.root / "workspace/content").write_text("cached")
        return self.executor("FROM scratch\nCOPY content /content\n", f"--destination={self.name('kaniko/app', 'cached')}", "--cache",
                             "--cache-copy-layers", *options)

    def check_the_cache_is_filled_and_used(self):
        self.cached()
        self.expect("tags of the cache, by their length", [len(tag) for tag in self.tags("kaniko/app/cache")], [64])
        said = self.cached()
        self.expect(f"from the cache:\n{said}", "Using caching version" in said, True)

    def check_what_the_cache_holds_too_long_is_replaced_by_the_pages_rule(self):
        """The built-in rules refuse it, the build goes on; with the rule of docs/policy.md it moves."""
        refused = "Error uploading layer to cache"
        said = self.cached("--cache-ttl=1ns")
        self.expect(f"refused by the built-in rules:\n{said}", (refused in said, "the tag is immutable (rule releases)" in said), (True, True))
        rule = re.search(r"^\*\*kaniko's cache\*\*.*?```yaml\n(.*?)```", (ROOT / "docs/policy.md").read_text(), re.S | re.M)[1]
        directory = self.directory / "moving"
        directory.mkdir()
        (directory / "policy.yaml").write_text("version: 1\ntag_rules:\n" + rule)
        with Server(directory, tls=self.tls, config=f"policy: {directory}/policy.yaml\n") as server, self.speaking_to(server):
            self.cached()
            tag = self.tags("kaniko/app/cache")[0]
            before = self.served("kaniko/app/cache", tag).root
            said = self.cached("--cache-ttl=1ns")
            self.expect(f"not refused:\n{said}", (refused in said, self.served("kaniko/app/cache", tag).root == before), (False, False))

    def log_in(self, password, user="alice"):
        account = base64.b64encode(f"{user}:{password}".encode()).decode()
        (self.root / "kaniko/.docker/config.json").write_text(json.dumps({"auths": {self.server.address: {"auth": account}}}))

    def push_as(self, layout, name):
        (self.root / "workspace/content").write_text(layout.note)
        self.executor("FROM scratch\nCOPY content /content\n", f"--destination={name}")

    def pull_again(self, name):
        self.executor(f"FROM {name}\nLABEL pulled=again\n", "--no-push")

    def pull_whole(self, name):
        """What copies into an image unpacks it first."""
        (self.root / "workspace/content").write_text("more")
        self.executor(f"FROM {name}\nCOPY content /more\n", "--no-push")

    flags = ()

    @contextlib.contextmanager
    def mirrored(self, mirror):
        text = replaced(documented("/kaniko/executor"), server=("stele.example", mirror.address))
        self.flags = text.split()
        self.expect("flags of the page", len(self.flags), 3)
        try:
            yield
        finally:
            self.flags = ()

    def pull_demo(self, graph):
        self.build_on("demo:1.0", graph)

    def build_on(self, name, graph):
        """Its image, in a layout, has the layers of that one as they came."""
        built = self.root / "built"
        shutil.rmtree(built, ignore_errors=True)
        self.executor(f"FROM {name}\nLABEL built=here\n", "--no-push", "--oci-layout-path=/built", *self.flags)
        made = from_layout(built)
        _, manifest = self.image_of_this_machine()
        layers = [layer["digest"] for layer in manifest["layers"]]
        self.expect("layers", [layer["digest"] for layer in made.document()["layers"]], layers)
        for digest in layers:
            self.expect(f"bytes of {digest}", made.parts[digest] == graph.parts[digest], True)

    def check_another_registry_by_the_prefix_that_the_page_says(self):
        prefix = re.search(r"^The mirror of the second has `(prefix: \S+)`", PAGE.read_text(), re.M)[1]
        directory = self.directory / "other"
        with Server(directory / "u") as source:
            push(source, "team/demo", self.multi.graph)
            config = f"mirrors:\n  - name: ghcr.io\n    {prefix}\n    upstreams: [{source.url}]\n"
            with Server(directory / "m", tls=self.tls, config=config) as mirror, self.speaking_to(mirror), self.mirrored(mirror):
                self.build_on("ghcr.io/team/demo:1.0", self.multi.graph)
                # A tag that nobody has: it asks nobody else.
                self.refused("what is not there", lambda: self.build_on("ghcr.io/team/demo:none", self.multi.graph),
                             "image not found on any configured mapped registries")
