#!/usr/bin/env python3
"""A disk that is full, read-only or failing: writes are refused and say why, reads go on, and what was acknowledged stays.

  full_disk_test.py [--stele BINARY] [--dir DIR]      needs root: it mounts small file systems of its own
"""
import contextlib
import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from registry import Failure, Registry, Stock, build_shim, digest_of, image, main, need, own_mounts  # noqa: E402

MB = 1024 * 1024
REFUSED = (503, 507)


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise Failure(f"{' '.join(map(str, command))} failed: {done.stderr.strip() or done.stdout.strip()} (mounting needs root)")


@contextlib.contextmanager
def mounted(directory, megabytes):
    """A new ext4 in a file. Unmounted at the end, whatever happened."""
    store, point = directory / "disk.img", directory / "disk"
    point.mkdir(parents=True)
    with open(store, "wb") as file:
        file.truncate(megabytes * MB)
    run(need("mkfs.ext4", "e2fsprogs"), "-q", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", store)
    run("mount", "-o", "loop", store, point)
    try:
        yield store, point
    finally:
        for options in ((), ("-l",)):
            if subprocess.run(["umount", *options, str(point)], capture_output=True).returncode == 0:
                break
        store.unlink()


def content(serial, size):
    return (f"{serial:016}".encode() * (size // 16 + 1))[:size]


def fill(stock, sizes, limit):
    """Pushes images, large ones first, until each size is refused; the refusals."""
    refusals, serial = [], 0
    for size in sizes:
        for _ in range(limit):
            serial += 1
            digest, answer = stock.blob("full/disk", content(serial, size))
            if answer.status == 201:
                manifest = image((digest, size), label=f"{serial}")
                answer = stock.registry.push_manifest("full/disk", f"t{serial}", manifest)
                if answer.status == 201:
                    stock.tags["full/disk", f"t{serial}"] = manifest
            if answer.status != 201:
                refusals.append(answer)
                break
    return refusals


def fill_catalog(stock, limit):
    """Large manifests until one is refused: the catalog itself is full."""
    (repository, digest), size = next(iter(stock.blobs.items()))
    for serial in range(limit):
        manifest = image((digest, size), label=f"{serial}" + "x" * 200_000)
        answer = stock.registry.push_manifest(repository, f"m{serial}", manifest)
        if answer.status != 201:
            return answer
        stock.tags[repository, f"m{serial}"] = manifest
    return None


def refused_writes(registry, stock, serial):
    """One of each kind of write; name → answer."""
    (repository, digest), size = next(iter(stock.blobs.items()))
    tag = next(name for where, name in stock.tags if where == repository)
    answers = {"POST ?digest=": registry.push_blob(repository, content(serial, 3 * MB))[1]}
    begun = registry.request("POST", f"/v2/{repository}/blobs/uploads/")
    if begun.status == 202:
        answers["PATCH"] = registry.request("PATCH", begun.headers["Location"], content(serial + 1, 3 * MB))
    else:
        answers["POST"] = begun
    answers["PUT manifest"] = registry.push_manifest(repository, f"w{serial}", image((digest, size), label=f"{serial}" + "x" * 300_000))
    answers["mount"] = registry.request("POST", f"/v2/other/place{serial}/blobs/uploads/?mount={digest}&from={repository}")
    answers["DELETE tag"] = registry.request("DELETE", f"/v2/{repository}/manifests/{tag}")
    if answers["DELETE tag"].status == 202:
        del stock.tags[repository, tag]
    return answers


def listed(answers):
    return {name: str(answer) for name, answer in answers.items()}


def tags_are_listed(registry, stock):
    answer = registry.request("GET", "/v2/full/disk/tags/list")
    expected = {name for where, name in stock.tags if where == "full/disk"}
    found = set(json.loads(answer.body)["tags"]) if answer.status == 200 else set()
    return found == expected


def full_disk(checks, directory, options):
    with mounted(directory / "full", 384) as (_, point), Registry(options.stele, directory / "full", data=point / "data") as registry:
        ballast = point / "ballast"
        with open(ballast, "wb") as file:
            for _ in range(140):
                file.write(b"\xff" * MB)
        registry.start()
        stock = Stock(registry)
        status, readiness = registry.ready()
        checks("/readyz is 200 while there is room", status == 200, readiness)

        refusals = fill(stock, (8 * MB, 200_000, 4096), 2000)
        checks("blobs are pushed until the disk is full", len(refusals) == 3 and len(stock.tags) > 10, f"{len(refusals)} refusals, {len(stock.tags)} images")
        checks("each refusal is a 507", all(answer.status == 507 for answer in refusals), [str(answer) for answer in refusals])
        checks("it names what to do", all("space" in answer.message and "try again" in answer.message for answer in refusals), [str(answer) for answer in refusals])
        checks("nothing of the refused uploads is left", registry.uploads() == [], registry.uploads())
        answer = fill_catalog(stock, 1000)
        checks("manifests are pushed until the catalog cannot grow, then 507", answer and answer.status == 507, answer)
        checks("the catalog's 507 names what to do", answer and "space" in answer.message, answer)
        checks("reads of everything acknowledged go on", not stock.missing(), stock.missing())
        checks("all tags are listed", tags_are_listed(registry, stock))
        status, readiness = registry.ready()
        checks("/readyz is 503 and says disk", status == 503 and "left" in readiness["disk"], readiness)
        checks("it does not blame the store or the catalog", readiness["store"] == readiness["catalog"] == "ok", readiness)

        answers = refused_writes(registry, stock, 10**6)
        big = {name: answers[name] for name in ("POST ?digest=", "PATCH") if name in answers}
        checks("POST ?digest= and PATCH are 507", big and all(a.status == 507 for a in big.values()), listed(answers))
        checks("no other write pretends", all(a.status in (201, 202, 507) for a in answers.values()), listed(answers))
        checks("nothing is left in uploads/", registry.uploads() == [], registry.uploads())
        checks("reads still go on", not stock.missing(), stock.missing())

        # A server that is killed on a full disk has to come back for its readers.
        registry.kill()
        try:
            registry.start()
            checks("it starts again on the full disk and serves all", not stock.missing(), stock.missing())
        except Failure as failure:
            checks("it starts again on the full disk and serves all", False, failure)
            ballast.unlink()
            registry.start()

        ballast.unlink(missing_ok=True)
        status, readiness = registry.ready()
        checks("/readyz is 200 as soon as there is room", status == 200, readiness)
        answers = refused_writes(registry, stock, 2 * 10**6)
        checks("writes succeed without a restart", all(a.status in (201, 202) for a in answers.values()), listed(answers))
        checks("everything is still there", not stock.missing(), stock.missing())
        checks("it stops in good order", registry.stop() == 0)


def room_without_restart(checks, directory, options):
    """As above, without the restart in between."""
    with mounted(directory / "room", 160) as (_, point), Registry(options.stele, directory / "room", data=point / "data") as registry:
        ballast = point / "ballast"
        ballast.write_bytes(b"\xff" * 80 * MB)
        stock = Stock(registry.start())
        fill(stock, (8 * MB, 200_000, 4096), 2000)
        answer = fill_catalog(stock, 1000)
        checks("full again", answer and answer.status == 507, answer)
        ballast.unlink()
        answers = refused_writes(registry, stock, 10**6)
        checks("when room is made the same process writes again", all(a.status in (201, 202) for a in answers.values()), listed(answers))
        status, readiness = registry.ready()
        checks("and is ready", status == 200, readiness)
        checks("everything acknowledged is there", not stock.missing(), stock.missing())
        registry.kill()
        registry.start()
        checks("and after a kill -9", not stock.missing(), stock.missing())


def aborted_file_system(checks, directory, options):
    """What ext4 does to itself after an error (errors=remount-ro)."""
    with mounted(directory / "abort", 160) as (store, point), Registry(options.stele, directory / "abort", data=point / "data") as registry:
        stock = Stock(registry.start())
        for serial in range(20):
            stock.image("full/disk", f"t{serial}", content(serial, 100_000))
        checks("20 images are there", len(stock.tags) == 20 and not stock.missing())
        run("mount", "-o", "remount,abort", point)
        with contextlib.suppress(OSError):
            (point / "probe").write_bytes(b"x")     # the abort takes effect with the next operation
        for attempt in range(3):
            answers = refused_writes(registry, stock, 10**6 + attempt)
            checks(f"every write is refused, 503 or 507 (round {attempt + 1})", all(a.status in REFUSED for a in answers.values()), listed(answers))
        checks("reads go on", not stock.missing(), stock.missing())
        checks("the refusals are errors with a message", all(a.message for a in answers.values()), listed(answers))
        registry.kill()
        run("umount", point)
        run("mount", "-o", "loop", store, point)
        registry.start()
        checks("mounted anew and started, everything is there", not stock.missing(), stock.missing())
        answers = refused_writes(registry, stock, 2 * 10**6)
        checks("and writes succeed", all(a.status in (201, 202) for a in answers.values()), listed(answers))


def read_only_mount(checks, directory, options, shim):
    """mount -o remount,ro and back again. The kernel refuses that while a file is open for writing, and a catalog always
    is: the calls below the server answer as the mount would."""
    with Registry(options.stele, directory / "readonly", preload=shim) as registry:
        stock = Stock(registry.start())
        for serial in range(10):
            stock.image("full/disk", f"t{serial}", content(serial, 100_000))
        registry.control.write_text(f"readonly {registry.data}/\n")
        answers = refused_writes(registry, stock, 10**6)
        checks("read-only: every write is refused, 503 or 507", all(a.status in REFUSED for a in answers.values()), listed(answers))
        checks("read-only: reads go on", not stock.missing(), stock.missing())
        registry.control.unlink()
        answers = refused_writes(registry, stock, 2 * 10**6)
        status, readiness = registry.ready()
        latched = readiness["store"] != "ok"
        checks("writable again: writes succeed without a restart", all(a.status in (201, 202) for a in answers.values()) and not latched,
               f"{listed(answers)} {readiness}")
        checks("nothing of the refused uploads is left", len(registry.uploads()) <= 1, registry.uploads())   # the PATCH of just now
        registry.kill()
        registry.start()
        checks("read-only: after a restart everything is there", not stock.missing(), stock.missing())


def failing_sync(checks, directory, options, shim):
    for order in ("/uploads/", "/blobs/sha256/", "stele.db-wal"):
        with Registry(options.stele, directory / f"sync{order.strip('/').replace('/', '-')}", preload=shim) as registry:
            stock = Stock(registry.start())
            for serial in range(5):
                stock.image("full/disk", f"t{serial}", content(serial, 100_000))
            registry.control.write_text(f"fail {order}\n")
            _, answer = stock.blob("full/disk", content(99, 100_000))
            name = f"a failed sync of {order}"
            checks(f"{name}: the push is refused with 503", answer.status == 503 and not registry.control.exists(), answer)
            status, readiness = registry.ready()
            checks(f"{name}: /readyz is 503, the store check says so", status == 503 and "read-only" in readiness["store"] and "restart" in readiness["store"], readiness)
            checks(f"{name}: /livez stays 200", registry.request("GET", "/livez").status == 200)
            for attempt in range(2):
                answers = refused_writes(registry, stock, 10**6 + attempt)
                checks(f"{name}: every later write is refused with 503 (round {attempt + 1})", all(a.status == 503 for a in answers.values()), listed(answers))
            checks(f"{name}: the refusal says why and what to do", all("read-only" in a.message and "restart" in a.message for a in answers.values()), listed(answers))
            checks(f"{name}: reads go on", not stock.missing(), stock.missing())
            metrics = registry.request("GET", "/metrics").body.decode()
            checks(f"{name}: /metrics shows it", any("read_only" in line and line.endswith(" 1") for line in metrics.splitlines()),
                   [line for line in metrics.splitlines() if "read_only" in line])
            registry.kill()
            registry.start()
            checks(f"{name}: a restart recovers, everything is there", not stock.missing(), stock.missing())
            answers = refused_writes(registry, stock, 2 * 10**6)
            checks(f"{name}: and writes succeed", all(a.status in (201, 202) for a in answers.values()), listed(answers))
            refused_digest = digest_of(content(99, 100_000))
            answer = registry.request("HEAD", f"/v2/full/disk/blobs/{refused_digest}")
            if answer.status == 404:
                _, answer = stock.blob("full/disk", content(99, 100_000))
                checks(f"{name}: the refused push can be made again", answer.status == 201 and not stock.missing(), answer)
            else:
                checks(f"{name}: what the refused push left is whole",
                       registry.request("GET", f"/v2/full/disk/blobs/{refused_digest}").body == content(99, 100_000))


def tests(checks, directory, options):
    need("mount", "mount")
    own_mounts(directory)
    checks.run(full_disk, directory, options)
    checks.run(room_without_restart, directory, options)
    checks.run(aborted_file_system, directory, options)
    shim = build_shim(directory)
    checks.run(read_only_mount, directory, options, shim)
    checks.run(failing_sync, directory, options, shim)


if __name__ == "__main__":
    main("durability disk", tests)
