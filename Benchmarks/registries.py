"""Push and pull of an image of some hundred megabytes, beside skopeo, against a registry on this machine."""
import json, os, shutil, subprocess, tempfile, time, urllib.request

from lib import *

LAYERS = [200, 100, 60, 20, 10, 5, 1]  # MB; nothing in them can be packed
ROUNDS = 7


class Registry:
    """Debian's docker-registry in a folder of its own."""

    def __enter__(self):
        self.folder, self.port = tempfile.mkdtemp(prefix="registry-", dir=WORK), free_port()
        open(f"{self.folder}/config.yml", "w").write(
            "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
            f"storage: {{filesystem: {{rootdirectory: {self.folder}/data}}}}\n"
            f"http: {{addr: 127.0.0.1:{self.port}}}\n")
        self.process = subprocess.Popen(["docker-registry", "serve", f"{self.folder}/config.yml"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v2/").read()
                return self
            except OSError:
                time.sleep(0.05)
        raise SystemExit("docker-registry did not start")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.forget()

    def forget(self):
        shutil.rmtree(f"{self.folder}/data", ignore_errors=True)

    def name(self, tag):
        return f"127.0.0.1:{self.port}/bench/app:{tag}"


def make_image(path):
    run(["umoci", "init", "--layout", path])
    run(["umoci", "new", "--image", f"{path}:v1"])
    for number, size in enumerate(LAYERS):
        open(f"{WORK}/part", "wb").write(os.urandom(size << 20))
        run(["umoci", "insert", "--rootless", "--image", f"{path}:v1", f"{WORK}/part", f"/part-{number}"])
    os.unlink(f"{WORK}/part")


def settle():
    """What the last round left to write is not the next one's work."""
    os.sync()


def alternate(ours, peer, before):
    """Medians of both, each round of one beside a round of the other."""
    times = ([], [])
    for _ in range(ROUNDS):
        for go, kept in ((ours, times[0]), (peer, times[1])):
            before()
            settle()
            begin = time.monotonic()
            go()
            kept.append(time.monotonic() - begin)
    return median(times[0]), median(times[1])


def bench_registry():
    print(f"push and pull of {sum(LAYERS)} MB in {len(LAYERS)} layers, a registry on this machine")
    layout, root = f"{WORK}/bench-oci", f"{WORK}/registry-root"
    make_image(layout)
    with Registry() as registry:
        name = registry.name("v1")

        ours, peer = alternate(
            lambda: kiln("image", "copy", f"oci:{layout}:v1", name),
            lambda: run(["skopeo", "copy", "--dest-tls-verify=false", f"oci:{layout}:v1", f"docker://{name}"]),
            registry.forget)
        put("kiln image copy, folder to registry", ours, "s")
        put("skopeo copy, folder to registry", peer, "s")
        put("push: skopeo / kiln", peer / ours, "x", ">= 1", peer / ours >= 1)

        def targets_gone():
            shutil.rmtree(f"{WORK}/pulled", ignore_errors=True)
            shutil.rmtree(root, ignore_errors=True)

        kiln("image", "copy", f"oci:{layout}:v1", name)
        ours, peer = alternate(
            lambda: kiln("image", "copy", name, f"oci:{WORK}/pulled:v1"),
            lambda: run(["skopeo", "copy", "--src-tls-verify=false", f"docker://{name}", f"oci:{WORK}/pulled:v1"]),
            targets_gone)
        put("kiln image copy, registry to folder", ours, "s")
        put("skopeo copy, registry to folder", peer, "s")
        put("pull: skopeo / kiln", peer / ours, "x", ">= 1", peer / ours >= 1)
        targets_gone()
        settle()
        put("kiln image pull, into the store", timed([KILN, "image", "pull", name, "--root", root]), "s")
        put("kiln image pull, all there already",
            median([timed([KILN, "image", "pull", name, "--root", root]) for _ in range(5)]) * 1000, "ms")
        digests = {kiln("image", "copy", name, f"oci:{WORK}/again:v1").stdout.split()[-1].decode(),
                   json.loads(run(["skopeo", "inspect", f"oci:{layout}:v1"]).stdout)["Digest"]}
        assert len(digests) == 1, digests
