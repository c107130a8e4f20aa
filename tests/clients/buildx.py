import json

from client import Client
from images import Layout
from server import Failure


class Buildx(Client):
    """`docker buildx imagetools`, which joins what is in a registry and needs no builder. Under the built-in rules."""
    programs = ("buildx", "crane")
    transports = ("plain",)   # to 127.0.0.1 it speaks HTTP alone

    def start(self):
        self.run("crane", "push", "--insecure", "--index", self.multi.directory, self.name("buildx/app", "pushed"))
        self.images = [digest for digest, _ in self.multi.graph.images()]
        for number, digest in enumerate(self.images):
            self.run("crane", "tag", "--insecure", self.name("buildx/app", digest), f"platform-{number}")

    def create(self, tag, *sources, options=()):
        return self.run("buildx", "imagetools", "create", *options, "-t", self.name("buildx/app", tag), *sources)

    def platform(self, number):
        return self.name("buildx/app", f"platform-{number}")

    def index(self, tag):
        """What the tag names: its document, and the digests of the entries."""
        document = self.served("buildx/app", tag).document()
        return document, [entry["digest"] for entry in document.get("manifests", [])]

    def refused(self, tag, *sources, shown):
        before = self.served("buildx/app", tag).root
        try:
            self.create(tag, *sources)
        except Failure as failure:
            said = str(failure)
        else:
            raise Failure(f"{tag} was moved")
        for words in shown:
            if words not in said:
                raise Failure(f"the user does not read {words!r} in\n{said}")
        self.expect(f"{tag} stays", self.served("buildx/app", tag).root, before)

    def check_an_index_of_tags_that_are_there(self):
        self.create("joined", self.platform(0), self.platform(1))
        _, entries = self.index("joined")
        self.expect("entries", entries, self.images)
        self.multi.graph.same_content(self.served("buildx/app", "joined"), "joined")

    def check_inspect(self):
        seen = json.loads(self.run("buildx", "imagetools", "inspect", "--raw", self.name("buildx/app", "joined")))
        self.expect("inspected", [entry["digest"] for entry in seen["manifests"]], self.images)
        told = self.run("buildx", "imagetools", "inspect", self.name("buildx/app", "joined"))
        for words in (self.served("buildx/app", "joined").root, "linux/amd64", "linux/arm64"):
            self.expect(f"{words} in what inspect says", words in told, True)

    def check_append(self):
        more = Layout(self.directory / "more", ["s390x"], "more")
        self.run("crane", "push", "--insecure", more.directory, self.name("buildx/app", "platform-2"))
        self.create("joined", self.platform(2), options=["--append"])
        _, entries = self.index("joined")
        self.expect("entries", sorted(entries), sorted([*self.images, self.served("buildx/app", "platform-2").root]))

    def check_annotations(self):
        self.create("annotated", self.platform(0), self.platform(1), options=["--annotation", "index:org.opencontainers.image.version=1.4.2"])
        document, entries = self.index("annotated")
        self.expect("annotations", document.get("annotations"), {"org.opencontainers.image.version": "1.4.2"})
        self.expect("entries", entries, self.images)

    def check_a_release_stays_and_the_refusal_is_shown(self):
        self.create("2.0.0", self.platform(0), self.platform(1))
        self.create("2.0.0", self.platform(0), self.platform(1))   # the same again
        self.refused("2.0.0", self.platform(0), self.name("buildx/app", "platform-2"), shown=["409 Conflict", "tag 2.0.0 is immutable"])

    def check_the_habit_of_older_versions(self):
        """They push each platform under the tag, then the index: the first one takes the name (buildx 2955, 663, 1660)."""
        self.create("3.0.0", self.platform(0), options=["--prefer-index=false"])
        self.expect("the first platform", self.served("buildx/app", "3.0.0").root, self.images[0])
        self.refused("3.0.0", self.platform(0), self.platform(1), shown=["409 Conflict", "tag 3.0.0 is immutable"])
        # What the registry's own sentence says, for who looks further than buildx shows.
        status, _, body = self.server.request("GET", "/v2/buildx/app/manifests/joined", headers={"Accept": "*/*"})
        kind = json.loads(body)["mediaType"]
        status, _, said = self.server.request("PUT", "/v2/buildx/app/manifests/3.0.0", body, {"Content-Type": kind})
        self.expect("the index, and why not", (status, b"an index that contains it" in said), (409, True))
        # The way out, an act of its own.
        self.run(self.server.command[0], "tag", "release", "buildx/app:3.0.0", "--reason", "an older buildx", "--data", self.server.directory / "data")
        self.create("3.0.0", self.platform(0), self.platform(1))
        _, entries = self.index("3.0.0")
        self.expect("entries", entries, self.images)
