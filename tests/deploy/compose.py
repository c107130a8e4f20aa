"""docker/compose.yaml without a container: the program with the file's environment, command, files and volumes, all paths moved below a
temporary directory, and the commands that deploy/README.md tells an administrator. A container of it is tests/package/image.py's."""
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import yaml

from common import IMAGE, Authority, manifest, sha256
from logins import basic, bearer, token_of
from ports import held_port   # by the path that wire knows
from wire import Server, die_with_parent, request

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "deploy/docker"
INSIDE = ("/etc/stele", "/var/lib/stele")     # of the image: what compose.yaml and the package name


def dockerfile():
    """Its environment and its command."""
    text = (DOCKER / "Dockerfile").read_text()
    environment = dict(line.split("=", 1) for line in re.findall(r"^ENV (.*)$", text, re.M))
    words = [word for key in ("ENTRYPOINT", "CMD") for word in yaml.safe_load(re.search(rf"^{key} (.*)$", text, re.M)[1])]
    return environment, words


class Composed(Server):
    """The service, started as the container would start it. `host`: the folder that has compose.yaml; `root` has the image's paths."""

    def __init__(self, stele):
        super().__init__(stele)
        self.folder, self.root = self.directory / "docker", self.directory / "root"
        shutil.copytree(DOCKER, self.folder)
        [(self.name, self.service)] = yaml.safe_load((self.folder / "compose.yaml").read_text())["services"].items()
        environment, self.command = dockerfile()
        self.environment = {**environment, **self.service["environment"]}
        (self.folder / "tls").mkdir()
        self.authority = Authority(self.folder / "tls")
        self.authority.issue("server", "localhost", 1)
        self.tls = self.authority.client()
        self.config, self.data = self.inside("/etc/stele/stele.yaml"), self.inside("/var/lib/stele")
        self.config.parent.mkdir(parents=True)
        self.config.write_text(self.moved((ROOT / "deploy/debian/stele.yaml").read_text()))

    def inside(self, path):
        return Path(self.moved(path))

    def moved(self, text):
        return re.sub("|".join(rf"(?<![\w/.]){path}\b" for path in INSIDE), lambda found: f"{self.root}{found[0]}", text)

    def mount(self, check):
        for volume in self.service["volumes"]:
            source, target, *mode = volume.split(":")
            target = self.inside(target)
            if source.startswith("./"):
                check(mode == ["ro"] and (self.folder / source).exists(), "what is mounted is there, and read only", volume)
                target.symlink_to(self.folder / source)
            else:
                target.mkdir(parents=True)

    def env(self, **changed):
        return {"PATH": "/usr/bin:/bin", **{name: self.moved(value) for name, value in self.environment.items()}, **changed}

    def launch(self):
        self.port = self.port or held_port()
        with open(self.log_path, "ab") as log:
            self.log_from = log.tell()
            # Loopback and a port of its own, instead of all addresses of a container.
            self.process = subprocess.Popen([self.stele, *map(self.moved, self.command[1:])], env=self.env(STELE_LISTEN=f"127.0.0.1:{self.port}"),
                                            cwd=self.data, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, preexec_fn=die_with_parent)

    def run(self, *words, given=None, **changed):
        return subprocess.run([self.stele, *map(self.moved, words)], env=self.env(**changed), cwd=self.data, input=given, capture_output=True, text=True, timeout=60)

    def ask(self, method, target, who=(), body=None, kind=None):
        return request(self, method, target, [*who, *([f"Content-Type: {kind}"] if kind else [])], body=body, tls=self.tls)

    def token(self, user, password, scope):
        answer = self.ask("GET", f"/token?service=localhost&scope={scope}", basic(user, password))
        return bearer(token_of(answer))

    def push(self, who, repository, tag, note=""):
        config = b"{}"
        begun = self.ask("POST", f"/v2/{repository}/blobs/uploads/?digest={sha256(config)}", who, config, "application/octet-stream")
        return begun if begun.status != 201 else self.ask("PUT", f"/v2/{repository}/manifests/{tag}", who, manifest(sha256(config), note or tag), IMAGE)


def commands_of_the_readme():
    """What is run in the container: the words behind `docker compose exec SERVICE`."""
    text = (ROOT / "deploy/README.md").read_text()
    return [shlex.split(line) for line in re.findall(r"^docker compose exec (.*)$", text, re.M)]


