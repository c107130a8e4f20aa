#!/usr/bin/env python3
"""Takes one safeguard at a time out of a copy of the source, and demands that the tests named for it fail.

  run.py [--only TEXT]
  run.py --check          only whether each safeguard is where it is said to be, and each test there; nothing is built

The copy and its build are in build/mutations; the tests pass there before anything is taken out.
"""
import argparse
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TREE = ROOT / "build/mutations/tree"
BUILD = TREE / "build/release"


@dataclass
class Mutation:
    name: str
    file: str
    old: str            # once in the file
    new: str
    tests: list[tuple[str, str]]    # a test program (or protocol) and the cases of it that have to fail, each on its own


POWER = ("registry", "power cut: every moment under load, what was synced and some of what was not (I1, I2, I4)")
MUTATIONS = [
    Mutation("a blob's directory is not synced (I1)", "storage/fs/fs_uploads.cpp",
             "if (uninterrupted([&] { return layer_.fsync(shard->get()); }) < 0) {", "if (false) {",
             [POWER, ("storage", "fs: a power cut takes nothing that was acknowledged (I1)")]),
    Mutation("a blob's bytes are not synced (I1)", "storage/fs/blob_file.cpp",
             "if (uninterrupted([&] { return layer_.fdatasync(file_.get()); }) < 0) {", "if (false) {",
             [POWER, ("storage", "fs: a power cut takes nothing that was acknowledged (I1)")]),
    Mutation("the catalog does not sync its log (I1)", "storage/sql/sqlite/sqlite_sessions.cpp",
             "PRAGMA synchronous=FULL", "PRAGMA synchronous=OFF",
             [POWER, ("storage", "catalog: a power cut after every write (I1)")]),
    Mutation("a refused write of a batch is not rolled back to its savepoint (I4)", "storage/sql/writer.cpp",
             "    connection.rollback_to_savepoint();\n    if (!ran.error && tx.on_refusal_)",
             "    connection.release_savepoint();\n    if (!ran.error && tx.on_refusal_)",
             [("storage", "writer: one commit for the batch, a savepoint for each (I4)")]),
    Mutation("a refusal leaves no record (I4)", "storage/sql/writer.cpp",
             "    if (!ran.error && tx.on_refusal_) ran.error = record_refusal(tx);\n", "",
             [("storage", "writer: one commit for the batch, a savepoint for each (I4)"),
              ("registry", "tag rules: an immutable name is bound once, by every road (I3)")]),
    Mutation("a failed sync does not close the store (I7)", "storage/fs/failure.cpp",
             "  latch.close(std::string(call)", "  return Error(Errc::io, std::string(call)",
             [("storage", "fs: every call of every operation fails in every way (I1, I7)"),
              ("storage", "fs: after one failed sync nothing of another thread's is acknowledged")]),
    Mutation("nothing is leased (I5)", "registry/leases.cpp",
             "  return taken != 0 && age - static_cast<std::int64_t>(taken) < seconds_;", "  return taken == ~0U;",
             [("registry", "leases: what was looked at is leased for a day, everything after a start"),
              ("gc", "gc: whoever looks at a blob, or pushes it again, keeps it for another lease (I5)")]),
    Mutation("the collector does not look at the leases (I5)", "registry/leases.cpp",
             "  if (!leases_.leased(digest)) return true;", "  if (marked_.contains(mark)) return true;",
             [("gc", "gc: whoever looks at a blob, or pushes it again, keeps it for another lease (I5)")]),
    Mutation("the collector does not ask who needs a blob (I2, I5)", "gc/collector.cpp",
             "    if (catalog::manifest_needing_blob(tx, *item.repository, item.digest) ||", "    if (",
             [("gc", "gc: a blob that nothing needs goes a lease later, one that is needed stays (I5)")]),
    Mutation("the collector works right after a start (I5)", "gc/collector.cpp",
             "  if (context_.leases.settling()) co_return Collected();\n", "",
             [("gc", "gc: nothing is removed for one lease after a start (I5)")]),
    Mutation("an immutable tag may move (I3)", "policy/decide.cpp",
             "      return immutable(move, of_offered);", "      static_cast<void>(immutable(move, of_offered));\n      return Decision::allow();",
             [("registry", "roads: every way to set a tag obeys its rule, before and after every way to remove it (I3)")]),
    Mutation("a blob's digest is not compared (I6)", "registry/uploads.cpp", "if (actual != digest) {", "if (false) {",
             [("registry", "uploads: wrong content is never published (I6)")]),
    Mutation("a blob is not held to its repository's quota (I10)", "registry/upload_end.cpp",
             "      if (auto room = quota.done(); !room) return room;\n", "",
             [("registry", "quota: a blob counts when it comes, and one that is too much leaves nothing"),
              ("registry", "quota: of two pushes at once that are too much together, exactly one is let in")]),
    Mutation("a manifest is not held to its repository's quota (I10)", "registry/push.cpp",
             "    if (push.bound_by_quota) return quota.done();\n", "",
             [("registry", "quota: a manifest counts too, and is refused whole, with its tags")]),
    Mutation("the writer is not woken", "storage/sql/writer.cpp",
             "    impl_->queue.push_back(std::move(write));\n  }\n  impl_->changed.notify_one();\n",
             "    impl_->queue.push_back(std::move(write));\n  }\n",
             [("storage", "writer: waiters learn their result, and what they wrote is there"), ("protocol", "manifests.http")]),
    Mutation("the deletion of a manifest answers 200", "api/oci/manifests.cpp", "  co_return http::Response(202);", "  co_return http::Response(200);",
             [("protocol", "delete.http")]),
    Mutation("a range without an end lacks its last byte (I6)", "http/range.cpp", "std::min(last.value_or(UINT64_MAX), size - 1)",
             "std::min(last.value_or(size - 2), size - 1)",
             [("http", "http: ranges are clipped to the content"), ("protocol", "blobs.http")]),
    Mutation("a blob's descriptor is left open when its reader goes (I10)", "storage/fs/fs_blob_store.cpp",
             "  if (!S_ISREG(info.st_mode)) return Error(Errc::io, name + \" is not a regular file\");\n",
             "  if (!S_ISREG(info.st_mode)) return Error(Errc::io, name + \" is not a regular file\");\n  (void)::dup(file.get());\n",
             [("protocol", "no_descriptor_is_left")]),
]


