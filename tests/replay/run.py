#!/usr/bin/env python3
"""A busy team's year replayed against a server whose clock is set by this script: what survives lifecycle is exactly what an
independent model (expected.py) says, tag by tag, manifest by manifest, blob by blob, file by file.

  run.py [--seed N] [--days N] [--services N] [--pace X] [--plan-only] [--stele BINARY] [--dir DIR]

--plan-only removes nothing: it compares the plan with the model's, every item, at each checkpoint.
"""
import argparse
import collections
import datetime
import http.client
import json
import random
import signal
import subprocess
import sys
import threading
import time
import traceback
import unittest
from pathlib import Path

import content
import expected
import expected_test
import year
from client import SECOND, Server

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from registry import Checks, Failure, STELE, own_copy, workplace  # noqa: E402

DAY, HOUR, MINUTE = 86400 * SECOND, 3600 * SECOND, 60 * SECOND
BEGIN = 1_798_761_600 * SECOND   # 2027-01-01T00:00:00Z
LEASE = 30 * MINUTE              # shorter than the time between the last act of a day and its run
CHECKPOINT = 28                  # days
PRINCIPALS = {"cert:team": "team", "cert:deployer": "deployer", "cert:scanner-1": "scanner-1", "cert:auditor": "auditor"}
TEAM, AUDITOR = "team", "auditor"


class Diverged(Exception):
    """Server and model disagree; what follows would only repeat it."""


