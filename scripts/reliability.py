"""docs/reliability.md: what is promised, how each promise is attacked, and what the last long run counted. long_run.py writes it."""
import re

# Figures by name: where in the output of all suites they are; those of several lines are added up.
FIGURES = {
    "kills": r"^crash: (\d+) kills",
    "acknowledged": r"^crash: \d+ kills, (\d+) acknowledged",
    "crash_lost": r"^crash: .* (\d+) lost,",
    "crash_dangling": r"^crash: .* (\d+) dangling,",
    "crash_debris": r"^crash: .* (\d+) debris",
    "states": r"^power cut: (\d+) states",
    "states_wrong": r"^power cut: .* (\d+) wrong",
    "file_faults": r"^fs faults: .*?(\d+) cases",
    "catalog_faults": r"^catalog: (\d+) injected faults",
    "failed_starts": r"^catalog: (\d+) failed (?:first starts|starts after a kill)",
    "flips": r"^catalog: (\d+) flipped bits",
    "flips_wrong": r"^catalog: .* absent, (\d+) wrong",
    "histories": r"^ +(\d+) histories of",
    "history_operations": r"^ +\d+ histories of (\d+) operations",
    "unanswered": r"^ +\d+ histories of \d+ operations, (\d+) of them without",
    "resets": r"^pass  resets: (\d+) uploads cut",
    "tag_operations": r"^tag rules: (\d+) operations of random histories",
    "races": r"^tag rules: (\d+) races of",
    "mutations": r"^mutations: (\d+) safeguards",
    "lifecycle_operations": r"^lifecycle histories[a-z ]*: (\d+) operations",
    "lifecycle_removed": r"^lifecycle histories[a-z ]*: .*?(\d+) manifests",
    "lifecycle_restored": r"^lifecycle histories[a-z ]*: .* (\d+) restored,",
    "lifecycle_collected": r"^lifecycle histories[a-z ]*: .* (\d+) blobs collected",
    "replayed": r"^replay of seed \d+: (\d+) operations",
    "replayed_removed": r"^replay of seed \d+: .* (\d+) manifests and \d+ tags removed",
    "replayed_survived": r"^replay of seed \d+: .* (\d+) manifests and \d+ tags survived",
    "replayed_items": r"^replay of seed \d+: .* (\d+) items of plans",
    "inputs": r"^fuzz \w+: passed, (\d+) inputs",
}

