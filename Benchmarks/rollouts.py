"""Rollouts of many instances beside `docker service update`, the planner, and the simulator."""
import glob, http.client, json, os, re, subprocess, threading, time

from lib import *

COUNT = 100


def bench_rolling(example):
    print(f"a rolling update of {COUNT} instances")
    second = Example("hello-v2")
    second.root, second.port = example.root, example.port
    for site in (example, second):
        small_and_many(site)
    second.bake()
    peer = docker_update(example)
    ours = kiln_update(example, second)
    put(f"kiln deploy, rolling, {COUNT} instances", ours, "s")
    put(f"docker service update, {COUNT} replicas", peer, "s")
    put("docker service update / kiln", peer / ours, "x", ">= 10", peer / ours >= 10)


def small_and_many(site):
    """As many small instances as asked for, all replaced in one batch, launched before the old ones go."""
    text = open(site.spec).read()
    text = re.sub(r"(?m)^listen:.*$", f"listen: 127.0.0.1:{site.port}", text)
    text = re.sub(r"(?m)^  replicas:.*$", f"  replicas: {COUNT}", text)
    text = re.sub(r"(?ms)^rollout:.*?(?=^listen)", (
        "rollout:\n  strategy: rolling\n  batch: 100%\n  surge: 100%\n  min-healthy: 100%\n  min-ready: 0s\n"
        "  drain: 10s\n  watch: 0s\n  deadline: 300s\n  keep-standby: 0\n\n"), text)
    open(site.spec, "w").write(text)