class Replay:
    """Does each act at the server and in the model, and compares what is answered."""

    def __init__(self, options, directory):
        self.options, self.random = options, random.Random(options.seed)
        self.year = year.Year(options.seed, BEGIN, options.days, options.services, options.pace)
        # Pulls are recorded from the first start on, so that no rule has to keep what it cannot know.
        start = BEGIN - 400 * DAY
        self.server = Server(options.stele, directory, year.FIRST_HALF, f"{LEASE // SECOND}s", start, sorted(PRINCIPALS.values()))
        self.model = expected.Registry(year.FIRST_HALF, start, LEASE)
        self.holds = {}                                     # name: id
        self.known = collections.defaultdict(set)           # repository: digests of manifests that were ever there
        self.known_blobs = collections.defaultdict(set)
        self.approved = None                                # a plan for the next run, and what the model said of it
        self.lost_pulls = None                              # when the record of pulls was lost
        self.operations = self.planned = self.runs = self.removed = self.untagged = self.decided = self.restored = self.crashes = 0

    @property
    def now(self):
        return self.server.now

    def at(self, now):
        if now < self.now:
            raise Failure(f"the year goes backwards: {now} after {self.now}")
        self.server.at(now)

    def agree(self, what, answered, said):
        if answered != said:
            raise Diverged(f"{shown_time(self.now)} {what}: the server says {answered}, the model {said}")

    # --- what people do ---

    def do(self, act):
        self.at(act.when)
        self.operations += 1
        getattr(self, "do_" + act.kind)(**act.fields)

    def upload(self, repository, blobs):
        for digest, body in blobs.items():
            path = f"/v2/{repository}/blobs/"
            if self.server.request(TEAM, "HEAD", path + digest).status != 200:
                answer = None
                if len(body) == 600 and not repository.startswith("base/"):   # of a base image: mounted, as docker tries
                    answer = self.server.request(TEAM, "POST", f"{path}uploads/?mount={digest}&from=base/runtime", b"")
                    if answer.status == 202:
                        self.server.request(TEAM, "DELETE", answer.headers["Location"])
                if answer is None or answer.status != 201:
                    answer = self.server.request(TEAM, "POST", f"{path}uploads/?digest={digest}", body,
                                                 {"Content-Type": "application/octet-stream"})
                self.agree(f"push of blob {digest} to {repository}", answer.status, 201)
            self.model.push_blob(repository, digest, len(body))
            self.known_blobs[repository].add(digest)

    def put(self, repository, manifest, tags=()):
        """By digest; with tags, one request after the other or all in one."""
        digest, media_type, body = manifest
        headers = {"Content-Type": media_type}
        self.known[repository].add(digest)
        path = f"/v2/{repository}/manifests/"
        if len(tags) > 1 and self.random.random() < 0.5:
            query = "&".join(f"tag={tag}" for tag in tags)
            answer = self.server.request(TEAM, "PUT", f"{path}{digest}?{query}", body, headers)
            self.agree(f"push to {repository}:{tags}", answer.status, self.model.push_manifest(repository, body, digest, tags, self.now))
            return
        for tag in tags or [None]:
            answer = self.server.request(TEAM, "PUT", path + (tag or digest), body, headers)
            said = self.model.push_manifest(repository, body, digest, [tag] if tag else [], self.now)
            self.agree(f"push to {repository}:{tag or digest}", answer.status, said)

    def do_push(self, repository, build, tags):
        self.upload(repository, build.blobs)
        for manifest in build.manifests[:-1]:
            self.put(repository, manifest)
        self.put(repository, build.manifests[-1], tags)

    def do_attach(self, repository, subject, seed):
        digest, media_type, body = subject.manifests[-1]
        self.do_push(repository, content.sbom((digest, media_type, len(body)), seed), [])

    def do_sign(self, repository, digest, signers):
        self.do_push(repository, content.signature(digest, signers), [content.signature_tag(digest)])

    def do_abandon(self, repository, blobs):
        self.upload(repository, {content.digest_of(body): body for body in blobs})

    def pull(self, repository, reference, principal):
        answer = self.server.request(PRINCIPALS[principal], "GET", f"/v2/{repository}/manifests/{reference}")
        status, digest = self.model.pull(repository, reference, principal, self.now)
        self.agree(f"pull of {repository}:{reference}", (answer.status, answer.headers.get("Docker-Content-Digest")), (status, digest))
        if status == 200 and content.digest_of(answer.body) != digest:
            raise Diverged(f"{repository}:{reference} was served with other bytes")
        return answer

    def do_pull(self, repository, reference, principal, child):
        answer = self.pull(repository, reference, principal)
        if answer.status == 200 and child is not None and "manifests" in (index := answer.json()):
            self.pull(repository, index["manifests"][child]["digest"], principal)

    def do_retag(self, repository, source, tag):
        answer = self.pull(repository, source, "cert:team")
        if answer.status == 200:
            self.put(repository, (answer.headers["Docker-Content-Digest"], answer.headers["Content-Type"], answer.body), [tag])

    def do_promote(self, repository, reference, to, tags):
        answer = self.server.admin("POST", f"/repositories/{repository}/promote", {"reference": reference, "to": to, "tags": tags})
        said = self.model.promote(repository, reference, to, tags, self.now)
        self.agree(f"promotion of {repository}:{reference} to {to}:{tags}", answer.status, said)
        self.known[to] |= self.model.repository(to).manifests.keys()
        self.known_blobs[to] |= self.model.repository(to).links.keys()

    def do_delete(self, repository, reference):
        answer = self.server.request(TEAM, "DELETE", f"/v2/{repository}/manifests/{reference}")
        self.agree(f"deletion of {repository}:{reference}", answer.status, self.model.delete(repository, reference, self.now))

    def do_report(self, cluster, images):
        answer = self.server.admin("PUT", f"/in-use/{cluster}", {"images": images, "lease": "2d"})
        self.agree(f"report of {cluster}", answer.status, self.model.report(cluster, images))

    def do_hold(self, hold, repository, tag):
        answer = self.server.admin("POST", "/holds", {"name": hold, "case": "2027/1", "repository": repository, "reference": tag})
        self.agree(f"hold on {repository}:{tag}", answer.status, self.model.hold(hold, repository, tag))
        if answer.status == 201:
            self.holds[hold] = answer.json()["id"]

    def do_release_hold(self, hold):
        if hold in self.holds:
            answer = self.server.admin("POST", f"/holds/{self.holds.pop(hold)}/release", {"reason": "case closed"})
            self.agree(f"release of {hold}", answer.status, 200)
            del self.model.holds[hold]

    def do_policy(self, text):
        before = self.server.admin("GET", "/policy").json()
        self.server.policy.write_text(text)
        self.server.registry.process.send_signal(signal.SIGHUP)
        self.wait("the new policy is in force", lambda: self.server.admin("GET", "/policy").json() != before)
        self.model.policy = expected.Policy(text)

    def do_crash(self, lose_pulls):
        self.restart(lose_pulls)

    def restart(self, lose_pulls=False):
        """kill -9, and within one lease of the start nothing is removed."""
        self.crashes += 1
        self.server.kill()
        if lose_pulls:   # then the record of pulls begins anew
            (self.server.registry.data / "pulls").unlink()
            self.model.pulls_since = self.lost_pulls = self.now
        self.server.start()
        if not self.options.plan_only:
            answer = self.server.admin("POST", "/lifecycle/run", {})
            removed = answer.json().get("removed", 0) if answer.status < 300 else 0
            self.agree(f"run within one lease of a start ({answer})", removed, 0)

    def do_restore(self, pick):
        self.settle()
        items = [(name, item) for name, repository in sorted(self.model.repositories.items()) for item in repository.trash
                 if item.manifest is not None or item.digest in repository.manifests]
        if not items or self.options.plan_only:
            return
        name, item = items[int(pick * len(items))]
        shown = [one for one in self.trash(name) if one["digest"] == item.digest and sorted(one["tags"]) == sorted(item.tags)]
        if not shown:
            raise Diverged(f"{name}@{item.digest} with {item.tags} is not in the trash")
        answer = self.server.admin("POST", f"/trash/{shown[-1]['id']}/restore", {})
        said = self.model.restore(name, item, self.now)
        self.agree(f"restore of {name}@{item.digest} with {item.tags} ({answer})", answer.status, said)
        self.restored += said == 200
        self.compare_tags()

    def trash(self, repository=None):
        items, after, where = [], 0, f"&repository={repository}" if repository else ""
        while True:
            page = self.server.admin("GET", f"/trash?n=1000&after={after}{where}").json()
            items += page["items"]
            if not page.get("next"):
                return items
            after = page["next"]

    # --- what the server does by itself ---

    def plan(self):
        """Compares every item; the document and what the model says."""
        plan = self.model.plan(self.now)
        said = {(name, item.tag, item.digest): item for name, part in plan.items() for item in part.items}
        # "A manifest whose last tag expires" has a line of its own.
        said |= {(name, None, digest): expected.Item(None, digest, expected.EXPIRE, 0, 0) for name, part in plan.items()
                 for digest in part.removals if self.model.repository(name).tags_of(digest)}
        if self.options.plan_only:
            shown = self.server.registry.command("lifecycle", "plan", "--json", "--all", "--data", self.server.registry.data)
            self.agree(f"status of stele lifecycle plan ({shown.stderr})", shown.returncode, 0)
            document = json.loads(shown.stdout)
        else:
            answer = self.server.admin("POST", "/lifecycle/plan", {})
            self.agree(f"plan ({answer})", answer.status, 200)
            document = answer.json()
        items = {(item["repository"], item["tag"], item["digest"]): item for item in document["items"]}
        self.agree("items of the plan", {"unexpected": sorted(map(str, items.keys() - said.keys())), "missing": sorted(map(str, said.keys() - items.keys()))},
                   {"unexpected": [], "missing": []})
        wrong = []
        for key, item in items.items():
            expects = said[key]
            if item["verdict"] != expects.verdict:
                wrong.append(f"{key}: {item['verdict']} ({item['reason']}) and not {expects.verdict}")
            elif item["tag"] and item["age_seconds"] != expects.age // SECOND:
                wrong.append(f"{key}: age {item['age_seconds']} and not {expects.age // SECOND}")
            elif item["tag"] and not self.may_show(microseconds(item["last_used"]), expects.last_used):
                wrong.append(f"{key}: last used {item['last_used']} and not {shown_time(expects.last_used)}")
        self.agree(f"plan, {len(wrong)} of {len(said)} items: {'; '.join(wrong[:12])}", bool(wrong), False)
        stopped = sorted(one["repository"] for one in document["plan"]["stopped"])
        self.agree("repositories at which the plan stops", stopped, sorted(name for name, part in plan.items() if part.stopped))
        self.planned += len(said)
        return document, plan

    def may_show(self, shown, last_used):
        """A pull that was lost with the record may be unknown; that it may have been is what the verdicts have to reckon with."""
        return shown == last_used or self.lost_pulls is not None and shown < last_used <= self.lost_pulls + expected.TICK

    def run(self, approved=None):
        """By the schedule's road, or what was approved: a plan's document and what the model said then."""
        if approved is None or any(part.stopped for part in self.model.plan(self.now).values()):
            answer, plan = self.server.admin("POST", "/lifecycle/run", {}), self.model.run(self.now)
        else:
            answer, plan = self.server.admin("POST", "/lifecycle/apply", approved[0]), self.model.run(
                self.now, approved[1], microseconds(approved[0]["plan"]["made_at"]))
        self.agree(f"run ({answer})", answer.status in (200, 201), True)
        self.compare_run(answer.json(), plan, exact=True)

    def compare_run(self, run, plan, exact):
        going = {name: part for name, part in plan.items() if not part.stopped}
        stopped = sorted(plan.keys() - going.keys())
        self.agree(f"repositories that wait in run {run}", sorted(one["repository"] for one in run["waiting"]), stopped)
        said = sum(len(part.removals) for part in going.values())
        if exact and run["removed"] != said:
            raise Diverged(f"{shown_time(self.now)} run {run}: {said} manifests were to go; {self.difference(going)}")
        self.count(plan, going)
        if stopped:
            self.decide(run["id"], plan, stopped)
        self.compare_tags()

    def difference(self, going):
        """Which manifests stayed or went against what the model says, and what the server says of those that stayed."""
        wrong = []
        for name in going:
            for digest in sorted(self.known[name]):
                there = self.server.request(AUDITOR, "HEAD", f"/v2/{name}/manifests/{digest}").status == 200
                if there != (digest in self.model.repositories[name].manifests):
                    wrong.append(f"{name}@{digest} is {'there' if there else 'gone'}")
        document = self.server.admin("POST", "/lifecycle/plan", {}).json()
        return "; ".join(wrong + [json.dumps(item) for item in document["items"] if any(str(item["digest"]) in one for one in wrong)])

    def count(self, plan, carried_out):
        self.runs += 1
        self.removed += sum(len(plan[name].removals) for name in carried_out)
        self.untagged += sum(item.tag is not None for name in carried_out for item in plan[name].due())

    def decide(self, run, plan, stopped):
        """Most are approved, some dismissed; those come back the next day."""
        if self.random.random() < 0.7:
            answer = self.server.admin("POST", f"/lifecycle/runs/{run}/approve", {})
            self.agree(f"approval of run {run} ({answer})", answer.status, 200)
            approved = {name: plan[name].as_approved(plan[name], self.now) for name in stopped}
            for name in stopped:
                self.model.carry_out(name, approved[name], self.now)
            self.count(approved, stopped)
            self.decided += 1
        else:
            answer = self.server.admin("POST", f"/lifecycle/runs/{run}/dismiss", {"reason": "not today"})
            self.agree(f"dismissal of run {run} ({answer})", answer.status, 200)

    def broken_run(self):
        """kill -9 in the middle of a run; the next one, a lease after the start, removes the rest."""
        def run():
            try:
                self.server.admin("POST", "/lifecycle/run", {})
            except (OSError, http.client.HTTPException):
                pass   # killed in the middle of it
        thread = threading.Thread(target=run)
        thread.start()
        time.sleep(self.random.uniform(0.002, 0.06))
        self.server.registry.kill()
        thread.join()
        plan = self.model.run(self.now)
        self.count(plan, [name for name, part in plan.items() if not part.stopped])
        self.restart()
        self.at(self.now + LEASE + 3 * MINUTE)
        answer = self.server.admin("POST", "/lifecycle/run", {})
        self.agree(f"run after a run that was killed ({answer})", answer.status in (200, 201), True)
        self.compare_run(answer.json(), self.model.run(self.now), exact=False)

    # --- what is there ---

    def wait(self, what, holds, seconds=90):
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                raise Diverged(f"after {seconds} s not yet: {what}; {self.server.admin('GET', '/gc')}")
            time.sleep(0.02)

    def settle(self):
        """Waits until collector and trash have nothing due."""
        def nothing_is_due():
            return self.server.admin("GET", "/gc").json()["due"] == 0 and (
                self.options.plan_only or not any(microseconds(item["erase_after"]) <= self.now for item in self.trash()))
        self.wait("collector and trash have caught up", nothing_is_due)
        self.model.settle(self.now)

    def repositories(self):
        return {name: repository for name, repository in sorted(self.model.repositories.items()) if repository.manifests}

    def compare_tags(self):
        for name, repository in self.repositories().items():
            answer = self.server.request(AUDITOR, "GET", f"/v2/{name}/tags/list")
            tags = answer.json()["tags"] if answer.status == 200 else str(answer)
            there, said = set(tags), set(repository.tags)
            self.agree(f"tags of {name}", {"unexpected": sorted(there - said), "missing": sorted(said - there)},
                       {"unexpected": [], "missing": []})

    def compare_trash(self):
        """The day of erasure, not its moment: a run that was killed goes on half an hour later."""
        there = collections.Counter((item["repository"], item["digest"], *sorted(item["tags"]), microseconds(item["erase_after"]) // DAY)
                                    for item in self.trash())
        said = collections.Counter((name, item.digest, *item.tags, item.erase_after // DAY)
                                   for name, repository in self.model.repositories.items() for item in repository.trash)
        self.agree("the trash", {"unexpected": list(there - said), "missing": list(said - there)}, {"unexpected": [], "missing": []})

    def audit(self, files=False):
        """Everything, by somebody whose pulls do not count. Returns how many things were compared."""
        self.settle()
        self.agree("what is named and not there", self.model.dangling(), [])
        compared = 0
        names = self.server.request(AUDITOR, "GET", "/v2/_catalog?n=1000").json()["repositories"]
        self.agree("repositories", sorted(names), sorted(self.repositories()))
        self.compare_tags()
        if not self.options.plan_only:
            self.compare_trash()
        for name, repository in self.repositories().items():
            for tag, (digest, _) in repository.tags.items():
                answer = self.server.request(AUDITOR, "HEAD", f"/v2/{name}/manifests/{tag}")
                self.agree(f"{name}:{tag}", answer.headers.get("Docker-Content-Digest"), digest)
            for digest in sorted(self.known[name]):
                manifest = repository.manifests.get(digest)
                answer = self.server.request(AUDITOR, "GET", f"/v2/{name}/manifests/{digest}")
                self.agree(f"manifest {name}@{digest}", answer.status, 200 if manifest else 404)
                if manifest and answer.body != manifest.content:
                    raise Diverged(f"{name}@{digest} has other bytes than were pushed")
                if manifest:
                    referrers = self.server.request(AUDITOR, "GET", f"/v2/{name}/referrers/{digest}").json()["manifests"]
                    self.agree(f"referrers of {name}@{digest}", sorted(one["digest"] for one in referrers),
                               sorted(one.digest for one in repository.manifests.values() if one.subject == digest))
            for digest in sorted(self.known_blobs[name]):
                answer = self.server.request(AUDITOR, "HEAD", f"/v2/{name}/blobs/{digest}")
                self.agree(f"blob {digest} in {name}", answer.status, 200 if digest in repository.links else 404)
            compared += len(repository.tags) + len(self.known[name]) + len(self.known_blobs[name])
            # What is gone here for good is not asked for again: a later push tells of it anew.
            trashed = {item.digest for item in repository.trash}
            self.known[name] &= repository.manifests.keys() | trashed
            self.known_blobs[name] &= repository.links.keys()
        if files:
            there = {f"{path.parent.parent.name}:{path.name}" for path in (self.server.registry.data / "blobs").glob("*/*/*")}
            self.agree("files", {"unexpected": sorted(there - self.model.files()), "missing": sorted(self.model.files() - there)},
                       {"unexpected": [], "missing": []})
            compared += len(there)
        return compared

    # --- the year ---

    def replay(self, checks):
        self.server.start()
        for day in range(self.options.days):
            midnight, acts = BEGIN + day * DAY, list(self.year.acts_of(day))
            for act in acts:
                if act.when < midnight + 2 * HOUR:
                    self.do(act)
            self.night(checks, day, midnight)
            for act in acts:
                if act.when >= midnight + 10 * HOUR:
                    break
                if act.when >= midnight + 2 * HOUR:
                    self.do(act)
            self.morning(day, midnight)
            for act in acts:
                if act.when >= midnight + 10 * HOUR:
                    self.do(act)
        self.end(checks)

    def night(self, checks, day, midnight):
        checkpoint = day % CHECKPOINT == CHECKPOINT - 1
        if day % 90 == 50 and not self.options.plan_only:
            self.at(midnight + 2 * HOUR + 5 * MINUTE)
            self.broken_run()
        else:
            self.at(midnight + 3 * HOUR + self.random.randrange(45 * 60) * SECOND)
            if checkpoint:
                self.plan()
            if not self.options.plan_only:
                self.run(self.approved)
        self.approved = None
        if checkpoint:
            self.checkpoint(checks, day, midnight)

    def morning(self, day, midnight):
        """Somebody makes a plan that is applied in the place of the next run; what happens in between counts."""
        if day % 9 == 4 and not self.options.plan_only:
            self.at(midnight + 10 * HOUR)
            document, plan = self.plan()
            if not any(part.stopped for part in plan.values()):
                self.approved = document, plan

    def checkpoint(self, checks, day, midnight):
        self.at(midnight + 4 * HOUR + 31 * MINUTE)
        compared = self.audit()
        checks(f"day {day + 1}: {self.operations} operations, {self.runs} runs, {self.planned} items of plans: all {compared} tags, manifests "
               "and blobs are there or gone as the model says", True)

    def end(self, checks):
        """The last run, and what is left when the trash's time has passed."""
        midnight = BEGIN + self.options.days * DAY
        self.at(midnight + 3 * HOUR)
        self.plan()
        if self.options.plan_only:
            checks(f"the year's plans: {self.planned} items, each as the model says", True)
            return
        self.run()
        self.checkpoint(checks, self.options.days, midnight)
        before = len(self.model.files())
        self.at(self.now + self.model.policy.trash_for + DAY)
        compared = self.audit(files=True)
        checks(f"when the trash's time has passed: all {compared} tags, manifests, blobs and files are there or gone as the model says "
               f"({before} files became {len(self.model.files())})", True)
        checks("the trash is empty", not self.trash())
        checks("it stops in good order", self.server.stop() == 0)


def microseconds(text):
    """Of an RFC 3339 time in UTC; -inf for null, which is never."""
    if text is None:
        return expected.NEVER
    moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return int(moment.timestamp()) * SECOND + moment.microsecond


def shown_time(now):
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now // SECOND))


def model_checks(checks):
    """The model by itself, before anything is held against it."""
    class Result(unittest.TestResult):
        def stopTest(self, test):
            super().stopTest(test)
            bad = [text for one, text in self.failures + self.errors if one is test]
            checks(f"model: {test.shortDescription() or test.id()}", not bad, bad)
    unittest.defaultTestLoader.loadTestsFromModule(expected_test).run(Result())


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--days", type=int, default=364)
    arguments.add_argument("--services", type=int, default=2)
    arguments.add_argument("--pace", type=float, default=0.5)
    arguments.add_argument("--plan-only", action="store_true")
    arguments.add_argument("--stele", type=Path, default=STELE, metavar="BINARY")
    arguments.add_argument("--dir", type=Path, default=None, metavar="DIR", help="where the data goes; a real disk")
    options = arguments.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    checks = Checks("replay")
    model_checks(checks)
    with workplace("replay", options.dir) as directory:
        replay = None
        try:
            options.stele = own_copy(options.stele, directory)
            replay = Replay(options, directory)
            replay.replay(checks)
        except Diverged as diverged:
            checks("server and model agree", False, diverged)
        except (Failure, OSError, http.client.HTTPException, LookupError, ValueError, subprocess.SubprocessError) as broke:
            checks("the year ran to its end", False, "".join(traceback.format_exception(broke))[-1800:])
        finally:
            if replay:
                replay.server.kill()
                print(f"replay of seed {options.seed}: {replay.operations} operations, {replay.server.requests} requests, {replay.runs} runs, "
                      f"{replay.planned} items of plans, "
                      f"{replay.removed} manifests and {replay.untagged} tags removed, "
                      f"{sum(len(r.manifests) for r in replay.model.repositories.values())} manifests and "
                      f"{sum(len(r.tags) for r in replay.model.repositories.values())} tags survived, {replay.decided} stopped runs approved, "
                      f"{replay.restored} items restored, {replay.crashes} times kill -9")
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