# Promise, by what it is attacked, what was counted. The names are those of docs/architecture.md.
PROMISES = [
    ("I1", "What was acknowledged is there after `kill -9` and after a power cut, bit by bit.",
     ["`tests/crash`: 16 clients, a kill at a random moment, everything read back and hashed",
      "`power_cut_test.cpp`: a record of every write, sync, rename and unlink of store and catalog; after each of them a restart from what a kill leaves, from what was "
      "synced, and from that and some of the rest in any order",
      "`tests/durability/strace_test.py`: the order of syncs before each 201, and that a server without them is found out",
      "`tests/linearizability`: every operation has one moment between its request and its answer"],
     ["{kills} kills, {acknowledged} acknowledged operations: {crash_lost} lost", "{states} states: {states_wrong} wrong",
      "{histories} histories of {history_operations} operations, {unanswered} of them cut off"]),
    ("I2", "A tag always leads to a manifest, and the manifest to all that it needs.",
     ["the same runs, which follow each tag to its end"], ["{crash_dangling} dangling tags"]),
    ("I3", "An immutable name is bound once.",
     ["`roads_test.cpp`: every road by which a tag is set, before and after every way to remove it, while the policy is loaded again and again",
      "`tests/histories.sh`: random histories of pushes, deletions and policy changes against a model; 32 clients race for one tag",
      "`tests/lifecycle_histories.sh`: the same across expiry, restoration and erasure"],
     ["{tag_operations} operations of random histories and {races} races"]),
    ("I4", "Every change and every refusal by policy has its record.",
     ["`tests/crash` compares the records with what its clients were answered; the power cuts too"], []),
    ("I5", "Nothing that is needed is removed, and all that is due is.",
     ["`uploads_test.cpp`, `sweep_race_test.cpp`: leases, and the sweep beside pushes; after each kill nothing that should not be there is left",
      "`tests/lifecycle_histories.sh`: random histories of everything that changes a registry under lifecycle, with the collector at work all the time, also with kills and "
      "with clients beside each other, against a simple model; in the end rows and files are the model's, to the last byte",
      "`tests/replay`: a team's year under lifecycle rules, compared tag by tag, blob by blob and file by file with a model that knows only the documents"],
     ["{crash_debris} pieces of debris", "{lifecycle_operations} operations of lifecycle histories, {lifecycle_removed} manifests removed, {lifecycle_restored} restored, "
      "{lifecycle_collected} blobs collected: as the model says",
      "{replayed} replayed operations, {replayed_removed} manifests removed, {replayed_survived} left, {replayed_items} items of plans: "
      "as the model says"]),
    ("I6", "Wrong bytes are never served as right.",
     ["`catalog_damage_test.cpp`: bits of the catalog are flipped, then everything is asked for", "`damage.http`: blobs and rows that were changed by hand"],
     ["{flips} flipped bits: {flips_wrong} wrong answers"]),
    ("I7", "A full or failing disk refuses writes and keeps serving reads; a failed sync is never repeated as if it had worked.",
     ["`fs_fault_test.cpp`, `sql_faults_test.cpp`: the n-th call of each kind fails, for every n and every way to fail, also while starting",
      "`tests/durability/full_disk_test.py`: a file system that really is full, and room again without a restart"],
     ["{file_faults} failing calls of the store, {catalog_faults} of the catalog, {failed_starts} failing starts"]),
    ("I8", "What cannot be decided is refused.", ["`tests/unit/policy`, `fuzz_policy`, `fuzz_import`"], []),
    ("I9", "No right, no bytes: a digest opens nothing.", ["`isolation.http`"], []),
    ("I10", "Memory, threads, connections and the cost of a request are bounded.",
     ["`tests/hostile`: slow heads, bodies and readers, 10,000 idle connections, resets at every point of an upload, pipelining, beside a client that must not notice; `memory.py` there: resident memory with a crowd that reads, pushes or lists slowly, plain and over TLS",
      "`tests/soak`: an hour of ordinary work, and nothing grows but what is stored; its figures are in [last-soak.md](last-soak.md)",
      "`tests/durability/memory_test.py`, `log_test.py`: 64 transfers of 1 GB, and the catalog's log under pushes without a pause",
      "`tests/fuzz`: requests, ranges, references, manifests, configuration, policies"],
     ["{resets} uploads reset", "{inputs} fuzzed inputs"]),
]


def figures(output):
    """What is counted in the output of a suite."""
    found = {name: re.findall(pattern, output, re.M) for name, pattern in FIGURES.items()}
    return {name: sum(map(int, values)) for name, values in found.items() if values}


def page(kept):
    """`kept`: by suite, what its last run counted (long_run.py)."""
    counted, runs = {}, {}
    for name, last in kept.items():
        for figure, value in last["figures"].items():
            counted[figure] = counted.get(figure, 0) + value
            runs.setdefault(figure, []).append(name)

    def filled(template):
        names = re.findall(r"{(\w+)}", template)
        values = {name: f"{counted[name]:,}" if name in counted else "?" for name in names}
        suites = sorted({run for name in names for run in runs.get(name, [])})
        return template.format(**values) + f" ({', '.join(suites) or 'not run yet'})"

    lines = ["# Reliability", "", "What Stele promises, how each promise is attacked, and what came of it. The promises are the invariants of "
             "[architecture.md](architecture.md). Behind each figure stands the suite of `make long` that counted it; commit and date of its run are in "
             "[last-long-run.md](last-long-run.md).", "", "| | promise | attacked by | counted |", "|---|---|---|---|"]
    for name, promise, attacks, counts in PROMISES:
        lines.append(f"| {name} | {promise} | {'; '.join(attacks)} | {'; '.join(filled(count) for count in counts)} |")
    lines += ["", "Whether these tests can fail is tried too: `make mutations` takes safeguards out of a copy of the source, one at a time: the sync of a blob's bytes and "
              "of its directory, the catalog's sync, savepoints, the record of refusals, the latch after a failed sync, the lease, the immutability of a tag, the "
              "comparison of digests. The tests named for each in `tests/mutations/run.py` have to fail, and to pass with all of them in place. Last time: "
              + filled("{mutations} safeguards") + "."]
    lines += ["", "A `?` is a figure that no run has printed yet. Shorter forms of most of these run with every change (`.ci/run`).", ""]
    return "\n".join(lines)
