"""Makes images without a network, and compares what came back: by bytes (Graph.same) or by content (Graph.same_content,
for clients that compress anew or write a manifest of their own)."""
import gzip
import hashlib
import io
import json
import os
import platform
import tarfile
from dataclasses import dataclass, field

from server import Failure

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
ACCEPT = ", ".join([INDEX, MANIFEST, DOCKER_LIST, DOCKER_MANIFEST])
TAG = "1.0"


def host_architecture():
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass
class Graph:
    """A manifest or index with everything below it: the digest of the root and the bytes of each part."""
    root: str
    parts: dict = field(default_factory=dict)

    def document(self, digest=None):
        return json.loads(self.parts[digest or self.root])

    def images(self, digest=None):
        """The image manifests below the root: [(digest, manifest)]."""
        document = self.document(digest)
        if "manifests" not in document:
            return [(digest or self.root, document)]
        return [image for child in document["manifests"] for image in self.images(child["digest"])]

    def same(self, other, what):
        if self.root != other.root:
            raise Failure(f"{what}: the manifest is {other.root}, it was {self.root}")
        missing = sorted(self.parts.keys() ^ other.parts.keys())
        if missing:
            raise Failure(f"{what}: only one side has {', '.join(missing)}")
        for digest, data in self.parts.items():
            if other.parts[digest] != data:
                raise Failure(f"{what}: the bytes of {digest} differ")

    def content(self):
        """Per image: what its configuration says of the file systems, and the digest of each uncompressed layer."""
        found = []
        for _, manifest in self.images():
            config = json.loads(self.parts[manifest["config"]["digest"]])
            layers = [digest_of(uncompressed(self.parts[layer["digest"]])) for layer in manifest["layers"]]
            if config["rootfs"]["diff_ids"] != layers:
                raise Failure(f"the layers {layers} are not the diff_ids {config['rootfs']['diff_ids']} of their image")
            found.append((config["architecture"], layers))
        return sorted(found)

    def same_content(self, other, what):
        mine, theirs = self.content(), other.content()
        if mine != theirs:
            raise Failure(f"{what}: the layers are {theirs}, they were {mine}")


def uncompressed(data):
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def children(document):
    """The descriptors of a manifest or an index."""
    found = list(document.get("manifests", [])) + list(document.get("layers", []))
    return found + ([document["config"]] if "config" in document else [])


def read(get_manifest, get_blob, reference):
    """A Graph, read through two functions that return bytes; each part is hashed."""
    root = get_manifest(reference)
    graph = Graph(digest_of(root), {digest_of(root): root})

    def follow(document):
        for child in children(document):
            digest = child["digest"]
            if digest in graph.parts:
                continue
            is_manifest = child["mediaType"] in (INDEX, MANIFEST, DOCKER_LIST, DOCKER_MANIFEST)
            data = get_manifest(digest) if is_manifest else get_blob(digest)
            if digest_of(data) != digest or len(data) != child["size"]:
                raise Failure(f"{digest} has {len(data)} bytes that hash to {digest_of(data)}")
            graph.parts[digest] = data
            if is_manifest:
                follow(json.loads(data))

    follow(json.loads(root))
    return graph


def from_server(server, repository, reference=TAG):
    """The Graph as the registry serves it to a client that is none of the programs under test."""
    def get(path, **headers):
        status, _, body = server.request("GET", f"/v2/{repository}/{path}", headers=headers)
        if status != 200:
            raise Failure(f"GET /v2/{repository}/{path} answered {status}: {body[:300].decode(errors='replace')}")
        return body

    return read(lambda name: get(f"manifests/{name}", Accept=ACCEPT), lambda name: get(f"blobs/{name}"), reference)


def from_layout(directory, tag=TAG):
    """The Graph of one tag of an OCI layout (or of its only entry)."""
    def blob(digest):
        return (directory / "blobs" / digest.replace(":", "/")).read_bytes()

    entries = json.loads((directory / "index.json").read_bytes())["manifests"]
    named = [entry for entry in entries
             if entry.get("annotations", {}).get("org.opencontainers.image.ref.name") == tag] or entries
    if len(named) != 1:
        raise Failure(f"{directory} has {len(named)} entries for {tag}: {entries}")
    return read(blob, blob, named[0]["digest"])


