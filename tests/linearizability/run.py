#!/usr/bin/env python3
"""Random histories of clients that push, delete and read the same tags at the same time are linearizable: each could have
happened one operation after the other, every one of them at some moment between its request and its answer (I1, I3).

  run.py [--stele BINARY] [--dir DIR] [--histories N] [--seed N]

In every fifth history the server is killed with -9 and started again; what it did not answer then may have happened or not.
"""
import http.client
import random
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from registry import IMAGE, Failure, Registry, digest_of, image, main  # noqa: E402

CLIENTS, OPERATIONS, TAGS = 6, 30, 3
BROKEN = (OSError, http.client.HTTPException)
NEVER = float("inf")


# --- the checker -----------------------------------------------------------------------------------------------------------

@dataclass
class Operation:
    """`outcome`: what was answered, None when nothing was: "ok", "refused", or for a read the digest, "" if there is none."""
    kind: str       # push, delete, read
    value: str      # of a push: the digest
    began: float
    ended: float = NEVER
    outcome: str | None = None


def step(operation, state, immutable):
    """The states that the tag can have after the operation, given what was answered; none: it cannot have happened now."""
    tag, bound = state
    outcome = operation.outcome
    if operation.kind == "read":
        return [state] if outcome in (None, tag) else []
    if operation.kind == "push":
        refused = immutable and bound not in ("", operation.value)
        if outcome is not None and (outcome == "refused") != refused:
            return []
        return [state] if refused else [(operation.value, operation.value if immutable else "")]
    # An immutable tag cannot be deleted; one that is not there is answered 404.
    if immutable and tag:
        return [state] if outcome in (None, "refused") else []
    if not tag:
        return [state] if outcome in (None, "absent") else []
    return [("", bound)] if outcome in (None, "ok") else []


def linearizable(history, immutable):
    """Wing and Gong's search (1993), remembering what was tried: which operations have happened, and the state."""
    history = sorted(history, key=lambda operation: operation.began)
    answered = sum(1 << index for index, operation in enumerate(history) if operation.ended != NEVER)
    seen, stack = set(), [(0, ("", ""))]
    while stack:
        done, state = stack.pop()
        if done & answered == answered:
            return True
        if (done, state) in seen:
            continue
        seen.add((done, state))
        # Whatever began before the first answer that is still due may be next.
        due = min(operation.ended for index, operation in enumerate(history) if not done >> index & 1)
        for index, operation in enumerate(history):
            if operation.began > due:
                break
            if not done >> index & 1:
                stack += [(done | 1 << index, after) for after in step(operation, state, immutable)]
    return False


def self_test(checks):
    """The checker tells right histories from wrong ones."""
    def judge(name, expected, *operations, immutable=False):
        found = linearizable([Operation(*operation) for operation in operations], immutable)
        checks(f"checker: {name}", found == expected, found)

    judge("one after the other", True, ("push", "a", 0, 1, "ok"), ("read", "", 2, 3, "a"))
    judge("a read of the past", False, ("push", "a", 0, 1, "ok"), ("push", "b", 2, 3, "ok"), ("read", "", 4, 5, "a"))
    judge("a lost push", False, ("push", "a", 0, 1, "ok"), ("read", "", 2, 3, ""))
    judge("either of two at once", True, ("push", "a", 0, 9, "ok"), ("push", "b", 0, 9, "ok"), ("read", "", 10, 11, "a"))
    judge("one, then the other, then the first again", False, ("push", "a", 0, 9, "ok"), ("push", "b", 0, 9, "ok"),
          ("read", "", 10, 11, "a"), ("read", "", 12, 13, "b"), ("read", "", 14, 15, "a"))
    judge("a read that goes back", False, ("push", "a", 0, 20, "ok"), ("read", "", 1, 2, "a"), ("read", "", 3, 4, ""))
    judge("no answer, and it happened", True, ("push", "a", 0), ("read", "", 5, 6, "a"))
    judge("no answer, and it did not", True, ("push", "a", 0), ("read", "", 5, 6, ""))
    judge("no answer, and it came and went", False, ("push", "a", 0), ("read", "", 5, 6, "a"), ("read", "", 7, 8, ""))
    judge("an immutable tag that moved", False, ("push", "a", 0, 1, "ok"), ("push", "b", 2, 3, "ok"), immutable=True)
    judge("an immutable tag that was refused", True, ("push", "a", 0, 1, "ok"), ("push", "b", 2, 3, "refused"), ("read", "", 4, 5, "a"), immutable=True)
    judge("a refusal before there was a reason", False, ("push", "b", 0, 1, "refused"), ("push", "a", 2, 3, "ok"), immutable=True)
    judge("a deletion that did nothing", False, ("push", "a", 0, 1, "ok"), ("delete", "", 2, 3, "ok"), ("read", "", 4, 5, "a"))


# --- the histories ---------------------------------------------------------------------------------------------------------

