"""One client of the crash test and its oracle: it remembers every answer that it got and holds the registry to it.

A client owns its repositories, so that what must be there is known exactly: what the last acknowledged operation left,
and for the one that was under way when the server died, all of it or nothing.
"""
import collections
import dataclasses
import hashlib
import http.client
import json
import random
import time

KB, MB = 1024, 1024 * 1024
REPOSITORIES = 3
LARGEST = 8 * MB
SAMPLE = 40          # of what is older than the last kill, read back after each
BASE = random.Random(20261123).randbytes(LARGEST + MB)
IMAGE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
BROKEN = (OSError, http.client.HTTPException)


@dataclasses.dataclass(frozen=True)
class Blob:
    """Content that can be made again from its description, so that no client keeps bytes."""
    label: str
    start: int
    size: int
    algorithm: str = "sha256"

    def bytes(self):
        head = self.label.encode().ljust(64, b".")
        return head + BASE[self.start:self.start + self.size - len(head)]

    def digest(self):
        return f"{self.algorithm}:{hashlib.new(self.algorithm, self.bytes()).hexdigest()}"


@dataclasses.dataclass(frozen=True)
class Manifest:
    content: bytes
    media_type: str
    blobs: tuple = ()
    entries: tuple = ()
    subject: str = ""


@dataclasses.dataclass
class Upload:
    repository: str
    blob: Blob
    digest: str
    acknowledged: int = 0   # bytes, by a 202 to PATCH
    sent: int = 0


@dataclasses.dataclass
class InFlight:
    """What was asked for and not yet answered: key → value afterwards."""
    what: str
    changes: dict
    upload: str = ""
    refusal: tuple = ()     # (action, repository) of the record that a refusal by policy leaves


class Trouble(str):
    """What the server has in place of a value, in words."""


def is_right(digest, content):
    algorithm, expected = digest.split(":")
    return hashlib.new(algorithm, content).hexdigest() == expected


def is_release(tag):
    """A full version: immutable, and not deleted, under the rules that hold without a policy file."""
    return tag.startswith("1.")