def push(server, repository, graph, tag=TAG):
    """The Graph into a registry, by requests that every registry understands; the root under the tag."""
    def done(method, path, body, expected, kind="application/octet-stream"):
        status, headers, said = server.request(method, path, body, {"Content-Type": kind})
        if status != expected:
            raise Failure(f"{method} {path} answered {status}: {said[:300].decode(errors='replace')}")
        return headers

    def follow(digest, reference):
        document = graph.document(digest)
        for child in children(document):
            if child["mediaType"] in (INDEX, MANIFEST, DOCKER_LIST, DOCKER_MANIFEST):
                follow(child["digest"], child["digest"])
                continue
            location = done("POST", f"/v2/{repository}/blobs/uploads/", b"", 202)["Location"]
            location = location[location.index("/v2/"):]
            done("PUT", f"{location}{'&' if '?' in location else '?'}digest={child['digest']}", graph.parts[child["digest"]], 201)
        done("PUT", f"/v2/{repository}/manifests/{reference}", graph.parts[digest], 201, document["mediaType"])

    follow(graph.root, tag)


def layer(name, random=70_000):
    """An uncompressed layer that no other call returns: files, a directory, links, modes; so many bytes do not compress."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        def add(path, kind=tarfile.REGTYPE, data=b"", mode=0o644, link=""):
            entry = tarfile.TarInfo(path)
            entry.type, entry.mode, entry.linkname, entry.size, entry.mtime = kind, mode, link, len(data), 1700000000
            tar.addfile(entry, io.BytesIO(data))

        add(f"{name}", tarfile.DIRTYPE, mode=0o755)
        add(f"{name}/random", data=os.urandom(random))
        add(f"{name}/text", data=b"compressible\n" * 5000)
        add(f"{name}/run", data=b"#!/bin/sh\n", mode=0o755)
        add(f"{name}/soft", tarfile.SYMTYPE, link="text")
        add(f"{name}/hard", tarfile.LNKTYPE, link=f"{name}/text")
        add(f"{name}/empty")
    return buffer.getvalue()


class Layout:
    """An OCI layout on disk. `graph` is what it holds, `directory` where, `reference` how skopeo and friends name it."""

    def __init__(self, directory, architectures, note="tests/clients", random=70_000):
        """`note`: a label; images of different notes are different images. `random`: as layer() takes it."""
        self.directory, self.note, self.random = directory, note, random
        self.reference = f"oci:{directory}:{TAG}"
        (directory / "blobs/sha256").mkdir(parents=True)
        images = [self._image(architecture) for architecture in architectures]
        root = images[0]
        if len(images) > 1:
            root = self._json(INDEX, {"schemaVersion": 2, "mediaType": INDEX, "manifests": images})
        root = {**root, "annotations": {"org.opencontainers.image.ref.name": TAG}}
        (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [root]}))
        (directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        self.graph = from_layout(directory)

    def _blob(self, media_type, data):
        digest = digest_of(data)
        (self.directory / "blobs" / digest.replace(":", "/")).write_bytes(data)
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def _json(self, media_type, document):
        return self._blob(media_type, json.dumps(document, indent=1).encode())

    def _image(self, architecture):
        layers = [layer(f"{architecture}-{name}", self.random) for name in ("base", "app")]
        config = self._json(CONFIG, {
            "architecture": architecture, "os": "linux", "created": "2024-01-01T00:00:00Z",
            "config": {"Cmd": [f"/{architecture}-app/run"], "Labels": {"made-by": f"stele {self.note}"}},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(data) for data in layers]},
            "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "tests/clients/images.py"} for _ in layers]})
        blobs = [self._blob(LAYER, gzip.compress(data, mtime=0)) for data in layers]
        image = self._json(MANIFEST, {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": blobs})
        return {**image, "platform": {"architecture": architecture, "os": "linux"}}

    def archive(self, file):
        """The layout as one tar file."""
        with tarfile.open(file, "w") as tar:
            for path in sorted(self.directory.rglob("*")):
                tar.add(path, path.relative_to(self.directory), recursive=False)
        return file

    def docker_archive(self, file, name):
        """The first image as `docker load` takes it."""
        _, manifest = self.graph.images()[0]
        config = manifest["config"]["digest"]
        with tarfile.open(file, "w") as tar:
            def add(path, data):
                entry = tarfile.TarInfo(path)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))

            add(f"{config[7:]}.json", self.graph.parts[config])
            names = []
            for number, descriptor in enumerate(manifest["layers"]):
                names.append(f"{number}/layer.tar")
                add(names[-1], uncompressed(self.graph.parts[descriptor["digest"]]))
            add("manifest.json", json.dumps(
                [{"Config": f"{config[7:]}.json", "RepoTags": [name], "Layers": names}]).encode())
        return file
