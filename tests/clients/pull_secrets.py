"""Pull secrets of Kubernetes: docs/robots.md's command makes one, and its account is what a kubelet hands to the node's runtime."""
import base64
import json
import re
import shlex
import shutil

from images import push
from logins import Releaser, WhereOneLogsIn
from server import ROOT

PAGE, RULES = ROOT / "docs/robots.md", ROOT / "docs/access.md"


def documented_command():
    """Its words, in which a registry and a file with the secret stand."""
    line = re.search(r"^kubectl create secret docker-registry .*$", PAGE.read_text(), re.M)[0]
    for words in ("--docker-server=registry.example.com", '--docker-password="$(cat secret)"', "--docker-username=k8s-prod-eu"):
        if words not in line:
            raise LookupError(f"docs/robots.md does not say {words!r} in {line}")
    return line


def rules():
    """The recipe's rule for nodes, and who brings images."""
    nodes = re.search(r"^  - \{name: nodes, .*$", RULES.read_text(), re.M)[0]
    return f'version: 1\naccess_rules:\n{nodes}\n  - {{name: releases, who: ["user:releaser"], repositories: ["**"], allow: [pull, push]}}\n'


class PullSecrets(WhereOneLogsIn):
    """A client has crictl(*words) and reaching(), a context in which the runtime knows how to reach self.server."""
    login_asked = ("authorization failed", "unauthorized")
    denied = ("403 Forbidden",)   # the status line is all that it shows

    def pull_secret(self, secret, user="k8s-prod-eu"):
        """user and password as they come out of what kubectl makes, and the two as one, in base 64."""
        words = shlex.split(documented_command().replace("registry.example.com", self.server.address).replace("$(cat secret)", secret).replace("k8s-prod-eu", user))
        if shutil.which(words[0]):
            made = json.loads(self.run(*words, "--dry-run=client", "-o", "json"))
        else:
            print("note  there is no kubectl here; what it makes is written as it does")
            account = {"username": user, "password": secret, "auth": base64.b64encode(f"{user}:{secret}".encode()).decode()}
            config = json.dumps({"auths": {self.server.address: account}})
            made = {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": base64.b64encode(config.encode()).decode()}}
        self.expect("the secret's type", made["type"], "kubernetes.io/dockerconfigjson")
        account = json.loads(base64.b64decode(made["data"][".dockerconfigjson"]))["auths"][self.server.address]
        self.expect("both are the same", base64.b64decode(account["auth"]).decode(), f"{account['username']}:{account['password']}")
        return f"{account['username']}:{account['password']}", account["auth"]

    def robot(self, name):
        return self.stele("robot", "create", name, "--scope", "prod/**:pull").strip()

    def check_a_pull_secret(self):
        """And its replacement by another robot's, without a pull that fails between."""
        with self.where_one_logs_in("nodes", rules()) as server, self.speaking_to(server), self.reaching():
            for repository in ("prod/app", "team/app"):
                push(Releaser(server), repository, self.single.graph)
            name, image = self.name("prod/app"), self.single.graph.document()["config"]["digest"].partition(":")[2]
            self.refused("pulling without a secret", lambda: self.crictl("pull", name))
            plain, encoded = self.pull_secret(self.robot("k8s-prod-eu"))
            for way in (("--creds", plain), ("--auth", encoded)):
                self.crictl("rmi", "--all")
                self.crictl("pull", *way, name)
                self.expect("the image's id", image in self.crictl("inspecti", name), True)
            self.refused("pulling what is not the nodes'", lambda: self.crictl("pull", "--creds", plain, self.name("team/app")), *self.denied)
            after, _ = self.pull_secret(self.robot("k8s-prod-eu-2"), "k8s-prod-eu-2")
            self.crictl("pull", "--creds", after, name)
            self.crictl("pull", "--creds", plain, name)
            self.stele("robot", "remove", "k8s-prod-eu")
            self.refused("pulling with the one that is gone", lambda: self.crictl("pull", "--creds", plain, name))
            self.crictl("pull", "--creds", after, name)
