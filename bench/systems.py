"""The systems that are measured: each starts on a loopback port of its own with its data below one directory, and is stopped by
the process that started it."""
import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests/support"))
from ports import held_port  # noqa: E402

TOOLS = ROOT / ".cache/tools"
STELE = ROOT / "build/release/stele"


class Failure(Exception):
    """The run cannot go on; the message is what is shown."""


def make_certificate(directory):
    """One self-signed certificate for everybody who speaks TLS in this run."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-keyout", "server.key", "-out", "server.crt", "-subj", "/CN=127.0.0.1",
                    "-addext", "subjectAltName=IP:127.0.0.1"], cwd=directory, check=True, capture_output=True)
    return directory / "server.crt", directory / "server.key"


class System:
    """with System(directory, certificate) as system: .address answers plain, .tls_address over TLS where there is one."""

    name = ""
    tls_address = None

    def __init__(self, directory, certificate=None):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.certificate = certificate
        self.address = f"127.0.0.1:{held_port()}"
        self.log = self.directory / "log"

    def command(self):
        raise NotImplementedError

    def probe(self):
        """A path that answers 200 when the system is up."""
        return "/v2/"

    def __enter__(self):
        # Variables of the caller's shell must not configure what is measured.
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("STELE_", "REGISTRY_"))}
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=self.directory, env=environment)
        deadline = time.monotonic() + 30
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise Failure(f"{self.name} did not start:\n{self.log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)
        return self

    def _answers(self):
        try:
            with urllib.request.urlopen(f"http://{self.address}{self.probe()}", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def __exit__(self, *_):
        if self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def cpu_seconds(self):
        """User and system time so far of the server and its workers."""
        total = 0
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            children = (task / "children").read_text().split()
            total += sum(self._ticks(Path("/proc") / child / "stat") for child in children)
        return (total + self._ticks(Path(f"/proc/{self.process.pid}/stat"))) / os.sysconf("SC_CLK_TCK")

    @staticmethod
    def _ticks(stat):
        fields = stat.read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def memory(self, field="VmRSS"):
        """Bytes; VmHWM is the peak since the start or since forget_peak()."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
        raise Failure(f"{self.name} is gone:\n{self.log.read_text(errors='replace')[-2000:]}")

    def forget_peak(self):
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")


class Stele(System):
    name = "Stele"

    def __init__(self, directory, certificate=None, policy=None):
        """`policy`: the text of a policy file; without it the built-in rules."""
        super().__init__(directory, certificate)
        self.policy = policy

    def command(self):
        settings = f"listen: {self.address}\ndata: {self.directory}/data\nlog: {{level: warn, access: off}}\n"
        if self.certificate:
            settings += f"tls: {{cert: {self.certificate[0]}, key: {self.certificate[1]}}}\n"
        if self.policy:
            settings += f"policy: {self.directory}/policy.yaml\n"
            (self.directory / "policy.yaml").write_text(self.policy)
        (self.directory / "stele.yaml").write_text(settings)
        return [STELE, "serve", "--config", self.directory / "stele.yaml"]

    def probe(self):
        return "/readyz"

    def _answers(self):
        if not self.certificate:
            return super()._answers()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", int(self.address.split(":")[1]))) == 0


class GuardedStele(Stele):
    """The same where everybody logs in: a user of a file, and rules that let him pull."""

    name = "Stele, guarded"
    user, password = "puller", "a password of the bench"
    rules = f"""version: 1
access_rules:
  - {{who: ["user:someone", "group:nobody"], repositories: ["other/**"], allow: [pull, push]}}
  - {{who: ["user:{user}"], repositories: ["bench/**"], allow: [pull]}}
"""

    def __init__(self, directory):
        super().__init__(directory, policy=self.rules)

    def command(self):
        hashed = subprocess.run(["openssl", "passwd", "-6", "-stdin"], input=self.password, check=True, capture_output=True, text=True)
        (self.directory / "users").write_text(f"{self.user}:{hashed.stdout.strip()}\n")
        command = super().command()
        with open(self.directory / "stele.yaml", "a") as settings:
            settings.write(f"auth: {{htpasswd: {{file: {self.directory}/users}}}}\n")
        return command

    def token(self, repository):
        """One that docker would be given for a pull; good for the time of a run."""
        login = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        asked = urllib.request.Request(f"http://{self.address}/token?service={self.address}&scope=repository:{repository}:pull",
                                       headers={"Authorization": f"Basic {login}"})
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return json.load(answer)["token"]


class Nginx(System):
    """Serves directory/www, plain and over TLS."""

    name = "nginx"

    def __init__(self, directory, certificate):
        super().__init__(directory, certificate)
        self.www = self.directory / "www"
        self.www.mkdir()
        (self.www / "up").write_text("up")
        self.tls_address = f"127.0.0.1:{held_port()}"

    def probe(self):
        return "/up"

    def command(self):
        temporary = "".join(f"  {kind}_temp_path {self.directory}/{kind};\n"
                            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        user = "user root;\n" if os.geteuid() == 0 else ""
        (self.directory / "nginx.conf").write_text(
            f"{user}daemon off;\nworker_processes 2;\npid {self.directory}/pid;\nerror_log {self.directory}/error.log;\n"
            "events { worker_connections 1024; }\n"
            f"http {{\n  access_log off;\n  sendfile on;\n  keepalive_requests 1000000000;\n{temporary}"
            f"  server {{ listen {self.address}; root {self.www}; }}\n"
            f"  server {{ listen {self.tls_address} ssl; root {self.www};\n"
            f"    ssl_certificate {self.certificate[0]}; ssl_certificate_key {self.certificate[1]};\n"
            "    ssl_protocols TLSv1.2 TLSv1.3; }\n}\n")
        program = next((path for path in ("/usr/sbin/nginx", "/usr/bin/nginx") if Path(path).exists()), "nginx")
        return [program, "-p", self.directory, "-c", self.directory / "nginx.conf", "-e", self.directory / "error.log"]


class Distribution(System):
    """2.8, Debian's."""

    name = "Distribution"
    program = "docker-registry"

    def command(self):
        (self.directory / "config.yml").write_text(
            "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
            "storage: {cache: {blobdescriptor: inmemory}, "
            f"filesystem: {{rootdirectory: {self.directory}/data}}, delete: {{enabled: true}}}}\n"
            f"http: {{addr: '{self.address}'}}\n")
        return [self.program, "serve", self.directory / "config.yml"]


class Distribution3(Distribution):
    name = "Distribution 3"
    program = TOOLS / "registry"


class Zot(System):
    """With `commit`, without which it acknowledges what is not on the disk."""

    name = "zot"
    program = TOOLS / "zot"

    def command(self):
        host, port = self.address.split(":")
        (self.directory / "config.json").write_text(json.dumps({
            "distSpecVersion": "1.1.1",
            "storage": {"rootDirectory": f"{self.directory}/data", "commit": True, "gc": False},
            "http": {"address": host, "port": port},
            "log": {"level": "error", "output": "/dev/null"}, **self.more()}))
        return [self.program, "serve", self.directory / "config.json"]

    def more(self):
        """Further sections of its configuration."""
        return {}


def built():
    """The peers that scripts/go_tools.sh has built, where Go is at hand."""
    return [peer for peer in (Distribution3, Zot) if peer.program.exists()]