class Client:
    def __init__(self, number, seed, byte_budget, shared_labels):
        self.number = number
        self.random = random.Random(seed)
        self.repositories = [f"crash/c{number}/r{i}" for i in range(REPOSITORIES)]
        self.share, self.allowance = byte_budget, 0     # bytes per phase between two kills
        self.shared_labels = shared_labels
        self.state = {}                                 # ("blob"|"manifest"|"tag", repository, name) → value, None: deleted
        self.touched = set()
        self.recent = collections.defaultdict(lambda: collections.deque(maxlen=60))
        self.uses = collections.Counter()               # blobs and index entries, by the manifests that need them
        self.events = collections.Counter()             # (action, repository): what the registry must have recorded
        self.maybe = collections.Counter()              # the same of refusals that nobody heard of
        self.uploads = {}
        self.in_flight = None
        self.unanswered = {}                            # values that the operation in flight would have left
        self.serial = 0
        self.acknowledged = collections.Counter()       # by operation
        self.lost, self.dangling, self.odd = [], [], []
        self.complete = set()                           # manifests whose needs were looked at in this check
        self.connection = None

    # --- talking to the server ---

    def connect(self, address):
        host, port = address.split(":")
        if self.connection:
            self.connection.close()
        self.connection = http.client.HTTPConnection(host, int(port), timeout=60)

    def ask(self, method, path, body=None, headers=None, **more):
        """The whole answer, or an exception: nothing counts as acknowledged before its last byte is here."""
        self.connection.request(method, path, body, headers or {}, **more)
        response = self.connection.getresponse()
        return response.status, response.headers, response.read()

    def unexpected(self, what, answer):
        status, _, body = answer
        self.odd.append(f"{what} answered {status}: {body[:300].decode(errors='replace')}")

    # --- the oracle ---

    def settle(self, changes):
        """The changes happened: the state follows, and so does what the registry must have recorded of them."""
        for key, after in changes.items():
            kind, repository, name = key
            before = self.state.get(key)
            if before == after:
                continue
            if kind == "tag":
                self.events["tag.delete" if after is None else "tag.set", repository] += 1
            elif kind == "manifest":
                self.events["manifest.delete" if after is None else "manifest.push", repository] += 1
                for needed in (after or before).blobs + (after or before).entries:
                    self.uses[repository, needed] += 1 if after else -1
            else:
                self.events["blob.delete" if after is None else "blob.arrive", repository] += 1
            self.state[key] = after
            if after is not None:
                self.recent[kind, repository].append(name)
        self.touched.update(key for key in changes if key in self.state)

    def perform(self, what, changes, method, path, expected, body=None, headers=None, upload="", refusal=(), **more):
        """One operation whose acknowledgement is `expected` and which then has made all of `changes`."""
        self.in_flight = InFlight(what, changes, upload, refusal)
        answer = self.ask(method, path, body, headers, **more)
        if answer[0] != expected:
            self.unexpected(f"{what} ({method} {path[:120]})", answer)
            return None   # it stays in flight: the next check finds out what it did
        self.in_flight = None
        self.acknowledged[what] += 1
        if refusal:
            self.events[refusal] += 1
        self.settle(changes)
        self.uploads.pop(upload, None)
        return answer

    def resolve(self):
        """What became of the operation that nobody answered? All of it or nothing."""
        pending, self.in_flight = self.in_flight, None
        if pending is None:
            return
        if pending.refusal:
            self.maybe[pending.refusal] += 1
        found = {key: self.observe(key) for key in pending.changes}
        happened = all(found[key] == after for key, after in pending.changes.items())
        untouched = all(found[key] == self.state.get(key) for key in pending.changes)
        if not happened and not untouched:
            self.lost.append(f"{pending.what} was cut in half: " + ", ".join(
                f"{key[0]} {key[2][:19]} {'done' if found[key] == after else 'not done'}" for key, after in pending.changes.items()))
        self.settle({key: value for key, value in found.items() if not isinstance(value, Trouble)})
        if pending.upload and happened and pending.changes:
            self.uploads.pop(pending.upload, None)

    # --- reading back ---

    def observe(self, key):
        """The value that the server has for a key; None: absent."""
        kind, repository, name = key
        path = f"/v2/{repository}/{'blobs' if kind == 'blob' else 'manifests'}/{name}"
        status, headers, body = self.ask("GET", path)
        if status == 404:
            return None
        if status != 200:
            return Trouble(f"answering {status}: {body[:200]!r}")
        if kind == "tag":
            digest = headers["Docker-Content-Digest"]
            return digest if is_right(digest, body) else Trouble("other bytes than its digest says")
        if not is_right(name, body):
            return Trouble(f"{len(body)} wrong bytes")
        value = self.state.get(key) or self.unanswered.get(key)
        if value is None:
            return Trouble("there again")
        if kind == "manifest" and headers["Content-Type"] != value.media_type:
            return Trouble(f"of type {headers['Content-Type']}")
        return value

    def verify(self, keys):
        for key in keys:
            found = self.observe(key)
            if found != self.state[key]:
                expected = self.state[key]
                wanted = "absent" if expected is None else expected if key[0] == "tag" else "there"
                self.lost.append(f"{key[0]} {key[1]} {key[2]} must be {wanted}, is {found or 'absent'}")
            elif key[0] == "tag" and found:
                self.verify_tag(key[1], key[2], found)

    def verify_tag(self, repository, tag, digest):
        """I2: what a tag needs is there."""
        if (repository, digest) in self.complete:
            return
        self.complete.add((repository, digest))
        status, _, body = self.ask("GET", f"/v2/{repository}/manifests/{digest}")
        if status != 200:
            self.dangling.append(f"{repository}:{tag} is {digest}, which answers {status}")
            return
        manifest = json.loads(body)
        needed = [("blobs", d["digest"]) for d in manifest.get("layers", [])]
        needed += [("blobs", manifest["config"]["digest"])] if "config" in manifest else []
        needed += [("manifests", d["digest"]) for d in manifest.get("manifests", [])]
        for kind, name in needed:
            status, _, _ = self.ask("HEAD", f"/v2/{repository}/{kind}/{name}")
            if status != 200:
                self.dangling.append(f"{repository}:{tag} needs {kind} {name}, which answers {status}")

    def verify_lists(self):
        """The tags of each repository are those that were acknowledged, no more and no fewer."""
        for repository in self.repositories:
            status, _, body = self.ask("GET", f"/v2/{repository}/tags/list")
            listed = set(json.loads(body)["tags"]) if status == 200 else set()
            expected = {name for (kind, where, name), value in self.state.items()
                        if kind == "tag" and where == repository and value}
            for tag in listed ^ expected:
                (self.lost if tag in expected else self.dangling).append(
                    f"tag {repository}:{tag} is {'not ' if tag in expected else ''}listed")

    def verify_referrers(self, subjects):
        expected = collections.defaultdict(set)
        for (kind, repository, name), value in self.state.items():
            if kind == "manifest" and value and value.subject:
                expected[repository, value.subject].add(name)
        for repository, subject in subjects(sorted(expected)):
            status, _, body = self.ask("GET", f"/v2/{repository}/referrers/{subject}")
            listed = {d["digest"] for d in json.loads(body)["manifests"]} if status == 200 else set()
            if listed != expected[repository, subject]:
                self.lost.append(f"the referrers of {repository}@{subject[:19]} are {len(listed)}, not {len(expected[repository, subject])}")

    def verify_upload(self, name, finish):
        """What a 202 to PATCH acknowledged is there, and the upload goes on from it."""
        upload = self.uploads[name]
        path = f"/v2/{upload.repository}/blobs/uploads/{name}"
        status, headers, body = self.ask("GET", path)
        if status == 404 and upload.acknowledged == 0:
            del self.uploads[name]      # nothing was promised
            return
        last = int(headers["Range"].split("-")[1]) if status == 204 else -1
        offset = last + 1 if last > 0 else 0
        if status != 204 or not upload.acknowledged <= offset <= upload.sent:
            self.lost.append(f"upload {name} acknowledged {upload.acknowledged} bytes, sent {upload.sent}, and now answers "
                             f"{status} with {offset} bytes")
            del self.uploads[name]
            return
        upload.acknowledged = upload.sent = offset
        if not finish:
            return
        status, _, body = self.finish(name)
        if status != 201:
            self.lost.append(f"upload {name} had {offset} of {upload.blob.size} bytes and cannot be finished: "
                             f"{status} {body[:200].decode(errors='replace')}")
            self.in_flight = None
            del self.uploads[name]

    def check(self, everything):
        """After a restart. `everything`: all that was ever acknowledged, else what is new and a sample of the rest."""
        cut = self.in_flight.upload if self.in_flight else ""
        self.unanswered = dict(self.in_flight.changes) if self.in_flight else {}
        self.resolve()
        for name in list(self.uploads):
            # The one that was being finished is finished now: what it had acknowledged must do.
            self.verify_upload(name, finish=everything or name == cut)
        keys = list(self.state)
        if not everything:
            older = [key for key in keys if key not in self.touched]
            keys = list(self.touched) + self.random.sample(older, min(SAMPLE, len(older)))
        self.verify(keys)
        self.verify_lists()
        self.verify_referrers((lambda all_of_them: all_of_them) if everything
                              else lambda some: self.random.sample(some, min(5, len(some))))
        self.touched.clear()
        self.complete.clear()
        return len(keys)

    # --- choosing ---

    def label(self):
        self.serial += 1
        return f"c{self.number}-{self.serial}"

    def new_blob(self):
        roll = self.random.random()
        if roll < 0.08:   # content that other clients push at the same time
            label = self.random.choice(self.shared_labels)
            picker = random.Random(label)
            return Blob(label, picker.randrange(MB), picker.randrange(KB, 256 * KB))
        largest = min(LARGEST, self.allowance)
        size = KB + int(self.random.random() * 3 * KB) if largest < 16 * KB else int(KB * (largest / KB) ** self.random.random())
        self.allowance -= size
        return Blob(self.label(), self.random.randrange(MB), size, "sha512" if roll > 0.96 else "sha256")

    def pick(self, kind, repository, free=False):
        """A recent name that is there; `free`: which nothing needs."""
        names = [name for name in self.recent[kind, repository] if self.state.get((kind, repository, name)) is not None
                 and not (free and self.uses[repository, name])]
        return self.random.choice(names) if names else None

    def new_tag(self):
        release = self.random.random() < 0.15
        return f"{f'1.{self.serial}.' if release else f't{self.serial}-'}{self.random.randrange(10**9)}"

    # --- operations ---

    def push_at_once(self, repository):
        blob = self.new_blob()
        digest = blob.digest()
        self.perform("POST ?digest=", {("blob", repository, digest): blob}, "POST",
                     f"/v2/{repository}/blobs/uploads/?digest={digest}", 201, blob.bytes())

    def begin(self, repository, blob, algorithm=None):
        query = "?digest-algorithm=sha512" if (algorithm or blob.algorithm) == "sha512" else ""
        answer = self.perform("POST", {}, "POST", f"/v2/{repository}/blobs/uploads/{query}", 202)
        if not answer:
            return None
        name = answer[1]["Location"].split("/")[-1]
        self.uploads[name] = Upload(repository, blob, blob.digest())
        return name

    def patch(self, name, size, streamed):
        upload = self.uploads[name]
        first = upload.acknowledged
        piece = upload.blob.bytes()[first:first + size]
        upload.sent = first + len(piece)
        headers = {"Content-Type": "application/octet-stream"}
        more = {}
        body = piece
        if streamed:
            headers["Transfer-Encoding"] = "chunked"
            body = (piece[at:at + 64 * KB] for at in range(0, len(piece), 64 * KB))
            more["encode_chunked"] = True
        else:
            headers["Content-Range"] = f"{first}-{first + len(piece) - 1}"
        answer = self.perform("PATCH", {}, "PATCH", f"/v2/{upload.repository}/blobs/uploads/{name}", 202, body, headers, **more)
        if not answer:
            return False
        upload.acknowledged = upload.sent
        if answer[1]["Range"] != f"0-{upload.sent - 1}":
            self.odd.append(f"PATCH up to {upload.sent} answered Range: {answer[1]['Range']}")
        return True

    def finish(self, name):
        upload = self.uploads[name]
        rest = upload.blob.bytes()[upload.acknowledged:]
        upload.sent = upload.blob.size
        headers = {"Content-Range": f"{upload.acknowledged}-{upload.blob.size - 1}"} if rest and upload.acknowledged else {}
        changes = {("blob", upload.repository, upload.digest): upload.blob}
        self.in_flight = InFlight("PUT", changes, name)
        answer = self.ask("PUT", f"/v2/{upload.repository}/blobs/uploads/{name}?digest={upload.digest}", rest, headers)
        if answer[0] == 201:
            self.in_flight = None
            self.acknowledged["PUT"] += 1
            self.settle(changes)
            del self.uploads[name]
        return answer

    def finish_or_say(self, name):
        answer = self.finish(name)
        if answer[0] != 201:
            self.unexpected("PUT of an upload", answer)
            del self.uploads[name]

    def push_post_put(self, repository):
        blob = self.new_blob()
        # Sometimes an algorithm that only the PUT names.
        name = self.begin(repository, blob, algorithm="sha256" if self.random.random() < 0.3 else None)
        if name:
            self.finish_or_say(name)

    def push_streamed(self, repository):
        name = self.begin(repository, self.new_blob())
        if name and self.patch(name, LARGEST, streamed=True):
            self.finish_or_say(name)

    def open_upload(self, repository):
        if len(self.uploads) < 3:
            self.begin(repository, self.new_blob())

    def continue_upload(self, _):
        if not self.uploads:
            return
        name = self.random.choice(list(self.uploads))
        upload = self.uploads[name]
        left = upload.blob.size - upload.acknowledged
        if left < 4 * KB or self.random.random() < 0.3:
            self.finish_or_say(name)
        else:
            self.patch(name, max(2, int(left * self.random.random())), streamed=self.random.random() < 0.3)

    def cancel_upload(self, _):
        if not self.uploads:
            return
        name = self.random.choice(list(self.uploads))
        upload = self.uploads.pop(name)     # whatever becomes of it, nothing is promised any more
        self.perform("DELETE upload", {}, "DELETE", f"/v2/{upload.repository}/blobs/uploads/{name}", 204)

    def mount(self, repository):
        source = self.random.choice(self.repositories)
        digest = self.pick("blob", source)
        if digest is None:
            return
        from_it = f"&from={source}" if self.random.random() < 0.8 else ""
        self.perform("mount", {("blob", repository, digest): self.state["blob", source, digest]}, "POST",
                     f"/v2/{repository}/blobs/uploads/?mount={digest}{from_it}", 201)

    def make_manifest(self, repository):
        blobs = [name for name in (self.pick("blob", repository) for _ in range(self.random.randint(1, 4))) if name]
        if not blobs:
            return None
        children = [name for name in (self.pick("manifest", repository) for _ in range(2)) if name]
        body = {"schemaVersion": 2, "annotations": {"label": self.label(), "padding": "x" * self.random.choice([0, 0, 500, 20000])}}
        if children and self.random.random() < 0.2:
            body |= {"mediaType": INDEX, "manifests": [
                {"mediaType": self.state["manifest", repository, d].media_type, "digest": d,
                 "size": len(self.state["manifest", repository, d].content)} for d in children]}
            return Manifest(json.dumps(body).encode(), INDEX, entries=tuple(dict.fromkeys(children)))
        described = [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": d,
                      "size": self.state["blob", repository, d].size} for d in blobs]
        body |= {"mediaType": IMAGE, "config": described[0], "layers": described[1:]}
        subject = ""
        if children and self.random.random() < 0.25:
            subject = children[0]
            body |= {"artifactType": "application/x-crash-test", "subject": {
                "mediaType": self.state["manifest", repository, subject].media_type, "digest": subject,
                "size": len(self.state["manifest", repository, subject].content)}}
        return Manifest(json.dumps(body).encode(), IMAGE, blobs=tuple(dict.fromkeys(blobs)), subject=subject)

    def push_manifest(self, repository):
        """By tag, new or moved; by digest with no, one or many ?tag=."""
        manifest = self.make_manifest(repository)
        if manifest is None:
            return
        known = self.pick("manifest", repository)
        if known and self.random.random() < 0.15:
            manifest = self.state["manifest", repository, known]    # the same again, under another tag
        digest = "sha256:" + hashlib.sha256(manifest.content).hexdigest()
        tags = [self.pick("tag", repository) if self.random.random() < 0.4 else None for _ in range(self.random.choice([0, 1, 1, 1, 2, 4, 12]))]
        tags = list(dict.fromkeys(tag or f"{self.new_tag()}-{i}" for i, tag in enumerate(tags)))
        changes = {("manifest", repository, digest): manifest} | {("tag", repository, tag): digest for tag in tags}
        if len(tags) == 1:
            what, reference, query = "PUT by tag", tags[0], ""
        else:
            what, reference, query = "PUT by digest", digest, "&".join(f"tag={tag}" for tag in tags)
        path = f"/v2/{repository}/manifests/{reference}{'?' if query else ''}{query}"
        headers = {"Content-Type": manifest.media_type}
        if any(is_release(tag) and self.state.get(("tag", repository, tag), digest) != digest for tag in tags):
            # I3: the built-in rules bind a full version to its first digest.
            self.perform("refused PUT", {}, "PUT", path, 409, manifest.content, headers, refusal=("tag.refused", repository))
        else:
            self.perform(what, changes, "PUT", path, 201, manifest.content, headers)

    def delete_tag(self, repository):
        tag = self.pick("tag", repository)
        if tag and is_release(tag):
            self.perform("refused DELETE", {}, "DELETE", f"/v2/{repository}/manifests/{tag}", 409, refusal=("tag.refused", repository))
        elif tag:
            self.perform("DELETE tag", {("tag", repository, tag): None}, "DELETE", f"/v2/{repository}/manifests/{tag}", 202)

    def delete_manifest(self, repository):
        digest = self.pick("manifest", repository)
        if digest is None:
            return
        path = f"/v2/{repository}/manifests/{digest}"
        if self.uses[repository, digest]:
            self.perform("refused DELETE", {}, "DELETE", path, 409, refusal=("manifest.refused", repository))
            return
        tags = [key for key, value in self.state.items() if key[:2] == ("tag", repository) and value == digest]
        if any(is_release(key[2]) for key in tags):
            self.perform("refused DELETE", {}, "DELETE", path, 409, refusal=("tag.refused", repository))
            return
        changes = {("manifest", repository, digest): None} | {key: None for key in tags}
        self.perform("DELETE manifest", changes, "DELETE", path, 202)

    def delete_blob(self, repository):
        digest = self.pick("blob", repository, free=self.random.random() < 0.8)
        if digest is None:
            return
        path = f"/v2/{repository}/blobs/{digest}"
        if self.uses[repository, digest]:
            self.perform("refused DELETE", {}, "DELETE", path, 409)
        else:
            self.perform("DELETE blob", {("blob", repository, digest): None}, "DELETE", path, 202)

    OPERATIONS = ((push_at_once, 5), (push_post_put, 4), (push_streamed, 4), (open_upload, 3), (continue_upload, 8),
                  (cancel_upload, 1), (mount, 3), (push_manifest, 12), (delete_tag, 3), (delete_manifest, 2), (delete_blob, 2))

    def work(self):
        """Until the server is gone; when that was noticed. None: an answer was not as expected."""
        operations, weights = zip(*self.OPERATIONS)
        self.allowance += self.share
        try:
            while not self.in_flight:
                self.random.choices(operations, weights)[0](self, self.random.choice(self.repositories))
        except BROKEN:
            return time.monotonic()
        return None
