"""What the team's builds make: blobs of a few hundred bytes, image manifests, indexes with attestations, signatures, SBOMs.

The same arguments give the same bytes, so that a rebuild of the same commit is the same image."""
import hashlib
import json
import random

IMAGE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
EMPTY = "application/vnd.oci.empty.v1+json"
IN_TOTO = "application/vnd.in-toto+json"
SBOM = "application/vnd.cyclonedx+json"
CHART = "application/vnd.cncf.helm.config.v1+json"
COSIGN = "application/vnd.dev.cosign.simplesigning.v1+json"
PLATFORMS = ("amd64", "arm64")


def digest_of(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def blob(seed, size=300):
    """Bytes that nobody else has, unless the seed is the same."""
    return random.Random(f"blob {seed}").randbytes(size)


class Build:
    """Manifests in the order in which they can be pushed, the last being what a tag names, and the blobs that they need."""

    def __init__(self):
        self.manifests = []   # (digest, media type, bytes)
        self.blobs = {}       # digest: bytes
        self.platforms = {}   # platform: digest of its manifest

    @property
    def digest(self):
        return self.manifests[-1][0]

    def descriptor(self, media_type, content):
        digest = digest_of(content)
        self.blobs[digest] = content
        return {"mediaType": media_type, "digest": digest, "size": len(content)}

    def add(self, document):
        content = json.dumps(document).encode()
        digest = digest_of(content)
        self.manifests.append((digest, document["mediaType"], content))
        return {"mediaType": document["mediaType"], "digest": digest, "size": len(content)}

    def manifest(self, config, layers, **more):
        return self.add({"schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": layers, **more})

    def image(self, seed, base, architecture="amd64"):
        """One platform: the base image's layer and one of its own."""
        config = self.descriptor(CONFIG, json.dumps({"architecture": architecture, "os": "linux", "build": str(seed),
                                                     "rootfs": {"type": "layers", "diff_ids": []}}).encode())
        layers = [self.descriptor(LAYER, blob(f"base {base} {architecture}", 600)),
                  self.descriptor(LAYER, blob(f"layer {seed} {architecture}"))]
        made = self.manifest(config, layers)
        self.platforms[architecture] = made["digest"]
        return made

    def attestation(self, seed, of):
        """As buildkit makes it: an entry of the index beside the image that it speaks of."""
        config = self.descriptor(CONFIG, json.dumps({"architecture": "unknown", "os": "unknown", "of": of["digest"]}).encode())
        statement = self.descriptor(IN_TOTO, json.dumps({"seed": str(seed), "subject": of["digest"]}).encode())
        return self.manifest(config, [statement])


def single(seed, base):
    build = Build()
    build.image(seed, base)
    return build


def multi_arch(seed, base):
    build, entries = Build(), []
    for architecture in PLATFORMS:
        made = build.image(seed, base, architecture)
        entries.append(made | {"platform": {"architecture": architecture, "os": "linux"}})
    for entry in list(entries):
        made = build.attestation(seed, entry)
        entries.append(made | {"platform": {"architecture": "unknown", "os": "unknown"},
                               "annotations": {"vnd.docker.reference.type": "attestation-manifest",
                                               "vnd.docker.reference.digest": entry["digest"]}})
    build.add({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
    return build


def chart(seed):
    build = Build()
    config = build.descriptor(CHART, json.dumps({"name": "chart", "seed": str(seed)}).encode())
    build.manifest(config, [build.descriptor("application/vnd.cncf.helm.chart.content.v1.tar+gzip", blob(f"chart {seed}"))])
    return build


def signature(of, signers):
    """Old style cosign: one layer per signer, under the tag signature_tag(of)."""
    build = Build()
    layers = [build.descriptor(COSIGN, json.dumps({"critical": {"image": of}, "signer": signer}).encode()) for signer in signers]
    config = build.descriptor(CONFIG, json.dumps({"signs": of, "layers": len(layers)}).encode())
    build.manifest(config, layers)
    return build


def signature_tag(digest):
    return digest.replace(":", "-") + ".sig"


def sbom(subject, seed):
    """A referrer. `subject` is (digest, media type, size)."""
    build = Build()
    config = build.descriptor(EMPTY, b"{}")
    components = build.descriptor(SBOM, json.dumps({"components": str(seed), "of": subject[0]}).encode())
    build.manifest(config, [components], artifactType=SBOM,
                   subject={"mediaType": subject[1], "digest": subject[0], "size": subject[2]})
    return build
