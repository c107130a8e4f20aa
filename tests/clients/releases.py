"""What every client that pushes images must see of the tag rules: the tags that docker/metadata-action makes for a commit, pushed
from two commits. The fixed ones are refused once, with a sentence that the user reads; the moving ones move."""
import sqlite3

from images import Layout, host_architecture
from server import Failure

FIXED = ["sha-a1b2c3d", "1.4.2", "prod-sha-a1b2c3d"]
MOVING = ["1.4", "1", "main", "pr-17", "latest"]


class Releases:
    # What the client shows of the refusal: the message, or for those that hide it the reason phrase of the status line.
    # Its middle is ECR's, which build tools look for (kaniko's --push-ignore-immutable-tag-errors).
    shown = "cannot be overwritten because the tag is immutable (rule releases); it points to sha256:"

    def push_as(self, layout, name):
        """Pushes the layout's image under host:port/repository:tag."""
        raise NotImplementedError

    def check_tags_of_two_commits(self):
        repository = f"{type(self).__name__.lower()}/release"
        other = Layout(self.directory / "second-commit", [host_architecture()], "second commit")
        for tag in FIXED + MOVING:
            self.push_as(self.single, self.name(repository, tag))
        before = {tag: self.served(repository, tag).root for tag in FIXED + MOVING}
        for tag in FIXED + MOVING:
            self.push_as(self.single, self.name(repository, tag))   # the same again
        self.expect("tags after the same again", {tag: self.served(repository, tag).root for tag in FIXED + MOVING}, before)
        for tag in MOVING:
            self.push_as(other, self.name(repository, tag))
            self.expect(f"{tag} moved", self.served(repository, tag).root != before[tag], True)
        for tag in FIXED:
            attempts = self.refusals(repository)
            try:
                self.push_as(other, self.name(repository, tag))
            except Failure as failure:
                said = str(failure)
            else:
                raise Failure(f"{tag} was pushed again")
            shown = self.shown.format(tag=tag)
            if shown not in said:
                raise Failure(f"{tag}: the user does not read {shown!r} in\n{said}")
            self.expect(f"{tag}: attempts", self.refusals(repository) - attempts, 1)
            self.expect(f"{tag} stays", self.served(repository, tag).root, before[tag])

    def refusals(self, repository):
        """How often the registry refused a tag there: the records, which are written before the answer is."""
        catalog = sqlite3.connect(f"file:{self.server.directory}/data/stele.db?mode=ro", uri=True)
        try:
            return catalog.execute("SELECT count(*) FROM events WHERE action = 'tag.refused' AND repository = ?",
                                   (repository,)).fetchone()[0]
        finally:
            catalog.close()
