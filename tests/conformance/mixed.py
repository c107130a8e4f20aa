"""Rules and who asks: everybody may pull, one user may push and delete, another has no right of his own."""
import base64
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "clients"))
from images import Layout, host_architecture, push  # noqa: E402
from server import TOOLS, Failure  # noqa: E402

RULES = """version: 1
access_rules:
  - {name: public, who: [anonymous], repositories: ["**"], allow: [pull]}
  - {name: writers, who: ["user:alice"], repositories: ["**"], allow: [push, delete]}
"""
REPOSITORY = "conformance/repo1"
# What of the program's list is for who only pulls. "Ping" is not: where users exist, /v2/ is how a client learns that he may log in.
PULLING = ["Tag listing", "Blob get", "Blob head", "Manifest get by digest", "Manifest get by tag", "Manifest head by digest",
           "Manifest head by tag", "Referrers", "Invalid Manifest Digest", "Read Only Inputs"]


class As:
    """Requests to the server as one of its users."""

    def __init__(self, registry, user):
        self.registry = registry
        self.account = "Basic " + base64.b64encode(f"{user}:correct horse".encode()).decode()

    def request(self, method, path, body=None, headers=None):
        return self.registry.request(method, path, body, {**(headers or {}), "Authorization": self.account})


def without_a_login(registry, environment, directory):
    """The program's tests of pulling, run by nobody on what alice pushed, and what else is left to nobody. Returns the number of what
    passed and a list of what is wrong."""
    layout = Layout(directory / "layout", [host_architecture()])
    push(As(registry, "alice"), REPOSITORY, layout.graph)
    manifest = layout.graph.document()
    blobs = [manifest["config"]["digest"], *(entry["digest"] for entry in manifest["layers"])]
    environment = {name: value for name, value in environment.items() if name not in ("OCI_USERNAME", "OCI_PASSWORD")}
    environment |= {f"OCI_API_{name}": "false" for name in ("PING", "PUSH", "BLOBS_DELETE", "MANIFESTS_DELETE", "TAGS_DELETE")}
    # It looks for the header in an answer that it has not kept where it did not make the content; the header itself is in all else that is run.
    environment |= {"OCI_API_MANIFESTS_DIGEST_HEADER": "false", "OCI_RESULTS_DIR": str(directory / "pulling"), "OCI_RO_DATA_TAGS": "1.0",
                    "OCI_RO_DATA_MANIFESTS": layout.graph.root, "OCI_RO_DATA_BLOBS": " ".join(blobs), "OCI_RO_DATA_REFERRERS": layout.graph.root}
    # Where it may not push it ends in a panic when it writes its files; its table is printed before.
    done = subprocess.run([TOOLS / "conformance"], env=environment, cwd=directory, capture_output=True, text=True, timeout=600)
    table = dict(re.findall(r"^  (\w[^.\n]*?)\.*: +(\S+)$", done.stdout, re.M))
    wrong = [f"pulling without a login: {name}: {table.get(name)}" for name in PULLING if table.get(name) != "Pass"]
    if table.get("FAIL") != "0" or table.get("Skip") != "0" or table.get("Error") != "0":
        wrong.append(f"pulling without a login: {done.stdout[-3000:]}{done.stderr[-2000:]}")
    refusals = what_is_refused(registry, layout.graph.root)
    return len(PULLING) + REFUSALS - len(wrong) - len(refusals), wrong + refusals


WRITES = [("POST", f"/v2/{REPOSITORY}/blobs/uploads/", b"", "pull,push"), ("PUT", f"/v2/{REPOSITORY}/manifests/2.0", b"{}", "pull,push"),
          ("DELETE", f"/v2/{REPOSITORY}/manifests/1.0", None, "delete")]
REFUSALS = 2 * len(WRITES) + 1


def what_is_refused(registry, digest):
    """To nobody with a challenge, to somebody who may not with a sentence; the image is where it was."""
    wrong = []
    for method, path, body, actions in WRITES:
        status, headers, said = registry.request(method, path, body)
        challenge = headers.get("WWW-Authenticate", "")
        scope = re.fullmatch(rf'Bearer realm="{registry.url}/token",service="[^"]+",scope="repository:{REPOSITORY}:([a-z,]+)"', challenge)
        if status != 401 or not scope or scope[1] != actions or b'"UNAUTHORIZED"' not in said:
            wrong.append(f"{method} {path} by nobody: {status}, {challenge!r}, {said[:300]}")
        status, _, said = As(registry, "reader").request(method, path, body)
        if status != 403 or b'"DENIED"' not in said or b"which no rule of access_rules gives to user:reader" not in said:
            wrong.append(f"{method} {path} by reader: {status}, {said[:300]}")
    status, headers, _ = registry.request("HEAD", f"/v2/{REPOSITORY}/manifests/1.0")
    if (status, headers.get("Docker-Content-Digest")) != (200, digest):
        wrong.append(f"the image after it: {status}, {headers.get('Docker-Content-Digest')}")
    return wrong


def who_asked(log):
    """What of the log does not belong to a mix in which each request begins without a password: whatever reads is nobody's and is not
    asked for one, whatever writes is alice's."""
    wrong, reads = [], 0
    for who, method, path, status in re.findall(r'"(\S+)" ([A-Z]+) "(/v2/\S+/(?:manifests|blobs|tags|referrers)/[^"]*)" (\d+) ', log.read_text()):
        reading = method in ("GET", "HEAD") and "/blobs/uploads/" not in path
        reads += reading and who == "anonymous" and status[0] == "2"
        if reading and (who != "anonymous" or status in ("401", "403")) or not reading and who == "anonymous" and status != "401":
            wrong.append(f"the log: {who} {method} {path} {status}")
    return wrong if reads > 400 else wrong + [f"the log has {reads} reads by nobody"]
