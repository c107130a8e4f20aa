from client import Client
from images import digest_of
from server import Failure

CHART = "apiVersion: v2\nname: web\nversion: {version}\ndescription: {text}\n"


class Helm(Client):
    """Charts under the built-in rules: a released version never moves, and Helm's spelling of + in a tag is _."""
    programs = ("helm",)
    # Helm knows neither the rule nor the reason but from what the registry says.
    shown = 'tag "{tag}" in helm/web cannot be overwritten because the tag is immutable (rule releases)'

    def helm(self, command, *arguments):
        trust = ["--ca-file", self.server.ca] if self.tls else ["--plain-http"]
        return self.run("helm", command, *arguments, *(trust if command in ("push", "pull") else []))

    def package(self, version, text):
        """The file of a chart."""
        directory = self.directory / f"chart-{version}-{text}"
        (directory / "web/templates").mkdir(parents=True)
        (directory / "web/Chart.yaml").write_text(CHART.format(version=version, text=text))
        (directory / "web/templates/one.yaml").write_text(f"kind: ConfigMap\ndata: {{text: {text}}}\n")
        self.helm("package", directory / "web", "--destination", directory)
        return directory / f"web-{version}.tgz"

    def push(self, chart):
        self.helm("push", chart, f"oci://{self.server.address}/helm")

    def pulled(self, version):
        directory = self.directory / "pulled"
        directory.mkdir()
        self.helm("pull", f"oci://{self.server.address}/helm/web", "--version", version, "--destination", directory)
        return (directory / f"web-{version}.tgz").read_bytes()

    def root(self, tag):
        status, headers, _ = self.server.request("HEAD", f"/v2/helm/web/manifests/{tag}", headers={"Accept": "*/*"})
        return headers["Docker-Content-Digest"] if status == 200 else status

    def check_push_and_pull(self):
        chart = self.package("1.0.0", "first")
        self.push(chart)
        self.expect("the chart", digest_of(self.pulled("1.0.0")), digest_of(chart.read_bytes()))

    def check_the_same_chart_again(self):
        before = self.root("1.0.0")
        self.push(self.directory / "chart-1.0.0-first/web-1.0.0.tgz")
        self.expect("1.0.0", self.root("1.0.0"), before)

    def check_a_released_version_never_moves(self):
        for version in ("1.0.0", "109.0.1+up1.0.2"):
            tag = version.replace("+", "_")
            if self.root(tag) == 404:
                self.push(self.package(version, "first"))
            before = self.root(tag)
            try:
                self.push(self.package(version, "second"))
            except Failure as failure:
                said = str(failure).replace('\\"', '"')
            else:
                raise Failure(f"{version} was pushed again")
            if self.shown.format(tag=tag) not in said:
                raise Failure(f"{version}: the user does not read {self.shown.format(tag=tag)!r} in\n{said}")
            self.expect(f"{tag} stays", self.root(tag), before)

    def check_a_snapshot_moves(self):
        self.push(self.package("1.1.0-SNAPSHOT", "first"))
        before = self.root("1.1.0-SNAPSHOT")
        self.push(self.package("1.1.0-SNAPSHOT", "second"))
        self.expect("the snapshot moved", self.root("1.1.0-SNAPSHOT") != before, True)
