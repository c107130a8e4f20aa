#!/usr/bin/env python3
"""Bad starts and good copies: what a server refuses to start on and what it then says; backup, restore, snapshots.

  startup_test.py [--stele BINARY] [--dir DIR]
"""
import json
import os
import shutil
import sqlite3
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from registry import Failure, Registry, Stock, digest_of, main  # noqa: E402

FIRST_LOOK_SECONDS = 120   # the first is ten seconds after the start, on a machine that is not busy


def content(serial, size=20_000):
    return (f"{serial:016}".encode() * (size // 16 + 1))[:size]


def stocked(registry, images=20):
    stock = Stock(registry)
    for serial in range(images):
        answer = stock.image(f"start/up{serial % 3}", f"t{serial}", content(serial))
        if answer.status != 201:
            raise ValueError(f"the stock could not be pushed: {answer}")
    return stock


def says(text, *wanted):
    return all(part in text for part in wanted)


def copy_data(source, to):
    """As an operator copies a data directory: everything but what belongs to a running process."""
    shutil.copytree(source, to, ignore=shutil.ignore_patterns("stele.sock", "lock"))
    return to


def put_away_log(data):
    for name in ("stele.db-wal", "stele.db-shm"):
        (data / name).unlink(missing_ok=True)


def second_server(checks, directory, options):
    with Registry(options.stele, directory / "one") as first:
        stock = stocked(first.start())
        second = Registry(options.stele, directory / "two", data=first.data)
        status, said = second.refusal()
        checks("a second server on the same directory is refused", status not in (0, None), f"{status}: {said}")
        checks("it names the directory, the first one's process and what to do",
               says(said, str(first.data), str(first.process.pid), "stop that one first", "--data"), said)
        checks("the first one is not disturbed", not stock.missing() and first.process.poll() is None, stock.missing())
        checks("and writes", stock.image("start/up0", "later", content(99)).status == 201)
        first.kill()
        second.start()
        checks("when the first is killed the second may start, and has everything", not stock.missing(second), stock.missing(second))
        second.kill()


def damaged_catalog(checks, directory, options):
    def refused(name, damage, *wanted):
        with Registry(options.stele, directory / name, data=copy_data(whole, directory / name / "data")) as registry:
            damage(registry.data)
            before = {path.name: path.read_bytes() for path in registry.data.glob("stele.db*")}
            status, said = registry.refusal()
            checks(f"{name}: it does not start", status not in (0, None), f"{status}: {said}")
            checks(f"{name}: it says what to do", says(said, *wanted), said)
            changed = [path.name for path in registry.data.glob("stele.db*") if before.get(path.name) != path.read_bytes()]
            checks(f"{name}: nothing was changed", not [n for n in changed if n != "stele.db-shm"], changed)
            blobs = sum(path.is_file() for path in (registry.data / "blobs").rglob("*"))
            checks(f"{name}: the blobs are untouched", blobs == 20, blobs)

    def header(data):
        with open(data / "stele.db", "r+b") as file:
            file.write(b"no longer SQLite")

    def cut(size):
        def damage(data):
            with open(data / "stele.db", "r+b") as file:
                file.truncate(size)
        return damage

    def garbage(data):
        size = (data / "stele.db").stat().st_size
        with open(data / "stele.db", "r+b") as file:
            file.seek(100)
            file.write(b"\xa5" * (size - 100))

    def version(data):
        catalog = sqlite3.connect(data / "stele.db")
        with catalog:
            catalog.execute("UPDATE meta SET value = '999' WHERE key = 'schema_version'")
        catalog.close()

    def foreign(data):
        (data / "stele.db").unlink()
        catalog = sqlite3.connect(data / "stele.db")
        with catalog:
            catalog.execute("CREATE TABLE pigeons (name TEXT)")
        catalog.close()

    with Registry(options.stele, directory / "whole") as registry:
        stock = stocked(registry.start())
        backup = directory / "backup.db"
        registry.command("backup", backup, "--data", registry.data)
        registry.stop()
        whole = registry.data
    put_away_log(whole)
    refused("overwritten-header", header, "stele.db", "snapshot", "backups/")
    refused("garbage", garbage, "stele.db", "snapshot", "backups/")
    refused("cut-in-half", cut((whole / "stele.db").stat().st_size // 2), "stele.db", "snapshot", "backups/")
    refused("cut-to-nothing", cut(0), "stele.db", "backups")
    refused("deleted", lambda data: (data / "stele.db").unlink(), "blobs but no catalog", "snapshot", "backups", "stele.db")
    refused("newer-schema", version, "999", "newer stele", "backups")
    refused("another-program's-database", foreign, "not a Stele catalog")

    # What the message says to do works.
    data = copy_data(whole, directory / "followed" / "data")
    header(data)
    for path in data.glob("stele.db*"):
        path.rename(path.with_name(f"damaged-{path.name}"))
    shutil.copy(backup, data / "stele.db")
    with Registry(options.stele, directory / "followed", data=data) as registry:
        registry.start()
        checks("after following the advice everything is there", not stock.missing(registry), stock.missing(registry))


def truncated_log(checks, directory, options):
    """A log that lost its end loses the last commits; what is left must be one consistent past, never a mixture."""
    with Registry(options.stele, directory / "source") as registry:
        registry.start()
        early = stocked(registry)
        registry.stop()         # everything is in the main file now
        registry.start()
        stock = stocked(registry, 20)
        for serial in range(100, 130):
            stock.image("start/up0", f"t{serial}", content(serial))
        registry.kill()
        source = registry.data
    size = (source / "stele.db-wal").stat().st_size
    checks("there is a log to cut", size > 30 * 4096, size)
    for part, length in (("whole", size), ("torn", size - 1000), ("half", size // 2 + 777), ("header", 32), ("empty", 0), ("garbled", None)):
        data = copy_data(source, directory / f"cut-{part}" / "data")
        (data / "stele.db-shm").unlink(missing_ok=True)
        with open(data / "stele.db-wal", "r+b") as file:
            if length is not None:
                file.truncate(length)
            else:
                file.seek(size // 2)
                file.write(b"\xa5" * 5000)
        with Registry(options.stele, directory / f"cut-{part}", data=data) as registry:
            registry.start()
            checks(f"log {part}: what was in the main file is there", not early.missing(registry), early.missing(registry))
            there, broken = [], []
            for number, (where, tag) in enumerate(stock.tags):
                answer = registry.request("GET", f"/v2/{where}/manifests/{tag}")
                if answer.status == 200 and answer.body == stock.tags[where, tag]:
                    there.append(number)
                    needed = json.loads(answer.body)["config"]["digest"]
                    blob = registry.request("GET", f"/v2/{where}/blobs/{needed}")
                    if blob.status != 200 or digest_of(blob.body) != needed:
                        broken.append(tag)
                elif answer.status != 404:
                    broken.append(f"{tag}: {answer}")
            checks(f"log {part}: what is there is a beginning of the history ({len(there)} of {len(stock.tags)})", there == list(range(len(there))), there)
            checks(f"log {part}: no tag dangles", not broken, broken)
            if part == "whole":
                checks("log whole: nothing is lost", len(there) == len(stock.tags), len(there))
            if part == "empty":
                checks("log empty: the cut was felt", len(there) < len(stock.tags), len(there))
            checks(f"log {part}: it writes", Stock(registry).image("start/new", "t", content(7)).status == 201)
            checks(f"log {part}: it stops in good order", registry.stop() == 0)
            catalog = sqlite3.connect(data / "stele.db")
            checks(f"log {part}: the catalog is sound", catalog.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                   and not catalog.execute("PRAGMA foreign_key_check").fetchall())
            catalog.close()


def missing_blob_file(checks, directory, options):
    """A blob whose file is gone: an error, never other bytes; pushing it again brings it back, as the error says."""
    with Registry(options.stele, directory / "gone") as registry:
        stock = stocked(registry.start(), 3)
        (repository, digest), size = next(iter(stock.blobs.items()))
        algorithm, name = digest.split(":")
        path = registry.data / "blobs" / algorithm / name[:2] / name
        # Clients ask first and upload only what is not there: HEAD is what heals, or keeps from it.
        for damage in ("gone", "short", "rotten"):
            original = path.read_bytes()
            if damage == "gone":
                path.unlink()
            else:
                path.chmod(0o600)
                path.write_bytes(original[:-1] if damage == "short" else original[:-1] + bytes([original[-1] ^ 1]))
            if damage != "rotten":  # the right length: only reading it all tells, which is the scrub's work
                answer = registry.request("GET", f"/v2/{repository}/blobs/{digest}")
                checks(f"blob file {damage}: GET is an error", answer.status == 500, answer)
                checks(f"blob file {damage}: it names the blob and what to do", says(answer.message, digest, "push it again"), answer)
                answer = registry.request("HEAD", f"/v2/{repository}/blobs/{digest}")
                checks(f"blob file {damage}: HEAD says that it is not there, so that clients push it", answer.status == 404, answer)
                answer = registry.request("POST", f"/v2/other/blobs/uploads/?mount={digest}&from={repository}")
                checks(f"blob file {damage}: a mount does not find it", answer.status == 202, answer)
            _, pushed = registry.push_blob(repository, original)
            answer = registry.request("GET", f"/v2/{repository}/blobs/{digest}")
            checks(f"blob file {damage}: a push that is acknowledged stores it (I1)", pushed.status != 201 or answer.body == original,
                   f"the push answered {pushed.status}, then GET {answer}")
            checks(f"blob file {damage}: pushing it again heals it", pushed.status == 201, pushed)
            answer = registry.request("HEAD", f"/v2/{repository}/blobs/{digest}")
            checks(f"blob file {damage}: then HEAD finds it", answer.status == 200, answer)
            if path.exists():
                path.chmod(0o600)
            path.write_bytes(original)


def backup_under_load(checks, directory, options):
    with Registry(options.stele, directory / "busy") as registry:
        stock = stocked(registry.start())
        stop, errors, pushed = threading.Event(), [], [0]

        def load(number):
            serial = 0
            mine = Stock(registry)
            while not stop.is_set():
                serial += 1
                answer = mine.image(f"busy/c{number}", f"t{serial}", content(number * 10**6 + serial))
                pushed[0] += 1
                if answer.status != 201:
                    errors.append(str(answer))
                    return

        threads = [threading.Thread(target=load, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        copies = []
        for number in range(3):
            for serial in range(3):
                stock.image("start/late", f"late{number}-{serial}", content(5000 + number * 10 + serial))
            file = directory / f"copy{number}.db"
            done = registry.command("backup", file, "--data", registry.data)
            copies.append((file, done, dict(stock.blobs), dict(stock.tags)))
        stop.set()
        for thread in threads:
            thread.join(30)
        checks("stele backup succeeds under load", all(done.returncode == 0 and "verified" in done.stdout for _, done, _, _ in copies),
               [done.stderr for _, done, _, _ in copies])
        checks("the load went on meanwhile", pushed[0] > 20 and not errors, f"{pushed[0]} images, {errors[:3]}")
        checks("nothing is left of it in the data directory", not list((registry.data / "backups").iterdir()), list((registry.data / "backups").iterdir()))
        refused = registry.command("backup", directory / "nowhere" / "copy.db", "--data", registry.data)
        checks("a backup that cannot be written fails and says so", refused.returncode != 0 and "nowhere" in refused.stderr, refused)
        for number, (file, _, blobs, tags) in enumerate(copies):
            catalog = sqlite3.connect(f"file:{file}?immutable=1", uri=True)
            checks(f"copy {number} is sound", catalog.execute("PRAGMA integrity_check").fetchall() == [("ok",)])
            catalog.close()
            data = copy_data(registry.data, directory / f"restored{number}" / "data")
            put_away_log(data)
            shutil.copy(file, data / "stele.db")
            with Registry(options.stele, directory / f"restored{number}", data=data) as restored:
                restored.start()
                then = Stock(restored)
                then.blobs, then.tags = blobs, tags
                checks(f"restored from copy {number}: everything acknowledged before it is there ({len(tags)} tags)", not then.missing(), then.missing())
                later = Stock(restored)
                for serial in range(3):
                    later.image("start/late", f"again{serial}", content(5020 + serial))
                checks(f"restored from copy {number}: it accepts pushes, also of what came after the copy", len(later.tags) == 3 and not later.missing(), later.missing())
        registry.kill()
        stopped = registry.command("backup", directory / "stopped.db", "--data", registry.data)
        checks("without a server stele backup fails and says why", stopped.returncode != 0 and "stele.sock" in stopped.stderr, stopped)


def ran_once(registry, name):
    """Waits until the server has done a job once: "snapshot" has looked whether one is due, and made it if so."""
    deadline = time.monotonic() + FIRST_LOOK_SECONDS
    while time.monotonic() < deadline:
        status = registry.command("status", "--data", registry.data, "--json")
        job = next(job for job in json.loads(status.stdout)["jobs"] if job["name"] == name)
        if job["runs"] > 0:
            if job["problem"]:
                raise Failure(f"{name} failed: {job}")
            return
        time.sleep(0.1)
    raise Failure(f"{name} did not run")


def snapshots(checks, directory, options):
    """`every` and `keep`: the third snapshot, made ten seconds after the start, drives the oldest of four out."""
    registry = Registry(options.stele, directory / "snapshots", config="backup: {every: 1m, keep: 3}\n")
    with registry:
        stock = stocked(registry.start())
        registry.stop()
        backups = registry.data / "backups"
        old = [f"stele-2020010{day}T000000Z.db" for day in range(1, 5)]
        for name in old:
            (backups / name).write_bytes(b"old")
        (backups / "stele-20200101T000000Z.db.tmp").write_bytes(b"broken off")
        (backups / "mine.db").write_bytes(b"an operator's own")
        registry.start()
        ran_once(registry, "snapshot")
        made = [path for path in backups.glob("stele-*.db") if path.name not in old]
        checks("a scheduled snapshot appears", len(made) == 1, [path.name for path in backups.iterdir()])
        names = sorted(path.name for path in backups.iterdir())
        checks("only `keep` are left, the oldest went", names == sorted(["mine.db", *old[2:], *(path.name for path in made)]), names)
        if made:
            checks("it is readable by its owner alone", made[0].stat().st_mode & 0o777 == 0o600, oct(made[0].stat().st_mode))
            registry.kill()
            registry.start()
            ran_once(registry, "snapshot")
            again = [path.name for path in backups.glob("stele-2*.db")]
            checks("a restart does not make another before its time", len(again) == 3, again)
            data = copy_data(registry.data, directory / "from-snapshot" / "data")
            put_away_log(data)
            shutil.copy(made[0], data / "stele.db")
            with Registry(options.stele, directory / "from-snapshot", data=data) as restored:
                restored.start()
                checks("a server started from the snapshot has everything", not stock.missing(restored), stock.missing(restored))
    with Registry(options.stele, directory / "without", config="backup: {every: 0}\n") as registry:
        stocked(registry.start(), 1)
        ran_once(registry, "snapshot")
        checks("every: 0 makes none", not list((registry.data / "backups").iterdir()))


def older_catalog(checks, directory, options):
    """A snapshot in the place of the catalog (A17): what it does not list may be all that is left, and nobody takes it away unasked."""
    with Registry(options.stele, directory / "older") as registry:
        registry.start().push_blob("start/up", b"early")
        registry.command("backup", directory / "copy.db", "--data", registry.data)
        late, _ = registry.push_blob("start/up", b"late")
        registry.stop()
        put_away_log(registry.data)
        shutil.copy(directory / "copy.db", registry.data / "stele.db")
        path = registry.data / "blobs/sha256" / late[7:9] / late[7:]
        os.utime(path, (0, 0))      # older than any grace
        registry.start()
        ran_once(registry, "sweep")
        checks("older catalog: the sweep after the start leaves what it does not list", path.exists(), registry.said())
        swept = registry.command("sweep", "--grace", "0", "--data", registry.data)
        checks("older catalog: so does one that is asked for", path.exists(), f"{swept.stdout}{swept.stderr}")
        swept = registry.command("sweep", "--grace", "0", "--all", "--data", registry.data)
        checks("older catalog: --all takes it away", swept.returncode == 0 and not path.exists(), f"{swept.stdout}{swept.stderr}")
        registry.stop()     # what it said has been written
        checks("older catalog: it said so, and what to do", says(registry.said(), "older than its blobs", "stele sweep --all"), registry.said())


def other_refusals(checks, directory, options):
    home = directory / "foreign" / "data"
    home.mkdir(parents=True)
    (home / "letters.txt").write_text("dear")
    status, said = Registry(options.stele, directory / "foreign", data=home).refusal()
    checks("a directory with something else in it is refused", status not in (0, None) and says(said, "letters.txt", "--data"), f"{status}: {said}")
    checks("and left alone", [path.name for path in home.iterdir()] == ["letters.txt"], [path.name for path in home.iterdir()])
    status, said = Registry(options.stele, directory / "absent", config="require_existing: true\n").refusal()
    checks("require_existing refuses an absent directory and says what to do", status not in (0, None) and says(said, "require_existing", "mounted"), f"{status}: {said}")
    checks("and does not create it", not (directory / "absent" / "data").exists())
    with Registry(options.stele, directory / "fresh", data=directory / "fresh" / "deep" / "data") as registry:
        registry.start()
        checks("an absent directory is created, for its owner alone", (registry.data.stat().st_mode & 0o777) == 0o700, oct(registry.data.stat().st_mode))
        private = [path.name for path in registry.data.rglob("*") if path.stat().st_mode & 0o077]
        checks("as is all in it", not private, private)


def tests(checks, directory, options):
    for number, test in enumerate((second_server, damaged_catalog, truncated_log, missing_blob_file, backup_under_load, older_catalog, other_refusals, snapshots)):
        checks.run(test, directory / str(number), options)


if __name__ == "__main__":
    main("durability startup", tests)