def hardened(service, check):
    check(service["ports"] == ["443:5000"] and service["image"] == "stele", "one port, the image of the Dockerfile", service)
    check(service["read_only"] is True and service["cap_drop"] == ["ALL"] and service["security_opt"] == ["no-new-privileges:true"], "no rights", service)
    check(int(service["stop_grace_period"].removesuffix("s")) > 25, "it may end what is under way")
    check(not any(re.search(r"password|secret", word, re.I) for word in service["environment"]), "no password stands in it", service["environment"])


def compose(stele, check):
    server = Composed(stele)
    try:
        hardened(server.service, check)
        server.mount(check)
        # As it is, for all addresses; without its certificate that would be refused.
        check(server.run("config", "check", "/etc/stele/stele.yaml").returncode == 0, "the configuration, as it is", server.run("config", "check", "/etc/stele/stele.yaml"))
        check(server.run("config", "check", "/etc/stele/stele.yaml", STELE_TLS_CERT="", STELE_TLS_KEY="").returncode != 0, "and not without TLS")
        judged = server.run("policy", "check", "/etc/stele/policy.yaml")
        check(judged.returncode == 0 and "warning" not in judged.stdout + judged.stderr, "the policy", judged)
        with server:
            in_use(server, check)
    finally:
        server.kill()
        server.remove()


def in_use(server, check):
    stranger = []
    for name, password in (("admin", "admin"), ("admin", ""), ("admin", "password"), ("stele", "stele")):
        check(server.ask("GET", "/v2/", basic(name, password)).status == 401, "nobody is there, and no password that everybody knows", name)
    challenge = server.ask("GET", "/v2/")
    check(challenge.status == 401 and 'Bearer realm="https://localhost/token"' in challenge.get("WWW-Authenticate"), "a stranger is asked who he is", challenge)

    lines, passwords = commands_of_the_readme(), {}
    check(len(lines) == 2 and all(line[0] == server.name and line[1] == server.command[0] for line in lines), "deploy/README.md makes two users", lines)
    for number, line in enumerate(lines):
        passwords[line[4]] = f"correct horse {number}"
        check("--password" not in " ".join(line), "and asks for their passwords", line)
        done = server.run(*line[2:], "--password-stdin", given=passwords[line[4]] + "\n")
        check(done.returncode == 0, "a command of deploy/README.md", (line, done))
    ann, admin = (basic(name, passwords[name]) for name in ("ann", "admin"))

    check(server.push(stranger, "team/app", "1.0.0").status == 401 and server.push(stranger, "public/app", "1").status == 401, "a stranger pushes nothing")
    ours = server.token("ann", passwords["ann"], "repository:team/app:pull,push")
    check(server.push(ours, "team/app", "1.0.0").status == 201, "a user pushes with a token")
    pulled = server.ask("GET", "/v2/team/app/manifests/1.0.0", ours)
    check(pulled.status == 200 and pulled.body == manifest(sha256(b"{}"), "1.0.0"), "and pulls", pulled)
    check(server.ask("GET", "/v2/team/app/manifests/1.0.0").status == 401, "a stranger does not")
    moved = server.push(ann, "team/app", "1.0.0", "another")
    check(moved.status == 409, "a release does not move", moved)
    for repository in ("other/app", "public/app"):
        refused = server.push(ann, repository, "1")
        check(refused.status == 403 and "access_rules" in refused.message, f"a user of the team pushes nothing to {repository}", refused)
    check(server.push(admin, "public/app", "1").status == 201, "an administrator does")
    check(server.ask("GET", "/v2/public/app/manifests/1").status == 200, "what is public is everybody's")
    for who, status in ((stranger, 401), (ann, 403), (admin, 200)):
        check(server.ask("GET", "/api/v1/status", who).status == status, f"the administration, {status}")

    written = sorted(path.relative_to(server.root / "etc").as_posix() for path in (server.root / "etc").rglob("*"))
    check(written == ["stele", "stele/policy.yaml", "stele/stele.yaml", "stele/tls"], "it writes nothing beside its volume", written)
    check(server.stop() == 0, "it stops when it is told to")
    server.start()
    check(server.ask("GET", "/v2/team/app/manifests/1.0.0", ann).status == 200, "and has everything after a restart")
