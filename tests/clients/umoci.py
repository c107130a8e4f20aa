import filecmp

from skopeo import SkopeoTransport


class Umoci(SkopeoTransport):
    """umoci works on layouts; skopeo carries them to the registry and back."""
    programs = ("umoci", "skopeo")

    def unpack(self, layout, bundle):
        self.run("umoci", "unpack", "--rootless", "--image", f"{layout}:1.0", bundle)
        return bundle / "rootfs"

    def check_pull_unpack_repack_push(self):
        self.push(self.single, "umoci/image")
        pulled = self.directory / "pulled"
        self.pull("umoci/image", pulled)
        bundle = self.directory / "bundle"
        rootfs = self.unpack(pulled, bundle)
        (rootfs / "added").write_text("by umoci\n")
        self.run("umoci", "repack", "--image", f"{pulled}:1.0", bundle)
        self.skopeo("copy", "--preserve-digests", f"oci:{pulled}:1.0", f"docker://{self.name('umoci/image', '2.0')}", side="dest-")
        self.expect("layers", len(self.served("umoci/image", "2.0").document()["layers"]), 3)

    def check_unpacked_again_is_the_same(self):
        again = self.directory / "again"
        self.pull("umoci/image", again, "2.0")
        rootfs = self.unpack(again, self.directory / "bundle-again")
        compared = filecmp.dircmp(self.directory / "bundle/rootfs", rootfs)
        files = [path.relative_to(rootfs) for path in rootfs.rglob("*") if path.is_file()]
        _, differ, odd = filecmp.cmpfiles(self.directory / "bundle/rootfs", rootfs, files, shallow=False)
        self.expect("differences", (compared.left_only, compared.right_only, differ, odd), ([], [], [], []))
        self.expect("added file", (rootfs / "added").read_text(), "by umoci\n")

    def check_list_and_stat(self):
        self.expect("tags", self.run("umoci", "list", "--layout", self.directory / "again").split(), ["1.0"])
        self.run("umoci", "stat", "--json", "--image", f"{self.directory / 'again'}:1.0")
