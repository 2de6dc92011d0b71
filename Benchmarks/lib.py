"""What all benchmarks share: results, programs, the example, and daemons of our own."""
import json, os, re, shutil, socket, statistics, subprocess, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)
KILN = f"{TOP}/.build/release/kiln"
WORK = tempfile.mkdtemp(prefix="kiln-bench-")
RESULTS = {}
PACKAGES = ["nginx-light", "ca-certificates"]


def run(command, **options):
    options.setdefault("check", True)
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    return subprocess.run(command, **options)


def timed(command, **options):
    begin = time.monotonic()
    run(command, **options)
    return time.monotonic() - begin


def median(values):
    return statistics.median(values)


def put(name, value, unit, target=None, holds=None):
    RESULTS[name] = {"value": round(value, 4), "unit": unit, "target": target, "holds": holds}
    verdict = "" if holds is None else ("   ok" if holds else "   MISSED")
    print(f"  {name:<52} {value:>10.3f} {unit:<6} {('target ' + target) if target else '':<16}{verdict}", flush=True)


def kiln(*arguments, **options):
    return run([KILN, *arguments], **options)


class Example:
    """A copy of examples/hello with a store of its own."""

    def __init__(self, name="hello"):
        self.folder = f"{WORK}/{name}"
        shutil.copytree(f"{TOP}/examples/{name}", self.folder)
        self.root = f"{WORK}/root"
        self.spec = f"{self.folder}/kiln.yaml"
        self.port = free_port()
        text = open(self.spec).read()
        open(self.spec, "w").write(re.sub(r"(?m)^listen:.*$", f"listen: 127.0.0.1:{self.port}", text))

    def bake(self):
        return timed([KILN, "bake", "--file", self.spec, "--root", self.root])

    def lock(self):
        return json.load(open(f"{self.folder}/kiln.lock"))

    def forget_all_but_packages(self):
        store = f"{self.root}/store"
        keep = {package["sha256"].split(":")[-1] for package in self.lock()["packages"]}
        for name in os.listdir(f"{store}/blobs/sha256"):
            if name not in keep:
                os.unlink(f"{store}/blobs/sha256/{name}")
        for folder in ("cache", "images"):
            shutil.rmtree(f"{store}/{folder}", ignore_errors=True)

    def package_files(self, folder):
        """The fetched packages by the names that apt keeps them under."""
        os.makedirs(folder, exist_ok=True)
        for package in self.lock()["packages"]:
            version = package["version"].replace(":", "%3a")
            blob = f"{self.root}/store/blobs/sha256/{package['sha256'].split(':')[-1]}"
            shutil.copy(blob, f"{folder}/{package['name']}_{version}_{package['architecture']}.deb")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_page(host, port, seconds=30):
    """Returns at the first whole 200, looking about every half millisecond."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            # A first packet to an address that is not there yet would be repeated only after a second.
            with socket.create_connection((host, port), timeout=0.02) as connection:
                connection.settimeout(1)
                connection.sendall(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")
                if connection.recv(64).startswith((b"HTTP/1.1 200", b"HTTP/1.0 200")):
                    return
        except OSError:
            pass
        time.sleep(0.0005)
    raise SystemExit(f"no page at {host}:{port} within {seconds} s")


class Docker:
    """A Docker engine of our own, without a hand on the host's firewall."""

    def __enter__(self):
        self.socket = f"unix://{WORK}/docker.sock"
        self.log = open(f"{WORK}/dockerd.log", "w")
        self.daemon = subprocess.Popen(
            ["dockerd", "-H", self.socket, "--data-root", f"{WORK}/docker", "--exec-root", f"{WORK}/docker-exec",
             "--pidfile", f"{WORK}/docker.pid", "--iptables=false", "--ip6tables=false"],
            stdout=self.log, stderr=self.log)
        for _ in range(300):
            if run(["docker", "-H", self.socket, "version"], check=False).returncode == 0:
                return self
            time.sleep(0.1)
        raise SystemExit("dockerd did not start: see " + self.log.name)

    def __call__(self, *arguments, **options):
        return run(["docker", "-H", self.socket, *arguments], **options)

    def __exit__(self, *_):
        self.daemon.terminate()
        self.daemon.wait()
        run(["umount", f"{WORK}/docker-exec/netns/default"], check=False)
        run(["ip", "link", "delete", "docker0"], check=False)


class KilnDaemon:
    def __init__(self, root):
        self.root = root

    def __enter__(self):
        self.log = open(f"{WORK}/kiln.log", "w")
        self.process = subprocess.Popen([KILN, "serve", "--root", self.root, "--ephemeral"],
                                        stdout=self.log, stderr=self.log)
        for _ in range(200):
            if kiln("status", "--root", self.root, check=False).returncode == 0:
                return self
            time.sleep(0.05)
        raise SystemExit("kiln serve did not start: see " + self.log.name)

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def status(self):
        return json.loads(kiln("status", "--root", self.root, "--output", "json").stdout)["services"][0]
