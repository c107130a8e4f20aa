#!/usr/bin/env python3
"""kill -9 at random moments under mixed clients; after each restart, what was acknowledged is read back and hashed.

  run.py --kills 200 | --seconds 180   [--stele BINARY] [--clients 16] [--seed N] [--dir DIR] [--keep]
  run.py --self-test                   does it notice what it is there to notice?

Each client owns its repositories and knows exactly what must be in them (client.py). After a kill: everything that was
acknowledged since the kill before, and a sample of the rest; what was under way happened wholly or not at all. At the
end: everything that was ever acknowledged, the record of every mutation, the sweep, and the files on the disk against
the rows of the catalog.
"""
import argparse
import collections
import json
import multiprocessing
import random
import re
import shutil
import signal
import sqlite3
import sys
import time
import uuid
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]
from client import BROKEN, MB, Client  # noqa: E402
from registry import ROOT, STELE, Failure, Registry, die_with_parent, own_copy  # noqa: E402

TOTAL_BYTES = 3000 * MB
TOTAL_OPERATIONS = 400_000          # in a given time; beyond, the small ones would fill the disk too: 4 KB each at least
SOONEST, LATEST = 0.05, 1.5         # seconds of load before a kill
SHOWN = 12                          # failures of a kind that are printed one by one
NAMES = re.compile(r"\b[0-9a-f]{12,}\b|\d+")   # left out when failures are grouped


def serve_client(pipe, number, seed, byte_budget, shared_labels):
    """A client's process: does what it is told and reports."""
    die_with_parent()
    client = Client(number, seed, byte_budget, shared_labels)
    try:
        while True:
            order, address = pipe.recv()
            if order == "stop":
                return
            client.connect(address)
            report = {"number": number}
            if order == "work":
                report["noticed"] = client.work()
            else:
                try:
                    report["checked"] = client.check(everything=order == "check all")
                except BROKEN as broke:
                    client.odd.append(f"the check of client {number} broke off: {type(broke).__name__}: {broke}")
            if order == "check all":
                report["events"], report["maybe"] = client.events, client.maybe
                report["blobs"] = [name for (kind, _, name), value in client.state.items() if kind == "blob" and value]
            report |= {"acknowledged": client.acknowledged, "keys": len(client.state), "lost": client.lost[:], "dangling": client.dangling[:],
                       "odd": client.odd[:]}
            for found in (client.lost, client.dangling, client.odd):
                found.clear()
            pipe.send(report)
    except (EOFError, KeyboardInterrupt):
        pass


class Crew:
    def __init__(self, clients, seed, byte_budget):
        context = multiprocessing.get_context("fork")
        self.members = []
        shared = [f"shared-{seed}-{i}" for i in range(400)]
        for number in range(clients):
            ours, theirs = context.Pipe()
            process = context.Process(target=serve_client, args=(theirs, number, seed * 1000 + number, byte_budget, shared), daemon=True)
            process.start()
            theirs.close()
            self.members.append((ours, process))

    def tell(self, order, address=""):
        for pipe, _ in self.members:
            pipe.send((order, address))

    def reports(self, patience):
        deadline, reports = time.monotonic() + patience, []
        for number, (pipe, _) in enumerate(self.members):
            if not pipe.poll(max(0, deadline - time.monotonic())):
                raise Failure(f"client {number} said nothing for {patience} s: the server does not answer")
            try:
                reports.append(pipe.recv())
            except EOFError:
                raise Failure(f"client {number} ended by itself, see its trace above") from None
        return reports

    def dismiss(self):
        for pipe, process in self.members:
            try:
                pipe.send(("stop", ""))
            except OSError:
                pass
            process.join(5)
            if process.is_alive():
                process.kill()


