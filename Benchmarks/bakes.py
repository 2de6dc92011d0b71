"""Baking beside mmdebstrap and docker build: a small image, and one of five servers."""
import concurrent.futures, hashlib, json, lzma, os, shutil, subprocess, sys, time

from lib import *
from registries import Registry

SERVERS = ["nginx-light", "redis-server", "postgresql", "python3", "nodejs"]


def mirror_sources():
    """The host's archives of bookworm, as a file for mmdebstrap."""
    sources = "\n\n".join(
        open(f"/etc/apt/sources.list.d/{name}").read() for name in sorted(os.listdir("/etc/apt/sources.list.d"))
        if name.endswith(".sources") and "bookworm" in open(f"/etc/apt/sources.list.d/{name}").read())
    open(f"{WORK}/mirror.sources", "w").write(sources)


def bench_mmdebstrap(packages, debs, rounds):
    """Its median, with every package at hand: an untimed first run keeps those that it fetches."""
    mirror_sources()
    hooks = [f"--setup-hook=mkdir -p \"$1\"/var/cache/apt/archives && cp {debs}/*.deb \"$1\"/var/cache/apt/archives/",
             "--skip=download/empty", "--skip=essential/unlink", "--skip=cleanup/apt"]
    command = ["mmdebstrap", "--variant=apt", f"--include={','.join(packages)}", *hooks]
    rest = ["bookworm", f"{WORK}/peer.tar", f"{WORK}/mirror.sources"]
    run([*command, f"--customize-hook=cp -n \"$1\"/var/cache/apt/archives/*.deb {debs}/", *rest])
    return median([timed([*command, *rest]) for _ in range(rounds)])


def bench_dockerfile(docker, packages, debs, rounds, lines="", context=None):
    """The median of `docker build --no-cache` with apt-get and every package at hand."""
    mirror_sources()
    if not os.path.exists(f"{WORK}/base.tar"):
        run(["mmdebstrap", "--variant=apt", "bookworm", f"{WORK}/base.tar", f"{WORK}/mirror.sources"])
    docker("import", f"{WORK}/base.tar", "bench-base")
    context = context or f"{WORK}/context-{len(packages)}"
    os.makedirs(context, exist_ok=True)
    shutil.copytree(debs, f"{context}/debs", dirs_exist_ok=True)
    open(f"{context}/Dockerfile", "w").write(
        "FROM bench-base\nCOPY debs /var/cache/apt/archives\n"
        f"RUN apt-get update && apt-get install -y --no-install-recommends {' '.join(packages)}\n" + lines)
    environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
    return median([timed(["docker", "-H", docker.socket, "build", "--no-cache", "--network=host", "-t", "bench",
                          context], env=environment) for _ in range(rounds)])


def bench_bake(example):
    print("bake of examples/hello, packages fetched")
    example.bake()
    cold = []
    for _ in range(5):
        example.forget_all_but_packages()
        cold.append(example.bake())
    cold = median(cold)
    put("kiln bake, cold", cold, "s")
    put("kiln bake, nothing changed", median([example.bake() for _ in range(9)]) * 1000, "ms", "< 150",
        median([example.bake() for _ in range(5)]) < 0.150)
    changed = []
    for number in range(7):
        with open(f"{example.folder}/site/index.html", "a") as page:
            page.write(f"<!-- {number} -->")
        changed.append(example.bake())
    put("kiln bake, one page changed", median(changed) * 1000, "ms", "< 400", median(changed) < 0.400)

    debs = f"{WORK}/debs"
    example.package_files(debs)
    peer = bench_mmdebstrap(PACKAGES, debs, 3)
    put("mmdebstrap --variant=apt", peer, "s")
    put("mmdebstrap / kiln", peer / cold, "x", ">= 8", peer / cold >= 8)
    return cold


def bench_docker_build(docker, example, cold):
    print("the same as a Dockerfile")
    context, debs = f"{WORK}/context", f"{WORK}/docker-debs"
    shutil.copytree(f"{TOP}/examples/hello", context)
    example.package_files(debs)
    peer = bench_dockerfile(
        docker, PACKAGES, debs, 2, "COPY site /srv/www\nCOPY nginx.conf /etc/nginx/nginx.conf\nUSER www-data\n"
        'CMD ["nginx", "-g", "daemon off;"]\n', context)
    put("docker build --no-cache", peer, "s")
    put("docker build / kiln", peer / cold, "x", ">= 8", peer / cold >= 8)


