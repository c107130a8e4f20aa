"""A registry, the hub in front of it, and a Stele that mirrors the hub."""
import http.client
import json
import socket
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from registry import Failure, Registry, digest_of, image  # noqa: E402

from hub import Hub  # noqa: E402

PATIENCE = 90   # seconds until something that must happen counts as not happening: longer than the mirror's own limits, of which 30 s is the longest
FOREVER = "365d"


def content(size, seed):
    """Bytes that no two seeds share and that nothing compresses into a repeat."""
    block = bytes((i * 131 + sum(seed.encode()) * 7) % 251 for i in range(4096))
    return (seed.encode() + block * (size // len(block) + 1))[:size]


class Image:
    """Config and layers pushed under one tag."""

    def __init__(self, registry, repository, tag, layers=(1000, 300_000), label="", base=""):
        seed = f"{repository}:{tag}:{label}"
        self.blobs = {}
        described = []
        for number, size in enumerate((40, *layers)):
            bytes_ = content(size, f"{seed}#{number}")
            digest, answer = registry.push_blob(repository, bytes_)
            if answer.status != 201:
                raise Failure(f"the blob could not be pushed: {answer}")
            self.blobs[digest] = bytes_
            described.append((digest, size))
        self.manifest = image(described[0], described[1:], label=seed)
        if base:
            document = json.loads(self.manifest)
            document["annotations"]["org.opencontainers.image.base.name"] = base
            self.manifest = json.dumps(document).encode()
        self.digest = digest_of(self.manifest)
        self.layer = described[-1][0]
        answer = registry.push_manifest(repository, tag, self.manifest)
        if answer.status != 201:
            raise Failure(f"the manifest could not be pushed: {answer}")


class World:
    taken = set()       # directories

    def __init__(self, binary, directory, name, account=None, tag_ttl=FOREVER, more="", mirror_config="", default=False,
                 credentials=None, names=("docker.io",), upstream=None):
        """`names`: a mirror each, all of the one hub, with a breaker of its own; `more` stands in every one. `upstream`: another
        URL for the hub than its own."""
        directory = Path(directory) / name
        if directory in World.taken:
            raise Failure(f"two tests call their world {name}")
        World.taken.add(directory)
        self.source = Registry(binary, directory / "u").start()
        self.hub = Hub(self.source, account)
        entry = f"    upstreams: [\"{upstream or self.hub.url()}\"]\n    tag_ttl: {tag_ttl}\n"
        if default:
            entry += "    default: on\n"
        if credentials:
            secret = directory / "password"
            secret.write_text(credentials.split(":", 1)[1] + "\n")
            entry += f"    username: {credentials.split(':')[0]}\n    password_file: {secret}\n    allow: [\"**\"]\n"
        entry += "".join(f"    {line}\n" for line in more.format(hub=self.hub).splitlines())
        entries = "".join(f"  - name: {called}\n{entry}" for called in names)
        self.mirror = Registry(binary, directory / "m", config="mirrors:\n" + entries + mirror_config).start()

    def image(self, repository="library/demo", tag="1", **more):
        return Image(self.source, repository, tag, **more)

    def get(self, path, method="GET", headers=None):
        return self.mirror.request(method, path, headers=headers or {})

    def manifest(self, reference="1", repository="docker.io/library/demo", method="GET"):
        return self.get(f"/v2/{repository}/manifests/{reference}", method)

    def blob(self, digest, repository="docker.io/library/demo", method="GET", headers=None):
        return self.get(f"/v2/{repository}/blobs/{digest}", method, headers)

    def pull(self, image_, reference="1", repository="docker.io/library/demo"):
        """What differs from the image; empty when all is right."""
        answer = self.manifest(reference, repository)
        if answer.status != 200 or answer.body != image_.manifest:
            return f"manifest: {answer}"
        if answer.headers["Docker-Content-Digest"] != image_.digest:
            return f"digest of the manifest: {answer.headers['Docker-Content-Digest']}"
        for digest, bytes_ in image_.blobs.items():
            answer = self.blob(digest, repository)
            if answer.status != 200 or answer.body != bytes_:
                return f"blob {digest[:15]}: {answer.status}, {len(answer.body)} of {len(bytes_)} bytes"
        return ""

    def stored(self, digest):
        return (self.mirror.data / "blobs" / "sha256" / digest[7:9] / digest[7:]).exists()

    def wait_stored(self, digest):
        eventually(lambda: self.stored(digest) and not self.mirror.uploads(), f"{digest[:19]} is stored")

    def wait_expired(self, reference="1"):
        """Until the tag is compared with upstream again."""
        before = self.hub.count("registry", "manifests")
        eventually(lambda: self.manifest(reference, method="HEAD") and self.hub.count("registry", "manifests") > before,
                   "the tag's time is over")

    def administer(self, method, path, body=None):
        """Status and JSON of what the administrator's socket answers."""
        text = json.dumps(body).encode() if body is not None else b""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(PATIENCE)
            link.connect(str(self.mirror.data / "stele.sock"))
            link.sendall(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                         f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n".encode() + text)
            answer = http.client.HTTPResponse(link, method=method)
            answer.begin()
            said = answer.read()
            return answer.status, json.loads(said) if said else None

    def evict(self, repository="docker.io/library/demo"):
        """Everything of the repository goes; the status."""
        return self.administer("DELETE", f"/api/v1/repositories/{repository}")[0]

    def close(self):
        self.hub.stop()
        self.mirror.kill()
        self.source.kill()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def eventually(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise Failure(f"did not happen within {PATIENCE} s: {what}")
        time.sleep(0.02)


class Reader:
    """A client that reads a body in steps of its own."""

    def __init__(self, registry, path):
        self.connection = registry.connection(timeout=PATIENCE)
        self.connection.request("GET", path)
        self.body = b""
        try:
            self.response = self.connection.getresponse()
            self.status = self.response.status
        except ConnectionResetError:    # it overtook the head
            self.response = self.status = None

    def read(self, count):
        self.body += self.response.read(count)
        return self

    def rest(self):
        """Everything; False when the connection broke off before the end."""
        try:
            if self.response is None:
                return False
            self.body += self.response.read()
            return True
        except (http.client.IncompleteRead, OSError) as broke:
            self.body += getattr(broke, "partial", b"")
            return False
        finally:
            self.close()

    def close(self):
        self.connection.close()


def at_once(count, work):
    """Runs work(number) in so many threads; their results."""
    results = [None] * count
    failures = []

    def run(number):
        try:
            results[number] = work(number)
        except Exception as broke:  # noqa: BLE001: told in the caller's thread
            failures.append(broke)
    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise Failure(f"{type(failures[0]).__name__}: {failures[0]}")
    return results


def code(answer):
    try:
        return json.loads(answer.body)["errors"][0]["code"]
    except (ValueError, LookupError, TypeError):
        return ""
