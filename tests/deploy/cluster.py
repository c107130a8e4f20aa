"""As much of a Kubernetes API server as kubectl needs to list what runs: discovery, and lists in pages of two."""
import json
import urllib.parse

from stand_in import Handler, StandIn

GROUPS = {"": {"pods": "Pod"}, "apps": {"deployments": "Deployment", "statefulsets": "StatefulSet", "daemonsets": "DaemonSet"}, "batch": {"cronjobs": "CronJob"}}
PAGE = 2


class Cluster(StandIn):
    def __init__(self, objects):
        """`objects`: {"pods": [...], "deployments": [...]}, without kind and apiVersion, as a server keeps them in its lists."""
        self.objects = objects
        self.broken = None      # a resource whose second page is an error
        cluster = self

        class Asked(Handler):
            def do_GET(self):
                path, _, query = self.path.partition("?")
                status, answer = cluster.answer(path.strip("/").split("/"), dict(urllib.parse.parse_qsl(query)))
                self.answer(status, json.dumps(answer).encode(), Content_Type="application/json")
        super().__init__(Asked)

    def answer(self, path, query):
        if path == ["api"]:
            return 200, {"kind": "APIVersions", "versions": ["v1"]}
        if path == ["apis"]:
            groups = [{"name": name, "versions": [version], "preferredVersion": version}
                      for name in GROUPS if name for version in [{"groupVersion": f"{name}/v1", "version": "v1"}]]
            return 200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        group, rest = ("", path[2:]) if path[:2] == ["api", "v1"] else (path[1], path[3:]) if path[0] == "apis" and path[2:3] == ["v1"] else (None, [])
        if group not in GROUPS:
            return self.failure(404, "the server could not find the requested resource")
        if not rest:
            resources = [{"name": name, "singularName": kind.lower(), "namespaced": True, "kind": kind, "verbs": ["get", "list"]}
                         for name, kind in GROUPS[group].items()]
            return 200, {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{group}/v1".strip("/"), "resources": resources}
        if rest[0] not in GROUPS[group]:
            return self.failure(404, "the server could not find the requested resource")
        begin = int(query.get("continue", 0))
        if begin and self.broken == rest[0]:
            return self.failure(500, "etcdserver: request timed out")
        items = self.objects.get(rest[0], [])
        metadata = {"resourceVersion": "4711"}
        if begin + PAGE < len(items):
            metadata |= {"continue": str(begin + PAGE), "remainingItemCount": len(items) - begin - PAGE}
        return 200, {"kind": GROUPS[group][rest[0]] + "List", "apiVersion": f"{group}/v1".strip("/"), "metadata": metadata, "items": items[begin:begin + PAGE]}

    @staticmethod
    def failure(code, message):
        return code, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "code": code}


def pod(number, image, image_id, **spec):
    """As a cluster has them, with what else stands there."""
    name = f"app-{number}"
    return {"metadata": {"name": name, "namespace": "default", "uid": f"0000-{number}", "labels": {"app": "app"},
                         "annotations": {"kubectl.kubernetes.io/last-applied-configuration": json.dumps({"spec": {"containers": [{"image": "never/applied:1"}]}})},
                         "managedFields": [{"manager": "kubelet", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": {"f:status": {"f:phase": {}}}}]},
            "spec": {"containers": [{"name": "main", "image": image, "imagePullPolicy": "IfNotPresent", "resources": {}}], "nodeName": "node-1",
                     "serviceAccountName": "default", **spec},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}], "hostIP": "10.0.0.1",
                       "containerStatuses": [{"name": "main", "image": image, "imageID": image_id, "ready": True, "restartCount": 0,
                                              "state": {"running": {"startedAt": "2026-11-29T07:00:00Z"}}}]}}


def workload(number, image, cron=False):
    spec = {"template": {"metadata": {"labels": {"app": "app"}}, "spec": {"containers": [{"name": "main", "image": image}]}}}
    return {"metadata": {"name": f"work-{number}", "namespace": "default", "generation": 3},
            "spec": {"schedule": "0 3 * * *", "jobTemplate": {"spec": spec}} if cron else {"replicas": 0, "selector": {}, **spec},
            "status": {}}