class Visitors:
    """A few hundred requests a second, one after the other on each of four connections."""

    def __init__(self, port):
        self.port, self.stopped, self.requests, self.failed = port, False, 0, 0
        self.threads = [threading.Thread(target=self.visit) for _ in range(4)]
        for thread in self.threads:
            thread.start()

    def visit(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        while not self.stopped:
            try:
                connection.request("GET", "/")
                answer = connection.getresponse()
                answer.read()
                good = answer.status == 200
            except (OSError, http.client.HTTPException):
                good = False
                connection.close()
            self.requests += 1
            self.failed += not good
            time.sleep(0.01)

    def stop(self):
        self.stopped = True
        for thread in self.threads:
            thread.join()


def kiln_update(first, second):
    with KilnDaemon(first.root) as daemon:
        kiln("deploy", "--file", first.spec, "--root", first.root)
        launches(daemon, first)
        visitors = Visitors(first.port)
        time.sleep(1)
        begin = time.monotonic()
        kiln("deploy", "--file", second.spec, "--root", first.root)
        seconds = time.monotonic() - begin
        visitors.stop()
        put("requests during it", visitors.requests, "")
        put("of them refused or failed", visitors.failed, "", "= 0", visitors.failed == 0)
        return seconds


def busy():
    """CPU seconds of the whole machine, idle time aside: monitors and runtimes are children of many parents."""
    fields = [int(field) for field in open("/proc/stat").readline().split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def launches(daemon, example):
    """CPU time of so many launches at once beside the bare runtime, on a machine that does nothing else."""
    kiln("scale", "hello", "1", "--root", daemon.root)
    wait_for_count(daemon, 1)
    before = busy()
    kiln("scale", "hello", str(COUNT + 1), "--root", daemon.root)
    wait_for_count(daemon, COUNT + 1)
    ours = busy() - before
    name = os.listdir(f"{daemon.root}/instances")[0]
    tag = next(folder for folder in glob.glob("/run/kiln-*") if open(f"{folder}/root").read() == daemon.root)
    peer = bare_runs(f"{tag}/bundles/{name}")
    kiln("scale", "hello", str(COUNT), "--root", daemon.root)
    wait_for_count(daemon, COUNT)
    put(f"CPU time of {COUNT} launches", ours, "s")
    if peer is not None:
        put(f"CPU time of {COUNT} bare runc run", peer, "s")
        put("launches / bare runc run", ours / peer, "x", "<= 1.5", ours / peer <= 1.5)


def bare_runs(source):
    """`runc run --detach` of a bundle with the same root file system, without any network."""
    config = next((f"{folder}/config.json" for folder, _, files in os.walk(source) if "config.json" in files), None)
    if config is None:
        return None
    spec = json.load(open(config))
    spec["linux"]["namespaces"] = [space for space in spec["linux"]["namespaces"] if space["type"] != "network"]
    spec["linux"]["namespaces"].append({"type": "network"})
    spec["linux"].pop("cgroupsPath", None)
    spec["process"]["terminal"] = False
    spec.pop("hooks", None)
    folder, state = f"{WORK}/bare", f"{WORK}/bare-state"
    os.makedirs(folder, exist_ok=True)
    json.dump(spec, open(f"{folder}/config.json", "w"))

    def go():
        running = []
        for number in range(COUNT):
            running.append(subprocess.Popen(
                ["runc", "--root", state, "run", "--detach", "--bundle", folder, f"bare-{number}"],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            while sum(1 for process in running if process.poll() is None) >= 8:
                time.sleep(0.002)
        for process in running:
            process.wait()

    before = busy()
    go()
    seconds = busy() - before
    for number in range(COUNT):
        run(["runc", "--root", state, "delete", "--force", f"bare-{number}"], check=False)
    return seconds


def wait_for_count(daemon, count):
    for _ in range(6000):
        instances = daemon.status()["instances"]
        if len(instances) == count and all(instance["weight"] > 0 for instance in instances):
            return
        time.sleep(0.2)
    raise SystemExit(f"never {count} instances")


def docker_update(example):
    """Start-first, all at once; bridge networks on the host, because a mesh network is not what is compared."""
    archive = f"{WORK}/rolling.tar"
    kiln("image", "export", "hello", "--format", "docker-archive", "--to", archive, "--root", example.root)
    with Docker() as docker:
        loaded = docker("load", "-i", archive).stdout.decode()
        image = re.search(r"Loaded image(?: ID)?: (\S+)", loaded).group(1)
        docker("tag", image, "rolling:1")
        docker("tag", image, "rolling:2")
        docker("swarm", "init", "--advertise-addr", "127.0.0.1")
        try:
            docker("service", "create", "--name", "rolling", "--network", "bridge", "--replicas", str(COUNT),
                   "--no-resolve-image", "--update-order", "start-first", "--update-parallelism", str(COUNT),
                   "--update-monitor", "1ms", "--update-delay", "0s", "rolling:1")
            begin = time.monotonic()
            docker("service", "update", "--no-resolve-image", "--force", "--image", "rolling:2", "rolling")
            return time.monotonic() - begin
        finally:
            docker("service", "rm", "rolling", check=False)
            docker("swarm", "leave", "--force", check=False)
            run(["ip", "link", "delete", "docker_gwbridge"], check=False)


def bench_plan():
    print("one decision")
    times = json.loads(run([f"{TOP}/.build/release/PlanBenchmark"]).stdout)
    worst = {size: max(value for name, value in times.items() if name.endswith(f" {size}")
                       and not name.startswith("switching")) for size in (10_000, 100_000)}
    put("plan of 10 000 instances, worst", worst[10_000], "ms", "< 20", worst[10_000] < 20)
    put("plan of 100 000 instances, worst", worst[100_000], "ms", "< 250", worst[100_000] < 250)
    # Twice as many instances: the old release's and the new one's.
    put("switch of 10 000 to 10 000", times["switching 10000"], "ms", "< 40", times["switching 10000"] < 40)


def bench_simulate():
    print("the simulator, on one core")
    said = run([f"{TOP}/.build/release/simulate", "--seeds", "3000", "--slices", "1"]).stdout.decode()
    rate = float(re.search(r"(\d+) for each second of a core", said).group(1))
    put("simulated rollouts a second", rate, "", "> 1000", rate > 1000)
