"""A token that expires while a layer is being pushed, with a server whose tokens hold for the shortest time that there is (a
minute). Not one of the clients that run by default: it takes as long as the token holds."""
import re
import socket
import threading
import time

from buildkit import Buildkit
from client import Client
from crane import Crane
from ctr import Ctr
from docker import Docker
from images import Layout, host_architecture
from logins import USERS
from oras import Oras
from podman import Podman
from regctl import Regctl
from server import Failure, Server
from skopeo import Skopeo

REQUEST = re.compile(rb"[A-Z]+ /\S* HTTP/1.1\r\n")
UPLOAD = re.compile(rb"(PATCH|PUT|POST) /v2/\S+/blobs/uploads/")
BEARER = re.compile(rb"\r\nauthorization: (Bearer \S+)\r\n", re.I)
# Per second; below 16 KiB in half a minute the server takes the line for dead.
TRICKLE = 2048
PATIENCE = 200
LARGE = 65536   # a body of which more than this has passed is the large layer's


class SlowLine:
    """Passes bytes between a client and the server. In the middle of the large layer it trickles until the server refuses the
    token that it came with; then the line is as fast as any."""

    def __init__(self, server):
        self.server, self.lock = server, threading.Lock()
        self.held = None      # the token with which the slow upload came
        self.refused = None   # what the server said of it when its time was over
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            host, port = self.server.address.split(":")
            behind = socket.create_connection((host, int(port)))
            threading.Thread(target=self.upwards, args=(client, behind), daemon=True).start()
            threading.Thread(target=self.downwards, args=(behind, client), daemon=True).start()

    def close(self):
        self.listener.close()

    @staticmethod
    def downwards(behind, client):
        try:
            while data := behind.recv(65536):
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def upwards(self, client, behind):
        token, passed = None, 0
        try:
            while data := client.recv(65536):
                if REQUEST.match(data):
                    token, passed = self.token_of_upload(data), 0
                if token and passed > LARGE and self.is_the_first(token):
                    data = self.trickle(data, client, behind)
                behind.sendall(data)
                passed += len(data)
            behind.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    @staticmethod
    def token_of_upload(data):
        token = BEARER.search(data)
        return token[1].decode() if token and UPLOAD.match(data) else None

    def is_the_first(self, token):
        with self.lock:
            if self.held:
                return False
            self.held = token
            return True

    def trickle(self, data, client, behind):
        """Until the token is refused; what of the data has not been passed on."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            status, headers, _ = self.server.request("GET", "/v2/", headers={"Authorization": self.held})
            if status == 401:
                self.refused = headers["WWW-Authenticate"]
                break
            if not data:
                data = client.recv(65536)
            behind.sendall(data[:TRICKLE])
            data = data[TRICKLE:]
            time.sleep(1)
        return data


class Expiry(Client):
    programs = Docker.programs + Ctr.programs + Podman.programs + Buildkit.programs + ("crane", "oras", "regctl")   # docker's has skopeo
    needs_root = True
    kinds = (Docker, Ctr, Podman, Skopeo, Crane, Oras, Regctl, Buildkit)
    transports = ("plain",)   # the line is in the middle

    def check_a_push_outlives_its_token(self):
        directory = self.directory / "short"
        directory.mkdir()
        (directory / "users").write_text(USERS)
        config = f"auth: {{htpasswd: {{file: {directory}/users}}, tokens: {{ttl: 1m}}}}\n"
        with Server(directory, config=config) as server:
            failures = []
            threads = [threading.Thread(target=self.attempt, args=(kind, server, failures)) for kind in self.kinds]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        if failures:
            raise Failure("\n".join(failures))

    def attempt(self, kind, server, failures):
        name = kind.__name__.lower()
        try:
            self.push_slowly(kind, name, server)
        except Exception as failure:  # noqa: BLE001: all of them are told
            failures.append(f"{name}: {failure}")

    def push_slowly(self, kind, name, server):
        line = SlowLine(server)
        client = kind(At(server, line.address), self.directory / name)
        client.patience = 2 * PATIENCE
        client.single = Layout(client.directory / "large", [host_architecture()], random=600_000)
        try:
            client.prepare()
            client.log_in("correct horse")
            client.push_as(client.single, client.name(f"{name}/slow"))
            client.pull_again(client.name(f"{name}/slow"))
        finally:
            client.stop()
            line.close()
        if not line.refused:
            raise Failure("no upload was slower than its token")
        self.expect("the challenge says so", 'error="invalid_token"' in line.refused, True)


class At:
    """The server, as it is reached by another address."""
    ca = None

    def __init__(self, server, address):
        self.address, self.url = address, f"http://{address}"
        self.request = server.request
