import json
import os

from client import Client
from images import digest_of
from server import Failure


class Stargz(Client):
    """Partial pulls as stargz-snapshotter makes them (eStargz, zstd:chunked): its own fetcher, without the mount, which needs FUSE and
    a program that is no Go module (tests/clients/stargz-fetch)."""
    programs = ("stargz-fetch",)
    chunk = 1000   # small, for many ranges; the size is theirs to choose

    def read(self, chunks):
        """Reads a layer of so many chunks; what was asked for what was missing, which is every second of them."""
        content = os.urandom(chunks * self.chunk - 1)
        digest = digest_of(content)
        status, _, body = self.server.request("POST", f"/v2/stargz/layers/blobs/uploads/?digest={digest}", content, {"Content-Type": "application/octet-stream"})
        if status != 201:
            raise Failure(f"a layer could not be pushed: {status} {body[:300]}")
        told = json.loads(self.run("stargz-fetch", self.server.url, "stargz/layers", digest, len(content), self.chunk))
        self.expect("what was read", told["digest"], digest)
        return told["then"]

    def check_many_ranges_in_one_request(self):
        # Where another registry serves no more than 64, the first of these reads fails (stargz-snapshotter 81, zot 3623).
        for ranges in (2, 65, 1024):
            self.expect(f"{ranges} ranges", self.read(2 * ranges), [{"ranges": ranges, "status": 206}])

    def check_more_ranges_than_are_served_bring_everything(self):
        self.expect("1,025 ranges", self.read(2 * 1025), [{"ranges": 1025, "status": 200}])
