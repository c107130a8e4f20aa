#!/usr/bin/env python3
"""kill -9 exactly between two steps of an operation: what was acknowledged before is there, what was not is there wholly
or not at all, and an upload goes on from what its last 202 acknowledged (I1, I2).

  cut_test.py [--stele BINARY] [--dir DIR]

The server kills itself (faults.c) instead of a sync or a write: of the upload's file, of the blob's directory, of the
catalog's log. tests/crash does this at random moments.
"""
import http.client
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from registry import Registry, Stock, build_shim, digest_of, image, main  # noqa: E402

PLACES = {"the upload's sync": "die /uploads/", "the directory's sync": "die /blobs/sha256/",
          "the catalog's write": "die-at-write stele.db-wal", "the catalog's sync": "die stele.db-wal"}
CONTENT = bytes(range(256)) * 1000
FIRST = 200_000     # bytes, acknowledged by a 202 before the server dies


def dies(registry, order, *request):
    """The server dies in this request; False when it answered instead."""
    registry.control.write_text(f"{order}\n")
    try:
        answer = registry.request(*request)
    except (OSError, http.client.HTTPException):
        registry.process.wait(60)
        return registry.process.returncode == -9
    print(f"      it answered {answer}")
    return False


def cut_upload(checks, directory, options, shim):
    content, digest = CONTENT, digest_of(CONTENT)
    for number, (form, acknowledged, method) in enumerate((
            ("POST ?digest=", 0, "POST"), ("POST, PUT", 0, "PUT"), ("PUT without a body after PATCH", len(content), "PUT"),
            ("PUT with the last chunk after PATCH", FIRST, "PUT"), ("second PATCH", FIRST, "PATCH"), ("PUT of known content after PATCH", FIRST, "PUT"))):
        known = "known" in form
        for step, (place, order) in enumerate(PLACES.items()):
            # After a PATCH of everything there is nothing left to sync, a PATCH touches no directory, and what another
            # repository has needs neither.
            if ("/uploads/" in order and (known or acknowledged == len(content))) or ("/blobs/" in order and (known or method == "PATCH")):
                continue
            name = f"{form}, cut at {place}"
            # Short: the path of the local socket has at most 107 bytes, and the checkout may lie deep.
            with Registry(options.stele, directory / f"{number}-{step}", preload=shim) as registry:
                stock = Stock(registry.start())
                stock.image("cut/here", "before", b"before")
                if known:
                    stock.blob("cut/elsewhere", content)
                if method == "POST":
                    location = f"/v2/cut/here/blobs/uploads/?digest={digest}"
                else:
                    location = registry.request("POST", "/v2/cut/here/blobs/uploads/").headers["Location"]
                    if acknowledged and registry.request("PATCH", location, content[:acknowledged]).status != 202:
                        raise ValueError("PATCH was not acknowledged")
                target = f"{location}?digest={digest}" if method == "PUT" else location
                checks(f"{name}: the server died there", dies(registry, order, method, target, content[acknowledged:]))
                registry.start()
                checks(f"{name}: what was there before is there", not stock.missing(), stock.missing())
                blob = registry.request("GET", f"/v2/cut/here/blobs/{digest}")
                checks(f"{name}: the blob is there wholly or not at all", blob.status == 404 or blob.body == content, blob.status)
                if blob.status == 404 and acknowledged:
                    answer = registry.request("GET", location)
                    offset = int(answer.headers["Range"].split("-")[1]) + 1 if answer.status == 204 else 0
                    checks(f"{name}: the upload still has what was acknowledged", acknowledged <= offset <= len(content), f"{answer}, {offset} bytes")
                    rest = content[offset:]
                    answer = registry.request("PUT", f"{location}?digest={digest}", rest, {"Content-Range": f"{offset}-{len(content) - 1}"} if rest else {})
                    checks(f"{name}: and can be finished", answer.status == 201, answer)
                elif blob.status == 404:
                    answer = registry.push_blob("cut/here", content)[1]
                    checks(f"{name}: it can be pushed again", answer.status == 201, answer)
                checks(f"{name}: the content is right", registry.request("GET", f"/v2/cut/here/blobs/{digest}").body == content)
                swept = registry.command("sweep", "--data", registry.data, "--grace", "0")
                files = sorted(path.name for path in (registry.data / "blobs").rglob("*") if path.is_file())
                left = registry.uploads()
                checks(f"{name}: after the sweep there is no debris", swept.returncode == 0 and len(files) == 2 and (not left or method == "PATCH"), f"{left} {files}")


def cut_cancel(checks, directory, options, shim):
    """DELETE of an upload: it is over, or it goes on; never a session that answers but has lost its bytes."""
    with Registry(options.stele, directory / "cancel", preload=shim) as registry:
        registry.start()
        location = registry.request("POST", "/v2/cut/here/blobs/uploads/").headers["Location"]
        registry.request("PATCH", location, CONTENT[:FIRST])
        checks("a cancelled upload, cut at the catalog's write: the server died there", dies(registry, "die-at-write stele.db-wal", "DELETE", location))
        registry.start()
        answer = registry.request("GET", location)
        if answer.status == 204:
            finished = registry.request("PUT", f"{location}?digest={digest_of(CONTENT)}", CONTENT[FIRST:])
            checks("a cancelled upload, cut: a session that is still there can be finished", finished.status == 201,
                   f"GET answered 204 with Range {answer.headers['Range']}, then PUT {finished}")
        else:
            checks("a cancelled upload, cut: it is over", answer.status == 404, answer)


def cut_manifest(checks, directory, options, shim):
    with Registry(options.stele, directory / "manifest", preload=shim) as registry:
        stock = Stock(registry.start())
        stock.image("cut/here", "one", b"before")
        (repository, blob), size = next(iter(stock.blobs.items()))
        manifest = image((blob, size), label="cut")
        tags = [f"t{number}" for number in range(10)]
        query = "&".join(f"tag={tag}" for tag in tags)
        checks("a manifest with ten tags, cut at the catalog's sync: the server died there",
               dies(registry, "die stele.db-wal", "PUT", f"/v2/{repository}/manifests/{digest_of(manifest)}?{query}", manifest))
        registry.start()
        there = [registry.request("HEAD", f"/v2/{repository}/manifests/{tag}").status for tag in tags]
        checks("all tags or none", len(set(there)) == 1, there)
        checks("what was there before is there", not stock.missing(), stock.missing())
        checks("a deleted tag, cut: the server died there", dies(registry, "die stele.db-wal", "DELETE", f"/v2/{repository}/manifests/one"))
        registry.start()
        answer = registry.request("GET", f"/v2/{repository}/manifests/one")
        checks("it is there or not", answer.status == 404 or answer.body == stock.tags[repository, "one"], answer)


def tests(checks, directory, options):
    shim = build_shim(directory)
    checks.run(cut_upload, directory, options, shim)
    checks.run(cut_cancel, directory, options, shim)
    checks.run(cut_manifest, directory, options, shim)


if __name__ == "__main__":
    main("durability cut", tests)