class Servers(Example):
    """nginx, Redis, PostgreSQL, Python and Node in one image."""

    def __init__(self):
        self.folder, self.root = f"{WORK}/servers", f"{WORK}/servers-root"
        self.spec = f"{self.folder}/kiln.yaml"
        os.makedirs(self.folder)
        open(self.spec, "w").write(
            "kiln: 1\nservice: servers\nimage:\n  distribution: debian/bookworm\n"
            f"  packages: [{', '.join(SERVERS)}]\n  command: [/usr/bin/redis-server]\n"
            "run:\n  port: 6379\n  health: {tcp: true}\n")

    def blob(self, digest):
        return f"{self.root}/store/blobs/sha256/{digest}"

    def forget(self, *kinds):
        """Forgets what the cache holds of these kinds, and the images."""
        for kind in ("../images", *kinds):
            shutil.rmtree(f"{self.root}/store/cache/{kind}", ignore_errors=True)
        os.makedirs(f"{self.root}/store/images", exist_ok=True)

    def unpacking_floor(self):
        """Seconds that it takes to decode the data parts of all packages on all cores, and nothing else."""

        def decode(package):
            deb, offset = open(self.blob(package["sha256"]), "rb").read(), 8
            while offset < len(deb):
                size = int(deb[offset + 48:offset + 58])
                if deb[offset:offset + 16].startswith(b"data.tar.xz"):
                    lzma.LZMADecompressor().decompress(deb[offset + 60:offset + 60 + size])
                offset += 60 + size + size % 2

        packages = sorted(self.lock()["packages"], key=lambda package: -package["size"])
        begin = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(decode, packages))
        return time.monotonic() - begin

    def update(self, name):
        """A new version of one package, as its maintainer would build it; the lock names it instead."""
        lock = self.lock()
        package = next(package for package in lock["packages"] if package["name"] == name)
        tree, deb = f"{WORK}/update", f"{WORK}/update.deb"
        run(["dpkg-deb", "-R", self.blob(package["sha256"]), tree])
        control = open(f"{tree}/DEBIAN/control").read()
        version = package["version"] + "+bench"
        open(f"{tree}/DEBIAN/control", "w").write(
            re.sub(r"(?m)^Version: .*$", f"Version: {version}", control))
        with open(f"{tree}/usr/share/doc/{name}/copyright", "a") as text:
            text.write("changed\n")
        run(["dpkg-deb", "--root-owner-group", "-Zxz", "-b", tree, deb])
        content = open(deb, "rb").read()
        package.update(version=version, size=len(content), sha256=hashlib.sha256(content).hexdigest())
        open(self.blob(package["sha256"]), "wb").write(content)
        json.dump(lock, open(f"{self.folder}/kiln.lock", "w"), indent=2, sort_keys=True)
        shutil.rmtree(tree)

    def image(self):
        """The manifest of the image that was baked last."""
        digest = json.loads(kiln("bake", "--file", self.spec, "--root", self.root, "--output", "json").stdout)["digest"]
        return digest, json.load(open(self.blob(digest.split(":")[1])))


def sections(manifest):
    found = {}
    for layer in manifest["layers"]:
        for row in layer.get("annotations", {}).get("io.kiln.layer.sections", "").split(","):
            if row:
                size, digest = row.split(":")
                found[digest] = int(size)
    return found


def bench_servers():
    print(f"bake of {', '.join(SERVERS)}, packages fetched")
    servers = Servers()
    servers.bake()
    lock = servers.lock()["packages"]
    put("packages", len(lock), "")
    cold, floor = [], []
    for _ in range(5):
        servers.forget_all_but_packages()
        cold.append(servers.bake())
        floor.append(servers.unpacking_floor())
    cold, floor = median(cold), median(floor)
    put("kiln bake, cold", cold, "s")
    put("xz decoding of the same packages", floor, "s")
    put("kiln bake / xz decoding", cold / floor, "x", "<= 1.6", cold / floor <= 1.6)

    joined = []
    for _ in range(5):
        servers.forget("bake", "base", "joined")
        joined.append(servers.bake())
    put("kiln bake, packages unpacked before", median(joined), "s", "< 0.6", median(joined) < 0.6)

    _, before = servers.image()
    updated = []
    for _ in range(3):
        servers.update("libssl3")
        updated.append(servers.bake())
    put("kiln bake, one package updated (libssl3)", median(updated), "s")
    put("one package updated / cold", median(updated) / cold * 100, "%", "< 10", median(updated) / cold < 0.1)

    servers.forget_all_but_packages()
    peak = resource_peak([KILN, "bake", "--file", servers.spec, "--root", servers.root])
    put("kiln bake, peak memory", peak, "MB", "< 300", peak < 300)

    bench_update_bytes(servers)

    debs = f"{WORK}/servers-debs"
    servers.package_files(debs)
    peer = bench_mmdebstrap(SERVERS, debs, 2)
    put("mmdebstrap --variant=apt, the same servers", peer, "s")
    put("servers: mmdebstrap / kiln", peer / cold, "x", ">= 10", peer / cold >= 10)
    with Docker() as docker:
        peer = bench_dockerfile(docker, SERVERS, debs, 2)
    put("docker build --no-cache, the same servers", peer, "s")
    put("servers: docker build / kiln", peer / cold, "x", ">= 10", peer / cold >= 10)


def resource_peak(command):
    """Megabytes that a program held at most. Asked by a small process: a child begins with its parent's peak."""
    ask = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL,"
           " stderr=subprocess.DEVNULL); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
    return int(run([sys.executable, "-c", ask, *command]).stdout) / 1024


def bench_update_bytes(servers):
    """What a host fetches for the update of a package that shares its layer with others."""
    with Registry() as registry:
        host = f"{WORK}/servers-host"
        moved = []
        for tag in ("v1", "v2"):
            if tag == "v2":
                servers.update("libexpat1")
            digest, manifest = servers.image()
            kiln("image", "push", digest, registry.name(tag), "--root", servers.root)
            answer = kiln("image", "pull", registry.name(tag), "--root", host, "--output", "json").stdout
            moved.append((json.loads(answer)["bytesMoved"], sections(manifest)))
    (_, old), (fetched, new) = moved
    fragment = max(size for digest, size in new.items() if digest not in old)
    put("update of libexpat1: bytes that a host fetches", fetched / 1000, "kB")
    put("fetched / the package's own bytes in the image", fetched / fragment, "x", "<= 1.2", fetched / fragment <= 1.2)