class Failed(Exception):
    pass


def run(*command, **options):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, errors="replace", **options)


def prepare():
    TREE.mkdir(parents=True, exist_ok=True)
    names = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT).stdout.split("\0")
    present = {name for name in names if (ROOT / name).is_file()}
    for old in (path for path in TREE.rglob("*") if path.is_file() and BUILD not in path.parents):
        if str(old.relative_to(TREE)) not in present:
            old.unlink()
    for name in present:
        # What is the same is left alone, so that only the rest is compiled again.
        target, content = TREE / name, (ROOT / name).read_bytes()
        if not target.exists() or target.read_bytes() != content:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            target.chmod((ROOT / name).stat().st_mode)
    configured = run("cmake", "--preset", "release", cwd=TREE)
    if configured.returncode:
        raise Failed(configured.stderr)


def build(programs):
    done = run("nice", "cmake", "--build", BUILD, "--target", *("stele" if name == "protocol" else f"test_{name}" for name in programs))
    if done.returncode:
        raise Failed("it does not build:\n" + done.stdout[-3000:])


def passes(program, cases):
    """Whether the cases pass; that none has the name is an error. A test that does not end has failed."""
    if program == "protocol":
        command = [sys.executable, TREE / "tests/protocol/run.py", BUILD / "stele", cases]
    else:
        command = [BUILD / f"tests/test_{program}", re.sub(r"([,\\[\]])", r"\\\1", cases)]
    try:
        done = run(*command, timeout=300)
    except subprocess.TimeoutExpired:
        return False
    if re.search("No test cases matched|protocol: 0 passed, 0 failed", done.stdout + done.stderr):
        raise Failed(f"{program} has no '{cases}'")
    return done.returncode == 0


def is_there(program, cases):
    if program == "protocol":
        tests = ROOT / "tests/protocol"
        return (tests / cases).is_file() or any(re.search(rf"^def test_\w*{cases}", path.read_text(), re.MULTILINE) for path in tests.glob("*.py"))
    pieces = [path.read_text() for path in (ROOT / f"tests/unit/{program}").rglob("*.cpp")]
    return any(f'TEST_CASE("{cases}"' in re.sub(r'"\s*"|(?<=\()\s+', "", text) for text in pieces)


def applies(mutation):
    """What is wrong with it; nothing: the line is once in its file, and its tests are there."""
    if (ROOT / mutation.file).read_text().count(mutation.old) != 1:
        return [f"{mutation.name}: the line to take out is not once in {mutation.file}"]
    return [f"{mutation.name}: {program} has no '{cases}'" for program, cases in mutation.tests if not is_there(program, cases)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="TEXT", help="mutations whose name contains it")
    parser.add_argument("--check", action="store_true")
    chosen = parser.parse_args()
    mutations = [mutation for mutation in MUTATIONS if chosen.only in mutation.name]
    passed = failed = 0

    def check(text, good):
        nonlocal passed, failed
        passed, failed = passed + good, failed + (not good)
        print(("pass  " if good else "FAIL  ") + text, flush=True)

    if chosen.check:
        for mutation in mutations:
            wrong = applies(mutation)
            check("; ".join(wrong) or mutation.name, not wrong)
        return passed, failed
    prepare()
    cases = sorted({test for mutation in mutations for test in mutation.tests})
    build(sorted({program for program, _ in cases}))
    for program, case in cases:
        check(f"nothing taken out: '{case}' passes", passes(program, case))
    for mutation in mutations:
        file = TREE / mutation.file
        original = file.read_text()
        if original.count(mutation.old) != 1:
            check(f"{mutation.name}: the line to take out is once in {mutation.file}", False)
            continue
        try:
            file.write_text(original.replace(mutation.old, mutation.new))
            build(sorted({program for program, _ in mutation.tests}))
            for program, case in mutation.tests:
                check(f"{mutation.name}: '{case}' fails", not passes(program, case))
        finally:
            file.write_text(original)
    print(f"mutations: {len(mutations)} safeguards taken out, one at a time")
    return passed, failed


if __name__ == "__main__":
    try:
        passed, failed = main()
    except Failed as failure:
        print(f"FAIL  {failure}")
        passed, failed = 0, 1
    print(f"mutations: {passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