class Client(threading.Thread):
    def __init__(self, registry, repository, tags, images, seed):
        super().__init__()
        self.registry, self.repository, self.tags, self.images = registry, repository, tags, images
        self.random = random.Random(seed)
        self.history = {tag: [] for tag in tags}
        self.connection, self.odd = None, []

    def run(self):
        for _ in range(OPERATIONS):
            tag = self.random.choice(self.tags)
            kind = self.random.choices(("push", "delete", "read"), (4, 2, 5))[0]
            self.operate(tag, kind)
            time.sleep(self.random.choice((0, 0, 0.001)))

    def operate(self, tag, kind):
        image = self.random.choice(self.images)
        try:
            if self.connection is None:
                self.connection = self.registry.connection(10)
                self.connection.connect()
        except BROKEN:
            self.connection = None      # nothing was asked, so there is nothing to explain
            time.sleep(0.01)
            return
        operation = Operation(kind, digest_of(image) if kind == "push" else "", time.monotonic())
        self.history[tag].append(operation)
        try:
            status, digest = self.ask(kind, tag, image)
        except BROKEN:
            # Nobody knows.
            self.connection.close()
            self.connection = None
            return
        outcome = {("push", 201): "ok", ("push", 409): "refused", ("delete", 202): "ok", ("delete", 409): "refused", ("delete", 404): "absent",
                   ("read", 200): digest, ("read", 404): ""}.get((kind, status))
        if outcome is None:
            self.odd.append(f"{kind} of {tag} was answered {status}")
            return
        operation.outcome, operation.ended = outcome, time.monotonic()

    def ask(self, kind, tag, image):
        path = f"/v2/{self.repository}/manifests/{tag}"
        if kind == "push":
            self.connection.request("PUT", path, image, {"Content-Type": IMAGE})
        else:
            self.connection.request("GET" if kind == "read" else "DELETE", path)
        answer = self.connection.getresponse()
        body = answer.read()
        digest = answer.headers.get("Docker-Content-Digest", "")
        if kind == "read" and answer.status == 200 and digest_of(body) != digest:
            self.odd.append(f"{tag} was answered with other bytes than its digest says")
        return answer.status, digest


def begun(clients):
    return [operation for client in clients for of_tag in client.history.values() for operation in list(of_tag)]


def cut_off(registry, clients, after):
    """Kills the server when `after` operations have begun, and at least one of them will never be answered: the process is
    stopped first, where it happens to be, and killed once somebody has asked it something since."""
    def wait(condition):
        until = time.monotonic() + 120
        while not condition():
            if time.monotonic() > until:
                raise Failure("the clients did not get to the operation at which the server is killed")
            time.sleep(0.0005)
    wait(lambda: len(begun(clients)) >= after)
    registry.process.send_signal(signal.SIGSTOP)
    stopped = time.monotonic()
    wait(lambda: any(operation.began > stopped and operation.ended == NEVER for operation in begun(clients)))
    registry.kill()


def take(registry, number, seed, kill):
    """One history: the operations of each tag, and what was odd."""
    repository = f"linear/h{number}"
    config, _ = registry.push_blob(repository, b"{}")
    images = [image((config, 2), label=f"{number}-{which}") for which in range(4)]
    # Full versions never move and stay, the others may do both.
    tags = ["1.0.0", "latest", "main"][:TAGS]
    clients = [Client(registry, repository, tags, images, seed * 1000 + which) for which in range(CLIENTS)]
    for client in clients:
        client.start()
    if kill:
        cut_off(registry, clients, random.Random(seed).randrange(1, CLIENTS * OPERATIONS // 2))
        registry.start()
    for client in clients:
        client.join()
    # What is there at the end belongs to the history.
    last = Client(registry, repository, tags, images, seed)
    for tag in tags:
        last.operate(tag, "read")
    everybody = [*clients, last]
    return ({tag: [operation for client in everybody for operation in client.history[tag]] for tag in tags},
            [odd for client in everybody for odd in client.odd])


def tests(checks, directory, options):
    self_test(checks)
    seed = options.seed if options.seed is not None else int(time.time())
    print(f"seed {seed}", flush=True)
    operations = unanswered = 0
    with Registry(options.stele, directory / "linear") as registry:
        registry.start()
        for number in range(options.histories):
            kill = number % 5 == 4
            history, odd = take(registry, number, seed + number, kill)
            wrong = [tag for tag, of_tag in history.items() if not linearizable(of_tag, tag == "1.0.0")]
            operations += sum(map(len, history.values()))
            unanswered += sum(operation.ended == NEVER for of_tag in history.values() for operation in of_tag)
            if wrong or odd or number % 20 == 19:
                checks(f"history {number}{', with a kill' if kill else ''}: linearizable", not wrong and not odd, f"seed {seed + number}: {wrong} {odd[:3]}")
            else:
                checks.passed += 1
        print(f"      {options.histories} histories of {operations} operations, {unanswered} of them without an answer", flush=True)
        kills = options.histories // 5
        checks("every kill cut off an operation", unanswered >= kills, f"{unanswered} operations without an answer, {kills} kills")


if __name__ == "__main__":
    main("linearizability", tests, lambda parser: (parser.add_argument("--histories", type=int, default=100, metavar="N"),
                                                   parser.add_argument("--seed", type=int, default=None)))
