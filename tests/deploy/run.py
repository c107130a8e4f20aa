#!/usr/bin/env python3
"""The manifests of deploy/: that they are YAML, name each other rightly, and ask for no more than they need.

  run.py STELE        the commands that they run are given to this binary
"""
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
REPORTER = ROOT / "deploy/kubernetes/in-use-reporter.yaml"
passed = failed = 0


def check(holds, what, detail=""):
    global passed, failed
    passed, failed = passed + bool(holds), failed + (not holds)
    if not holds:
        print(f"FAIL {what} {detail}", flush=True)


def reporter(stele):
    documents = list(yaml.safe_load_all(REPORTER.read_text()))
    one = {document["kind"]: document for document in documents}
    check(len(one) == len(documents), "one object of each kind")
    check(set(one) == {"Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "CronJob"}, "the objects", set(one))
    account, role, binding, job = (one[kind] for kind in ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "CronJob"))
    namespace = one["Namespace"]["metadata"]["name"]
    for document in (account, job):
        check(document["metadata"]["namespace"] == namespace, "everything is in its namespace", document["metadata"])
    check(binding["roleRef"] == {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role["metadata"]["name"]}, "the role bound")
    check(binding["subjects"] == [{"kind": "ServiceAccount", "name": account["metadata"]["name"], "namespace": namespace}], "to the account")
    for rule in role["rules"]:
        check(set(rule["verbs"]) <= {"get", "list"}, "it only reads", rule)
        check(set(rule["resources"]) <= {"pods", "deployments", "statefulsets", "daemonsets", "cronjobs"}, "what runs and nothing else", rule)
    check(any(rule["resources"] == ["pods"] and rule["apiGroups"] == [""] for rule in role["rules"]), "pods")

    check(job["apiVersion"] == "batch/v1" and job["spec"]["schedule"] == "*/10 * * * *" and job["spec"]["concurrencyPolicy"] == "Forbid", "every ten minutes")
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    check(pod["serviceAccountName"] == account["metadata"]["name"] and pod["restartPolicy"] == "Never", "the pod's account")
    check(pod["securityContext"]["runAsNonRoot"] is True, "not root")
    [container] = pod["containers"]
    check(container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}, "no rights")
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    check(set(mounts) == {volume["name"] for volume in pod["volumes"]}, "its volumes")
    [script] = container["args"]
    check(container["command"] == ["/bin/sh", "-euc"], "a shell that stops at the first failure")
    granted = {resource for rule in role["rules"] for resource in rule["resources"]}
    asked = {resource for words in re.findall(r"kubectl get (\S+)", script) for resource in words.split(",")}
    check(asked == granted, "it may list what it lists", (asked, granted))
    run_script(stele, script, {entry["name"]: entry["value"] for entry in container["env"]}, mounts["work"])


def run_script(stele, script, environment, work):
    """With a kubectl of ours, and nobody at the server's address: what matters is what was asked."""
    pod = {"kind": "List", "items": [{"kind": "Pod", "spec": {"containers": [{"image": "prod/app:1"}]}}]}
    for fails, exit_code, says in ((False, 1, "no stele answers"), (True, 7, "")):
        with tempfile.TemporaryDirectory() as directory:
            kubectl = Path(directory) / "kubectl"
            kubectl.write_text("#!/bin/sh\necho '" + json.dumps(pod) + "'\n" + ('case "$*" in *deployments*) exit 7;; esac\n' if fails else ""))
            kubectl.chmod(0o755)
            (Path(directory) / "stele").symlink_to(stele)
            env = {**environment, "PATH": f"{directory}:/usr/bin:/bin", "STELE": "http://127.0.0.1:9"}
            done = subprocess.run(["/bin/sh", "-euc", script.replace(work + "/", directory + "/")], env=env, capture_output=True, text=True, timeout=60)
            check(done.returncode == exit_code and says in done.stderr, "the script", (done.returncode, done.stderr))


def main():
    stele = Path(sys.argv[1]).resolve()
    reporter(stele)
    listed = (ROOT / "deploy/README.md").read_text()
    for path in (ROOT / "deploy").rglob("*.yaml"):
        check(path.relative_to(ROOT / "deploy").as_posix() in listed, "deploy/README.md names it", path)
    print(f"deploy: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
