"""A mirror whose way out is a proxy, in the own network as they are: to the registry, its token service and its CDN, whose names
nobody here resolves; plain, and by CONNECT."""
import http.client
import os
import select
import socket

from accounts import environment
from ports import held_port
from registry import Registry, make_certificates
from stand_in import Handler, StandIn
from world import Image, World

VARIABLES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY")


class Proxy(StandIn):
    """`hosts`: which port of loopback is meant by a name; nothing else can be reached. Remembers what it was asked."""

    def __init__(self):
        self.hosts, self.asked = {}, []
        proxy = self

        class Asked(Handler):
            def do_CONNECT(self):
                proxy.asked.append(f"CONNECT {self.path}")
                port = proxy.hosts.get(self.path)
                if port is None:
                    return self.send_error(502)
                with socket.create_connection(("127.0.0.1", port)) as behind:
                    self.send_response(200)
                    self.end_headers()
                    ends = {self.connection: behind, behind: self.connection}
                    while ends:
                        for one in select.select(list(ends), [], [])[0]:
                            data = one.recv(65536)
                            if not data:
                                ends = {}
                                break
                            ends[one].sendall(data)
                self.close_connection = True

            def do_GET(self):
                proxy.asked.append(f"{self.command} {self.path}")
                _, _, host, path = self.path.split("/", 3)
                port = proxy.hosts.get(host)
                if port is None:
                    return self.send_error(502)
                behind = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                behind.request(self.command, "/" + path, headers={k: v for k, v in self.headers.items() if k != "Proxy-Connection"})
                answer = behind.getresponse()
                body = answer.read()
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
                behind.close()
            do_HEAD = do_GET
        super().__init__(Asked)


def behind(proxy, binary, directory, name, more="", **variables):
    """A world whose hub has three names that the proxy alone knows."""
    for variable in VARIABLES:
        os.environ.pop(variable, None)
    with environment(**variables):
        world = World(binary, directory, name, more=more, upstream="http://registry.example")
    for where in ("registry", "token", "cdn"):
        proxy.hosts[f"{where}.example"] = world.hub.servers[where].server_port
    world.hub.url = lambda where="registry": f"http://{where}.example"
    return world


def everything_goes_through_the_proxy(checks, binary, directory):
    """As most sites have it: the proxy's own address is a private one, which no redirect might lead to."""
    ways = {"written": lambda proxy: (f"proxy: {proxy.url}\n", {}), "variable": lambda proxy: ("", {"HTTP_PROXY": proxy.url}),
            "small": lambda proxy: ("", {"http_proxy": proxy.url, "NO_PROXY": "localhost,127.0.0.1,.internal.example"}),
            "beside": lambda proxy: (f"proxy: {proxy.url}\n", {"NO_PROXY": "*"})}
    for name, way in ways.items():
        with Proxy() as proxy:
            more, variables = way(proxy)
            with behind(proxy, binary, directory, f"proxy-{name}", more, **variables) as world:
                demo = world.image()
                checks(f"{name}: a pull", not (wrong := world.pull(demo)), (wrong, proxy.asked))
                hosts = {asked.split("/")[2] for asked in proxy.asked}
                checks(f"{name}: registry, token service and CDN through it", hosts == set(proxy.hosts), proxy.asked)
                checks(f"{name}: each blob once", world.hub.count("cdn", "GET") == len(demo.blobs), world.hub.all_seen())


def none_is_none(checks, binary, directory):
    with Proxy() as proxy, behind(proxy, binary, directory, "proxy-none", "proxy: none\n", HTTP_PROXY=proxy.url) as world:
        world.image()
        answer = world.manifest()
        checks("the name is not known here: 503 that says so", answer.status == 503 and "registry.example" in answer.message, answer)
        checks("nobody asked the proxy", proxy.asked == [], proxy.asked)


def a_proxy_that_is_gone_or_refuses_is_named_as_the_fault(checks, binary, directory):
    with Proxy() as proxy, behind(proxy, binary, directory, "proxy-502", f"proxy: {proxy.url}\n") as world:
        proxy.hosts.clear()
        checks("it refuses: 503", world.manifest().status == 503, world.manifest())
    nobody = held_port()
    with Proxy() as proxy, behind(proxy, binary, directory, "proxy-gone", f"proxy: http://127.0.0.1:{nobody}\n") as world:
        answer = world.manifest()
        checks("nobody is there: 503, and where", answer.status == 503 and f"port {nobody}" in answer.message, answer)


def tls_goes_through_by_connect(checks, binary, directory):
    """The proxy sees a host and a port, the certificate is the registry's own."""
    certificates = make_certificates(directory / "proxied-tls")
    with Registry(binary, directory / "proxied-upstream", tls=certificates).start() as source, Proxy() as proxy:
        demo = Image(source, "library/demo", "1")
        proxy.hosts[source.address] = proxy.hosts["registry.example:443"] = int(source.address.split(":")[1])
        for host, wanted in ((source.address, 200), ("registry.example", 503)):
            config = (f"mirrors:\n  - name: far.example\n    upstreams: [\"https://{host}\"]\n    ca: {certificates / 'ca.crt'}\n"
                      f"    proxy: {proxy.url}\n")
            with Registry(binary, directory / f"proxied-{wanted}", config=config).start() as mirror:
                answer = mirror.request("GET", "/v2/far.example/library/demo/manifests/1")
                checks(f"{host}: {wanted}", answer.status == wanted, answer)
                if wanted == 200:
                    checks("the image", answer.body == demo.manifest, answer)
                    blob = mirror.request("GET", f"/v2/far.example/library/demo/blobs/{demo.layer}")
                    checks("its layer", blob.body == demo.blobs[demo.layer], blob.status)
                    checks("by CONNECT alone", set(proxy.asked) == {f"CONNECT {source.address}"}, proxy.asked)
                else:
                    checks("the certificate is of another name, and the message says so", "certificate" in answer.message.lower(), answer)


TESTS = [everything_goes_through_the_proxy, none_is_none, a_proxy_that_is_gone_or_refuses_is_named_as_the_fault, tls_goes_through_by_connect]
