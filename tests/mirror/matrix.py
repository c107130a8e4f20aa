"""The fault matrix: whatever an upstream does × cold, warm, expired. In every cell: what is served is right or is no clean
answer, what is stored is right (I6), the status says whose fault it is, and the account is shown to nobody else.

`warm` is here and believed; `expired` is here, and upstream has another image under its tag by now; `cold` is not here."""
import hashlib
import threading
import time

from hub import cut, held, reset, status, wrong_bytes
from world import Reader, World, at_once, code, eventually

ACCOUNT = "robot:c4nary-matrix"
TTLS = '{"warm*": 365d, "*": 1s}'
LAYER = 100_000
RIGHT, RESET = "right", "reset"


def loop(handler, _):
    handler.answer(302, {"Location": handler.path})


def silent(gate):
    return lambda *_: gate.wait(120)


def drip(gate):
    """A byte now and then: never nothing, never enough."""
    def action(handler, answer):
        handler.answer(answer.status, answer.headers, b"", announced=len(answer.body))
        for byte in answer.body:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            if gate.wait(0.5):
                return
    return action


def challenge_of(hub):
    return status(401, {"WWW-Authenticate": f'Bearer realm="{hub.realm}",service="foreign"'})


class Cell:
    """`manifest`, `blob`: what the hub does, once the time has come. `cold`: status and code of the manifest; `cold_blob`: RIGHT,
    RESET or a status. `once`: the blob's fault happens once."""

    def __init__(self, manifest, cold, blob=None, cold_blob=None, once=False, gate=None):
        self.manifest, self.cold, self.blob, self.cold_blob = manifest, cold, blob or manifest, cold_blob or cold[0]
        self.once, self.gate = once, gate


