"""What looking for drift costs on a full host, beside what AIDE's check costs, and how soon a visitor is found."""
import json, os, resource, shutil

from lib import TOP, WORK, kiln, put, run

INSTANCES = 100
# From one look at everything to the next.
INTERVAL = 5


def check_by_aide():
    """CPU seconds of one check of the tree of the example's image, by content, mode and owner."""
    example, root = f"{WORK}/aide-example", f"{WORK}/aide-root"
    shutil.copytree(f"{TOP}/examples/hello", example)
    kiln("bake", "--file", f"{example}/kiln.yaml", "--root", root)
    layout, bundle = f"{WORK}/aide-layout", f"{WORK}/aide-bundle"
    kiln("image", "export", "hello", "--root", root, "--format", "oci-dir", "--to", layout)
    name = json.load(open(f"{layout}/index.json"))["manifests"][0].get("annotations", {}).get(
        "org.opencontainers.image.ref.name", "latest")
    run(["umoci", "unpack", "--image", f"{layout}:{name}", bundle])
    config = f"{WORK}/aide.conf"
    open(config, "w").write(
        f"database_in=file:{WORK}/aide.db\ndatabase_out=file:{WORK}/aide.new\nreport_url=stdout\n"
        f"{bundle}/rootfs p+u+g+s+n+sha256\n")
    run(["aide", f"--config={config}", "--init"])
    os.rename(f"{WORK}/aide.new", f"{WORK}/aide.db")
    times = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run(["aide", f"--config={config}", "--check"])
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return sorted(times)[len(times) // 2]


def bench_drift():
    print(f"drift, {INSTANCES} quiet instances")
    seen = json.loads(run([f"{TOP}/.build/release/DriftBenchmark", str(INSTANCES), "60"], cwd=WORK).stdout)
    share = seen["share of a core"] * 100
    put("looking at them", share, "%", "< 1.5", share < 1.5)
    put("findings where nothing differs", seen["false findings"], "", "= 0", seen["false findings"] == 0)
    if shutil.which("aide"):
        look, check = share / 100 * INTERVAL / INSTANCES, check_by_aide()
        put("one look at one instance, CPU", look * 1000, "ms")
        put("one check of one image's tree by AIDE, CPU", check * 1000, "ms")
        put("AIDE / kiln", check / look, "x", ">= 50", check / look >= 50)
    asked = seen["an exec that is asked about, milliseconds"] - seen["an exec, milliseconds"]
    put("what being asked adds to an exec", asked, "ms", "< 0.5", asked < 0.5)
    median = seen["a visitor found, milliseconds at the median"]
    put("a visitor is found, at the median", median, "ms", "< 100", median < 100)
    put("a visitor is found, at most", seen["a visitor found, milliseconds at most"], "ms")
