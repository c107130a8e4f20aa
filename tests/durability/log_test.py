#!/usr/bin/env python3
"""The catalog's write-ahead log stays short while clients push without a pause: whoever reads lets go of what it read (I10).

  log_test.py [--stele BINARY] [--dir DIR]

A thread that kept its snapshot once made the log grow by 130 MB a second, for as long as the load lasted.
"""
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from registry import Registry, image, main  # noqa: E402

MB = 1024 * 1024
CLIENTS, PUSHES = 8, 1000
# Four megabytes, the length at which it is copied, times eight, at which readers are made to let go; and some to spare.
LIMIT = 40 * MB


def tests(checks, directory, options):
    with Registry(options.stele, directory / "log") as registry:
        registry.start()
        config, _ = registry.push_blob("log/app", b"{}")
        log, longest, done, odd = registry.data / "stele.db-wal", [0], threading.Event(), []

        def watch():
            while not done.wait(0.01):
                longest[0] = max(longest[0], log.stat().st_size)

        def push(client):
            for number in range(PUSHES):
                answer = registry.push_manifest("log/app", f"t{client}-{number}", image((config, 2), label=f"{client}-{number}"))
                if answer.status != 201:
                    odd.append(answer.status)

        watcher = threading.Thread(target=watch)
        watcher.start()
        before = time.monotonic()
        threads = [threading.Thread(target=push, args=(client,)) for client in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        done.set()
        watcher.join()
        stored = (registry.data / "stele.db").stat().st_size
        print(f"      {CLIENTS * PUSHES} manifests in {time.monotonic() - before:.1f} s: log at most {longest[0] / MB:.1f} MB, catalog {stored / MB:.1f} MB", flush=True)
        checks("every push was acknowledged", not odd, odd[:3])
        checks(f"the log stays below {LIMIT // MB} MB", 0 < longest[0] < LIMIT, f"{longest[0] / MB:.1f} MB")
        checks("what it held is in the catalog's file", stored > 4 * MB, f"{stored / MB:.1f} MB")


if __name__ == "__main__":
    main("durability log", tests)