class Trial:
    def __init__(self, options, directory):
        self.options = options
        self.random = random.Random(options.seed)
        self.server = Registry(own_copy(options.stele, directory), directory)
        expected_kills = options.kills or max(20, options.seconds // 2)
        self.crew = Crew(options.clients, options.seed, TOTAL_BYTES // options.clients // expected_kills)
        self.kills = self.kills_at_start = self.good_kills = 0
        self.checked = 0
        self.passed = self.failed = 0
        self.found = collections.defaultdict(list)     # lost, dangling, odd, debris
        self.acknowledged = collections.Counter()
        self.check_seconds, self.checked_keys = 0.0, 1
        self.keys = 0

    def note(self, kind, what):
        self.found[kind].append(what)
        if len(self.found[kind]) <= SHOWN:
            print(f"  {kind}: {what}", flush=True)

    def result(self, what, holds, detail=""):
        self.passed += bool(holds)
        self.failed += not holds
        print(f"{'pass' if holds else 'FAIL'}  {what}" + (f": {detail}" if detail else ""), flush=True)

    def gather(self, patience):
        clean, operations, self.keys = True, collections.Counter(), 0
        reports = self.crew.reports(patience)
        for report in reports:
            operations += report["acknowledged"]
            self.keys += report["keys"]
            for kind in ("lost", "dangling", "odd"):
                for what in report[kind]:
                    self.note(kind, what)
                    clean = False
        self.acknowledged = operations
        return reports, clean

    def check(self, order):
        began = time.monotonic()
        self.crew.tell(order, self.server.address)
        reports, clean = self.gather(900)
        checked = sum(report.get("checked", 0) for report in reports)
        self.check_seconds += time.monotonic() - began
        self.checked_keys += checked
        self.checked += checked
        return reports, clean

    def start(self):
        """Sometimes the server dies while it recovers, too."""
        while self.random.random() < 0.15:
            self.server.launch()
            time.sleep(self.random.uniform(0, 0.08))
            self.server.kill()
            self.kills_at_start += 1
        self.server.start()

    def kill_under_load(self):
        self.crew.tell("work", self.server.address)
        time.sleep(self.random.uniform(SOONEST, LATEST))
        if self.server.process.poll() is not None:
            self.note("odd", f"the server died by itself, status {self.server.process.returncode}: {self.server.said()[-500:]}")
        killed = time.monotonic()
        self.server.kill()
        reports, clean = self.gather(90)
        for report in reports:
            if report["noticed"] and report["noticed"] < killed:
                self.note("odd", f"client {report['number']} lost its connection {killed - report['noticed']:.2f} s before the kill")
                clean = False
        self.kills += 1
        return clean

    def time_is_up(self, began):
        """Reading everything back at the end takes its share of the time."""
        if self.options.kills:
            return self.kills >= self.options.kills
        if sum(self.acknowledged.values()) >= TOTAL_OPERATIONS:
            return True
        per_key = self.check_seconds / self.checked_keys
        return time.monotonic() - began + self.keys * per_key * 2 + 10 > self.options.seconds

    def loop(self):
        began, clean = time.monotonic(), True
        self.start()
        while not self.time_is_up(began):
            clean = self.kill_under_load()
            self.before_restart()
            self.start()
            clean = self.check("check new")[1] and clean
            self.good_kills += clean
            if self.kills % 20 == 0:
                print(f"  {self.kills} kills, {sum(self.acknowledged.values())} acknowledged, {len(self.found['lost'])} lost, "
                      f"{time.monotonic() - began:.0f} s", flush=True)
            if len(self.found["odd"]) > 200 or len(self.found["lost"]) > 2000:
                break   # it will not get better

    def before_restart(self):
        """For the self-test."""

    def run(self):
        try:
            self.loop()
            self.passed, self.failed = self.good_kills, self.kills - self.good_kills
            if self.options.kills:
                self.result("as many kills as were asked for", self.kills == self.options.kills, f"{self.kills}")
            self.end()
        except (Failure, *BROKEN, sqlite3.Error) as broke:
            self.note("odd", f"{type(broke).__name__}: {broke}")
            self.result("the test ran to its end", False)
        finally:
            self.server.kill()      # or the clients would go on working
            self.crew.dismiss()

    # --- the end: everything, once more ---

    def end(self):
        lost, dangling = len(self.found["lost"]), len(self.found["dangling"])
        reports, _ = self.check("check all")
        self.result("everything ever acknowledged is there, and what was deleted is not", len(self.found["lost"]) == lost,
                    f"{self.keys} keys")
        self.result("every tag has all that it needs", len(self.found["dangling"]) == dangling)
        self.server.kill()      # sessions in memory would hide debris
        self.server.start()
        swept = self.server.command("sweep", "--json", "--data", self.server.data, "--grace", "0")
        self.result("the sweep runs", swept.returncode == 0, (swept.stdout + swept.stderr).strip())
        if swept.returncode == 0:
            for path in json.loads(swept.stdout)["foreign"]:
                self.note("debris", f"{path} is not a file of Stele's")
        self.result("the server stops in good order", self.server.stop() == 0)
        self.after_sweep()
        self.compare_disk(reports)

    def after_sweep(self):
        """For the self-test."""

    def compare_disk(self, reports):
        data = self.server.data
        catalog = sqlite3.connect(f"file:{data / 'stele.db'}?mode=ro", uri=True)
        try:
            rows = dict(catalog.execute("SELECT digest, size FROM blobs"))
            uploads = dict(catalog.execute("SELECT id, byte_offset FROM uploads"))
            sound = [row[0] for row in catalog.execute("PRAGMA integrity_check")]
            foreign = catalog.execute("PRAGMA foreign_key_check").fetchall()
            events = collections.Counter()
            for action, repository, number in catalog.execute("SELECT action, repository, count(*) FROM events GROUP BY 1, 2"):
                if action == "policy.load":
                    continue   # nobody asked for it
                events["blob.arrive" if action in ("blob.push", "blob.mount") else action, repository] += number
        finally:
            catalog.close()
        files = {f"{path.parent.parent.name}:{path.name}": path.stat().st_size for path in (data / "blobs").rglob("*") if path.is_file()}
        debris = len(self.found["debris"])
        for digest in files.keys() - rows.keys():
            self.note("debris", f"blob file {digest} has no row")
        gone = [digest for digest, size in rows.items() if files.get(digest) != size]
        for digest in gone:
            self.note("lost", f"blob row {digest} has {'a file of another size' if digest in files else 'no file'}")
        self.result("blob files and blob rows are the same", debris == len(self.found["debris"]) and not gone,
                    f"{len(files)} files of {sum(files.values()) // MB} MB, {len(rows)} rows")

        debris = len(self.found["debris"])
        parts = {path.name: path.stat().st_size for path in (data / "uploads").iterdir()}
        for name in parts.keys() - uploads.keys():
            self.note("debris", f"upload file {name} has no row")
        short = [name for name, offset in uploads.items() if offset and parts.get(name, -1) < offset]
        for name in short:
            self.note("debris", f"upload row {name} says {uploads[name]} bytes, its file has {parts.get(name, 'gone')}")
        self.result("upload files and upload rows are the same", debris == len(self.found["debris"]), f"{len(parts)} files, {len(uploads)} rows")

        names = {path.name for path in data.iterdir()} - {"stele.db", "stele.db-wal", "stele.db-shm", "blobs", "uploads", "backups", "stele.sock", "lock", "pulls", "newest-event"}
        left = sorted(names) + [f"backups/{path.name}" for path in (data / "backups").glob("*") if path.suffix != ".db" or path.name.startswith("download")]
        for name in left:
            self.note("debris", f"{name} is left in the data directory")
        self.result("nothing else is in the data directory", not left)
        self.result("integrity_check", sound == ["ok"], "" if sound == ["ok"] else sound[:3])
        self.result("foreign_key_check", not foreign, "" if not foreign else foreign[:3])

        expected, maybe = collections.Counter(), collections.Counter()
        for report in reports:
            expected += report.get("events", {})
            maybe += report.get("maybe", {})   # refused when nobody was there any more to hear it
        wrong = {key: (events[key], expected[key]) for key in events.keys() | expected.keys()
                 if not expected[key] <= events[key] <= expected[key] + maybe[key]}
        for key in list(wrong)[:SHOWN]:
            self.note("odd", f"{key[1]} has {wrong[key][0]} records of {key[0]}, not {wrong[key][1]}")
        self.result("every mutation has its record, and nothing else has (I4)", not wrong, f"{sum(expected.values())} records")

    def summary(self):
        print(f"  by operation: {', '.join(f'{name} {number}' for name, number in sorted(self.acknowledged.items()))}")
        print(f"  {self.kills_at_start} more kills while it started; {self.checked} times a blob, manifest or tag was read back")
        for kind, found in self.found.items():
            for shape, number in collections.Counter(NAMES.sub("#", what) for what in found).most_common(5):
                print(f"  {number} × {kind}: {shape[:200]}")
        if any(self.found.values()):
            self.failed = max(self.failed, 1)
        print(f"crash: {self.kills} kills, {sum(self.acknowledged.values())} acknowledged operations, {len(self.found['lost'])} lost, "
              f"{len(self.found['dangling'])} dangling, {len(self.found['debris'])} debris")
        print(f"crash: {self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed or not self.kills or not self.acknowledged else 0


# --- does it notice? --------------------------------------------------------------------------------------------------

class Sabotage(Trial):
    """A server that loses what it acknowledged, played by us: after the third kill, while it is down."""

    def __init__(self, options, directory, deed):
        super().__init__(options, directory)
        self.deed = deed

    def before_restart(self):
        data = self.server.data
        if self.kills == 2:
            for name in ("stele.db", "stele.db-wal"):
                shutil.copy2(data / name, data.parent / f"old-{name}")
        if self.kills == 3 and self.deed in ("blob", "byte", "catalog", "link", "upload"):
            getattr(self, f"take_{self.deed}")(data)

    def after_sweep(self):
        if self.deed == "orphan_upload":
            (self.server.data / "uploads" / str(uuid.uuid4())).write_bytes(b"left")
        elif self.deed == "orphan_blob":
            (self.server.data / "blobs/sha256/00").mkdir(exist_ok=True)
            (self.server.data / "blobs/sha256/00" / ("0" * 64)).write_bytes(b"left")
        elif self.deed == "record":
            self.change("DELETE FROM events WHERE sequence = (SELECT min(sequence) FROM events WHERE action = 'manifest.push')")

    def change(self, statement):
        catalog = sqlite3.connect(self.server.data / "stele.db")
        with catalog:
            changed = catalog.execute(statement).rowcount
        catalog.close()
        if changed < 1:
            raise Failure(f"the sabotage changed nothing: {statement}")

    def largest(self, data):
        return max((path for path in (data / "blobs").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)

    def take_blob(self, data):
        self.largest(data).unlink()

    def take_byte(self, data):
        path = self.largest(data)
        path.chmod(0o600)
        with open(path, "r+b") as file:
            file.seek(-1, 2)
            last = file.read(1)
            file.seek(-1, 2)
            file.write(bytes([last[0] ^ 1]))

    def take_catalog(self, data):
        for name in ("stele.db", "stele.db-wal"):
            shutil.copy2(data.parent / f"old-{name}", data / name)
        (data / "stele.db-shm").unlink()

    def take_link(self, data):
        self.change("DELETE FROM repository_blobs WHERE (repository_id, blob_id) IN (SELECT f.repository_id, b.id FROM "
                    "manifest_references f JOIN blobs b ON b.digest = f.digest JOIN tags t ON t.manifest_id = f.manifest_id LIMIT 1)")

    def take_upload(self, data):
        self.change("UPDATE uploads SET byte_offset = byte_offset - 1 WHERE byte_offset > 0")


# What is done in secret, what then has to be found, and in which words.
DEEDS = {"nothing": None, "blob": ("lost", "must be there, is answering 500"), "byte": ("lost", "wrong bytes"), "catalog": ("lost", "must be"),
         "link": ("dangling", "needs blobs"), "upload": ("lost", "bytes, sent"), "orphan_upload": ("debris", "upload file"),
         "orphan_blob": ("debris", "blob file"), "record": ("odd", "records of")}


def self_test(options, base):
    options.kills, options.clients = 5, 4
    passed = failed = 0
    for deed, expected in DEEDS.items():
        directory = base / deed
        directory.mkdir()
        trial = Sabotage(options, directory, deed)
        trial.run()
        trial.summary()
        if expected:
            noticed = trial.failed > 0 and any(expected[1] in what for what in trial.found[expected[0]])
        else:
            noticed = trial.failed == 0 and not any(trial.found.values())
        passed += noticed
        failed += not noticed
        print(f"{'pass' if noticed else 'FAIL'}  self-test: {deed}: {'noticed as ' + expected[0] if expected else 'nothing to notice'}\n", flush=True)
    print(f"crash self-test: {passed} passed, {failed} failed")
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stele", type=Path, default=STELE, metavar="BINARY")
    parser.add_argument("--kills", type=int, default=0, metavar="N")
    parser.add_argument("--seconds", type=int, default=0, metavar="S", help="as many kills as fit, the end included")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--dir", type=Path, default=ROOT / "build/crash", help="where the data goes; a real disk")
    parser.add_argument("--keep", action="store_true", help="leave the data directory for a look")
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    if not (options.kills or options.seconds or options.self_test):
        parser.error("how long? --kills N or --seconds S")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))   # a time-out of CI's must not leave gigabytes behind
    options.seed = options.seed if options.seed is not None else int(time.time())
    print(f"seed {options.seed}", flush=True)
    options.dir.mkdir(parents=True, exist_ok=True)
    directory = options.dir / f"{int(time.time())}-{multiprocessing.current_process().pid}"
    directory.mkdir()
    try:
        if options.self_test:
            return self_test(options, directory)
        trial = Trial(options, directory)
        trial.run()
        return trial.summary()
    except Failure as failure:
        print(f"{failure}\ncrash: 0 passed, 1 failed")
        return 1
    finally:
        if not options.keep:
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
