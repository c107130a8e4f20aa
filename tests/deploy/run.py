#!/usr/bin/env python3
"""The manifests of deploy/: that they are YAML, name each other rightly, and ask for no more than they need; and that the reporter, with
a real kubectl where there is one, tells a real Stele what a cluster runs; and that what compose.yaml starts lets in whom it says (compose.py).

  run.py STELE        the commands that they run are given to this binary
"""
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/protocol"), str(ROOT / "tests/support")]
from cluster import Cluster, pod, workload   # noqa: E402
from common import manifest, put_manifest, sha256   # noqa: E402
from compose import compose   # noqa: E402
from wire import Server, push_blob   # noqa: E402

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
    environment = {entry["name"]: entry["value"] for entry in container["env"]}
    run_script(stele, script, environment, mounts["work"])
    if shutil.which("kubectl"):
        report_a_cluster(stele, script, environment, mounts["work"])
    else:
        print("deploy: there is no kubectl here; the reporter was tried with a stand-in alone")


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


def report_a_cluster(stele, script, environment, work):
    """kubectl's own words, of lists in pages; what cannot be listed to its end is not reported."""
    with Server(stele) as server, tempfile.TemporaryDirectory() as directory:
        config, host, digests = push_blob(server, "prod/app", b"{}"), f"{server.host}:{server.port}", {}
        for tag in "12345678":
            content = manifest(config, tag)
            digests[tag] = sha256(content)
            check(put_manifest(server, "prod/app", tag, content).status == 201, "an image", tag)
        objects = {
            "pods": [pod(1, f"{host}/prod/app:1", f"{host}/prod/app@{digests['1']}"),
                     pod(2, "prod/app:gone", f"{host}/prod/app@{digests['2']}", initContainers=[{"name": "init", "image": "prod/app:3"}]),
                     pod(3, "docker.io/library/busybox:1", "docker.io/library/busybox@sha256:" + "0" * 64)],
            "deployments": [workload(1, "prod/app:4")], "statefulsets": [workload(2, "prod/app:5")],
            "daemonsets": [workload(number, f"prod/app:{number}") for number in (6, 6, 6)], "cronjobs": [workload(4, "prod/app:7", cron=True)]}
        (Path(directory) / "stele").symlink_to(stele)
        env = {**environment, "PATH": f"{directory}:{Path(shutil.which('kubectl')).parent}:/usr/bin:/bin", "HOME": directory,
               "STELE": f"http://{host}", "KUBECONFIG": f"{directory}/kubeconfig"}
        with Cluster(objects) as cluster:
            Path(env["KUBECONFIG"]).write_text(json.dumps({
                "apiVersion": "v1", "kind": "Config", "current-context": "c", "clusters": [{"name": "c", "cluster": {"server": cluster.url}}],
                "users": [{"name": "c", "user": {}}], "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}]}))

            def run():
                return subprocess.run(["/bin/sh", "-euc", script.replace(work + "/", directory + "/")], env=env, capture_output=True, text=True, timeout=120)

            def reported():
                done = subprocess.run([stele, "in-use", "show", environment["CLUSTER"], "--json", "--data", server.data], capture_output=True, text=True)
                shown = json.loads(done.stdout)
                return {entry["digest"] for entry in shown["manifests"]}, shown["unknown"]
            done = run()
            check(done.returncode == 0, "the reporter", done)
            pods = json.loads((Path(directory) / "pods.json").read_text())
            check((pods["kind"], len(pods["items"]), pods["items"][0]["kind"]) == ("List", 3, "Pod"), "kubectl's own list, of both pages", pods)
            digests_of_all, unknown = reported()
            check(digests_of_all == {digests[tag] for tag in "1234567"}, "all that runs, or would, is protected, and nothing else", digests_of_all)
            check(all("busybox" in image or image.endswith("app:gone") for image in unknown) and len(unknown) >= 2, "what is not here is told", unknown)
            objects["pods"].append(pod(4, "prod/app:8", ""))
            for broken in ("pods", "daemonsets"):
                cluster.broken = broken
                done = run()
                check(done.returncode != 0 and "timed out" in done.stderr, f"a list of {broken} that ends in the middle is an error", done)
                check(reported()[0] == digests_of_all, "and the report before it stands")
            cluster.broken = None
            check(run().returncode == 0 and reported()[0] == set(digests.values()), "the next one has it", reported())


def main():
    stele = Path(sys.argv[1]).resolve()
    reporter(stele)
    compose(stele, check)
    listed = (ROOT / "deploy/README.md").read_text()
    for path in (ROOT / "deploy").rglob("*.yaml"):
        check(path.relative_to(ROOT / "deploy").as_posix() in listed, "deploy/README.md names it", path)
    print(f"deploy: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