def cells():
    stall, slow = threading.Event(), threading.Event()
    lost = (503, "UNAVAILABLE")
    all_of_them = {
        "reset": Cell(reset, lost),
        "stall": Cell(silent(stall), lost, blob=held(LAYER // 2, stall), cold_blob=RIGHT, once=True, gate=stall),
        "wrong bytes": Cell(wrong_bytes, (502, "UNAVAILABLE"), cold_blob=RESET),
        "401": Cell(status(401), (403, "DENIED")),
        "403": Cell(status(403), (403, "DENIED")),
        "404": Cell(status(404), (404, "MANIFEST_UNKNOWN")),
        "429": Cell(status(429, {"Retry-After": "60"}), (429, "TOOMANYREQUESTS")),
        "500": Cell(status(500), lost),
        "redirect loop": Cell(loop, lost),
        "foreign realm": Cell(None, (403, "DENIED")),
        "slow drip": Cell(drip(slow), lost, cold_blob=RIGHT, once=True, gate=slow),
    }
    for tenth in range(1, 10):
        all_of_them[f"truncation at {tenth}0 %"] = Cell(cut_at(tenth), lost, cold_blob=RIGHT, once=True)
    return all_of_them


def cut_at(tenth):
    return lambda handler, answer: cut(len(answer.body) * tenth // 10)(handler, answer)


def everything_stored_is_right(world):
    return all(hashlib.sha256(path.read_bytes()).hexdigest() == path.name
               for path in (world.mirror.data / "blobs" / "sha256").glob("*/*") if path.is_file())


def account_stayed(world):
    seen = world.hub.all_seen()
    basic = world.hub.basic_of(ACCOUNT)
    return all((one.where == "token" or one.authorization != basic) and not (one.where == "cdn" and one.authorization) and
               "c4nary" not in one.target for one in seen)


def one_row(checks, binary, directory, name, cell):
    """The three cells of a fault, and what a cold blob gets."""
    place = "mx" + "".join(letter for letter in name if letter.isalnum())
    with World(binary, directory, place, account=ACCOUNT, credentials=ACCOUNT, tag_ttl=TTLS,
               more='token_realm: "{hub.token_host}"') as world:
        hub = world.hub
        warm, expired, cold = (world.image(tag=tag, label=tag, layers=(1000, LAYER)) for tag in ("warm", "expired", "cold"))
        for tag, one in (("warm", warm), ("expired", expired)):
            checks(f"{name}: {tag} is pulled", not (wrong := world.pull(one, tag)), wrong)
            for digest in one.blobs:
                world.wait_stored(digest)
        world.manifest("cold", method="HEAD")       # its description is known; its bytes are not
        cold_manifest = world.image(tag="cold2", label="cold2")
        world.image(tag="expired", label="moved")
        if not cell.manifest:       # the realm of a stranger, who takes what he is given and gives tokens for nothing
            hub.realm = hub.url("cdn") + "/token"
            hub.revoke_tokens()
            cell.manifest = cell.blob = challenge_of(hub)
        hub.fault("registry", "GET.*manifests" if cell.cold_blob in (RIGHT, RESET) and not cell.gate else "manifests", cell.manifest)
        blob = cold.layer
        if cell.cold_blob in (RIGHT, RESET):
            hub.fault("cdn", f"GET.*{blob}", cell.blob, times=1 if cell.once else None)
            reader = Reader(world.mirror, f"/v2/docker.io/library/demo/blobs/{blob}")
            whole = reader.rest()
            checks(f"{name} × cold: the blob is {cell.cold_blob}", whole == (cell.cold_blob == RIGHT) and
                   (reader.body == cold.blobs[blob] if whole else cold.blobs[blob].startswith(reader.body) and reader.body != cold.blobs[blob]),
                   (whole, len(reader.body)))
        else:
            hub.fault("registry", f"GET.*{blob}", cell.blob)
            answer = world.blob(blob)
            checks(f"{name} × cold: the blob is {cell.cold_blob}", answer.status == cell.cold_blob, answer)
        answers = []

        def stale():
            answers.append(world.manifest("expired"))
            return answers[-1].headers["Warning"]
        eventually(stale, f"{name} × expired: its time is over")
        checks(f"{name} × expired: what was here all the time, at last with Warning",
               all(answer.status == 200 and answer.body == expired.manifest for answer in answers), answers[-1])
        checks(f"{name} × expired: its blobs", all(world.blob(digest).body == bytes_ for digest, bytes_ in expired.blobs.items()))
        before = hub.count("registry")
        checks(f"{name} × warm: right", not (wrong := world.pull(warm, "warm")), wrong)
        checks(f"{name} × warm: nobody is asked", hub.count("registry") == before, hub.all_seen()[-3:])
        answer = world.manifest("cold2")
        checks(f"{name} × cold: {cell.cold[0]} {cell.cold[1]}", (answer.status, code(answer)) == cell.cold, answer)
        checks(f"{name} × cold: no part of it, no challenge, no secret", "WWW-Authenticate" not in answer.headers and
               cold_manifest.manifest[:50] not in answer.body and "c4nary" not in answer.body.decode(), answer)
        if cell.gate:
            cell.gate.set()
        checks(f"{name}: everything that is stored is right", everything_stored_is_right(world))
        checks(f"{name}: the account went to its token service alone", account_stayed(world), hub.all_seen())


def every_fault_cold_warm_and_expired(checks, binary, directory):
    """I6. Side by side: the slow ones take as long as the mirror's own limits."""
    rows = list(cells().items())
    rows.sort(key=lambda row: row[1].gate is None)     # those first
    places = threading.Semaphore(5)

    def work(number):
        name, cell = rows[number]
        with places:
            one_row(checks, binary, directory, name, cell)
    at_once(len(rows), work)


def an_upstream_that_is_gone_is_forgotten_by_nobody(checks, binary, directory):
    """Gone × cold, warm, expired, for as long as it takes (the breaker's own times: unit test), and back."""
    with World(binary, directory, "mxgone", tag_ttl=TTLS) as world:
        warm, expired, cold = (world.image(tag=tag, label=tag) for tag in ("warm", "expired", "cold"))
        for tag, one in (("warm", warm), ("expired", expired)):
            world.pull(one, tag)
            for digest in one.blobs:
                world.wait_stored(digest)
        world.hub.stop()
        eventually(lambda: world.manifest("expired").headers["Warning"], "its time is over")
        begun = time.monotonic()
        answers = [world.manifest(tag) for _ in range(30) for tag in ("expired", "warm", "cold")]
        took = time.monotonic() - begun
        checks("gone × expired: right, with Warning", all(a.body == expired.manifest and a.headers["Warning"] for a in answers[::3]))
        checks("gone × warm: right, without", all(a.body == warm.manifest and not a.headers["Warning"] for a in answers[1::3]))
        checks("gone × cold: 503, with when to ask again", all(a.status == 503 and int(a.headers["Retry-After"]) > 0 for a in answers[2::3]),
               answers[2])
        print(f"      (ninety answers took {took:.1f} s)")
        checks("gone × cold: a blob too", world.blob(cold.layer).status == 503)
        checks("gone: everything that is stored is right", everything_stored_is_right(world))
        world.hub.start()
        eventually(lambda: world.manifest("cold").body == cold.manifest, "it is back, and asked again by itself")


TESTS = [every_fault_cold_warm_and_expired, an_upstream_that_is_gone_is_forgotten_by_nobody]
