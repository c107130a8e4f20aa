"""Pulls that are counted. Each test_* function is a test."""
import json
import sqlite3
import time

from common import IMAGE, INDEX, check, manifest, put_manifest, sha256
from wire import Server, eventually, push_blob, request


def pulled(server):
    """What the catalog knows: the digests that were ever pulled, and since when every pull is recorded."""
    with sqlite3.connect(f"file:{server.data}/stele.db?mode=ro", uri=True) as catalog:
        rows = catalog.execute("SELECT m.digest, u.pulled_at FROM manifest_use u JOIN manifests m ON m.id = u.manifest_id").fetchall()
        since = catalog.execute("SELECT value FROM meta WHERE key = 'pulls_since'").fetchone()
    return dict(rows), int(since[0])


def test_pulls_of_manifests_are_counted(stele):
    """GET and HEAD, by tag and by digest, 304 too; nothing else is a pull."""
    server = Server(stele).start()
    try:
        began = time.time()
        config = push_blob(server, "app", b"{}")
        images = {name: manifest(config, name) for name in ("get", "head", "digest", "unchanged", "child", "sibling", "pushed", "listed")}
        for name, image in images.items():
            check(put_manifest(server, "app", name, image).status == 201, f"pushed {name}")
        entries = [{"mediaType": IMAGE, "digest": sha256(images[name]), "size": len(images[name])} for name in ("child", "sibling")]
        index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
        check(put_manifest(server, "app", "index", index, INDEX).status == 201, "pushed the index")
        asked = [("GET", "manifests/get", 200), ("HEAD", "manifests/head", 200), ("GET", f"manifests/{sha256(images['digest'])}", 200),
                 ("HEAD", f"manifests/{sha256(images['child'])}", 200), ("GET", "manifests/none", 404), ("GET", f"blobs/{config}", 200),
                 ("HEAD", f"blobs/{config}", 200), ("GET", "tags/list", 200), ("GET", f"referrers/{sha256(images['listed'])}", 200),
                 ("HEAD", f"manifests/sha256:{'0' * 64}", 404)]
        for method, what, status in asked:
            answer = request(server, method, f"/v2/app/{what}")
            check(answer.status == status, f"{method} {what}", answer)
        answer = request(server, "GET", "/v2/app/manifests/unchanged", [f'If-None-Match: "{sha256(images["unchanged"])}"'])
        check(answer.status == 304, "unchanged", answer)
        wanted = {sha256(images[name]) for name in ("get", "head", "digest", "unchanged", "child")}
        eventually(lambda: pulled(server)[0].keys() == wanted, "what was pulled, within seconds")
        times, since = pulled(server)
        check(since < began * 1e6 + 1e6, f"recorded from the start, not {since}")
        check(all(began * 1e6 <= at <= (time.time() + 600) * 1e6 for at in times.values()), f"no earlier than the pulls: {times}")
        check(request(server, "GET", "/v2/app/manifests/index").status == 200, "the index")
        metrics = request(server, "GET", "/metrics").body.decode()
        check('stele_pull_records{state="dirty"} 1\n' in metrics, metrics)
        check("stele_pull_records_lost_total 0\n" in metrics, metrics)
        check(server.stop() == 0, "stopped")
        check(pulled(server) == ({**times, sha256(index): pulled(server)[0].get(sha256(index))}, since), "the index alone came to it")
    finally:
        server.kill()
        server.remove()


def test_kill_9_forgets_no_pull(stele):
    server = Server(stele).start()
    try:
        config = push_blob(server, "app", b"{}")
        images = [manifest(config, str(number)) for number in range(50)]
        for number, image in enumerate(images):
            check(put_manifest(server, "app", str(number), image).status == 201, "pushed")
        since = pulled(server)[1]
        for number in range(50):
            check(request(server, "HEAD", f"/v2/app/manifests/{number}").status == 200, "pulled")
        server.kill()
        server.start()
        eventually(lambda: len(pulled(server)[0]) == 50, "all that were pulled")
        check(pulled(server)[1] == since, "without a gap")
        server.kill()
        (server.data / "pulls").write_bytes(b"not ours")
        server.start()
        server.wait_log("pulls has another size than it was made with; it was set aside")
        check(pulled(server)[1] > since, "the record begins anew")
        check((server.data / "pulls.set-aside").read_bytes() == b"not ours", "set aside")
        check(server.stop() == 0, "stopped")
    finally:
        server.kill()
        server.remove()
