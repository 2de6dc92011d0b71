import Foundation
import ImageFormat
import Model
import Testing
import TestKit

/// Recipes that build on images which other tools made, in a real registry and in every other place.
@Suite(.enabled(if: DockerRegistry.isInstalled)) struct FromImageTests {
    @Test(.timeLimit(.minutes(60)))
    func `an image of a registry is locked by its digest, and baked without the registry`() async throws {
        let registry = try await DockerRegistry()
        let site = try FromSite()
        try site.makeBase()
        let name = "\(registry.address)/team/base:v1"
        try Skopeo.copy("oci:\(site.folder.path)/base:v1", "docker://\(name)")
        let below = try Skopeo.digest("docker://\(name)")
        try site.write("from: \(name)")
        let digest = try site.bake()
        let lock = try String(contentsOfFile: site.folder.path + "/spec/kiln.lock", encoding: .utf8)
        #expect(lock.contains("\(below)"))

        // What we push, other tools read: the layers below with the digests that they had.
        let pushed = shell(
            "HOME='\(site.folder.path)' '\(ProgramTests.path)' image push \(digest) \(registry.address)/team/web:v1 "
                + "--root '\(site.folder.path)/root'")
        #expect(pushed.status == 0, "\(pushed.output)")
        #expect(try Skopeo.digest("docker://\(registry.address)/team/web:v1") == digest)
        let layers = try site.layers("docker://\(registry.address)/team/web:v1")
        let baseLayers = try site.layers("oci:\(site.folder.path)/base:v1")
        #expect(baseLayers.count == 2)
        #expect(Array(layers.dropLast()) == baseLayers)

        // The tag moves on, and the lock does not.
        let moved = shell(
            "cd '\(site.folder.path)' && umoci config --image base:v1 --config.env A=other && echo ok")
        #expect(moved.status == 0, "\(moved.output)")
        try Skopeo.copy("oci:\(site.folder.path)/base:v1", "docker://\(name)")
        let second = site.kiln("bake", root: "second")
        #expect(second.output.contains("\(digest)"), "\(second.output)")
        let verified = site.kiln("image verify")
        #expect(verified.status == 0, "\(verified.output)")
        #expect(try site.bake() != digest)
        try lock.write(toFile: site.folder.path + "/spec/kiln.lock", atomically: true, encoding: .utf8)
        registry.stop()
        #expect(site.kiln("bake").output.contains("\(digest)"))
        #expect(site.kiln("bake", root: "third").status != 0)
    }

    @Test(.timeLimit(.minutes(60)), arguments: ["docker", "zstd", "plain"])
    func `images of Docker's kind and other packings are built on, and skopeo takes the result`(kind: String)
        async throws
    {
        let registry = try await DockerRegistry()
        let site = try FromSite()
        try site.makeBase()
        let name = "\(registry.address)/base:\(kind)"
        let base = "'oci:\(site.folder.path)/base:v1'"
        let options = ["docker": "--format v2s2", "zstd": "--dest-compress-format zstd", "plain": ""][kind]!
        let from: String
        if kind == "plain" {
            from = "oci:../plain:v1"
            let out = shell(
                """
                set -e; cd '\(site.folder.path)'; skopeo copy -q \(base) dir:flat --dest-decompress
                skopeo copy -q --dest-oci-accept-uncompressed-layers dir:flat oci:plain:v1
                """)
            #expect(out.status == 0, "\(out.output)")
        } else {
            from = name
            let out = shell("skopeo copy -q --dest-tls-verify=false \(options) \(base) docker://\(name)")
            #expect(out.status == 0, "\(out.output)")
        }
        try site.write("from: \(from)")
        let digest = try site.bake()
        let out = shell(
            """
            set -e; cd '\(site.folder.path)'
            HOME=$PWD '\(ProgramTests.path)' image push \(digest) \(registry.address)/web:v1 --root root
            skopeo copy -q --src-tls-verify=false --dest-compress-format gzip docker://\(registry.address)/web:v1 oci:back:v1
            umoci unpack --rootless --image back:v1 bundle >/dev/null
            cat bundle/rootfs/srv/www/index.html bundle/rootfs/more
            """)
        #expect(out.status == 0 && out.output.hasSuffix("<h1>one</h1>more\n"), "\(out.output)")
        let below = kind == "plain" ? "oci:\(site.folder.path)/plain:v1" : "docker://\(name)"
        #expect(
            try Array(site.layers("docker://\(registry.address)/web:v1").dropLast()) == site.layers(below))
    }

    @Test(.timeLimit(.minutes(60)))
    func `layouts, archives and the store give the same image as each other`() throws {
        let site = try FromSite()
        try site.makeBase()
        let out = shell(
            """
            set -e; cd '\(site.folder.path)'; skopeo copy -q oci:base:v1 oci-archive:base.tar:v1
            skopeo copy -q oci:base:v1 docker-archive:docker.tar:base:v1
            HOME=$PWD '\(ProgramTests.path)' image pull oci:base:v1 --name 127.0.0.1/base:kept --root root
            """)
        // One with a user by name is nothing that Kiln could run: to build on it is another matter.
        #expect(out.status != 0 && out.output.contains("not in numbers"), "\(out.output)")
        var digests: [Digest] = []
        for from in ["oci:../base:v1", "oci-archive:../base.tar:v1", "docker-archive:../docker.tar"] {
            try site.write("from: \"\(from)\"")
            digests.append(try site.bake())
        }
        // An archive of Docker's holds the layers unpacked: another image.
        #expect(Set(digests).count == 2 && digests[0] == digests[1])
        try site.write("from: \(digests[0])".replacing("sha256:", with: ""))
        _ = try site.bake()
        try site.write("from: nothing-here")
        let unknown = site.kiln("lock")
        #expect(
            unknown.status == 2 && unknown.output.contains("docker.io/library/nothing-here"),
            "\(unknown.output)")
    }

    @Test(.timeLimit(.minutes(60)))
    func `what is baked on an image starts as that one, and lists its packages`() throws {
        let site = try FromSite()
        try site.makeBase()
        try site.write("from: \"oci:../base:v1\"")
        let digest = try site.bake()
        let shown = shell(
            "HOME='\(site.folder.path)' '\(ProgramTests.path)' image show \(digest) --root '\(site.folder.path)/root'"
        )
        #expect(shown.status == 0, "\(shown.output)")
        for part in ["1234:1234", "/bin/busybox", "httpd", "A=below"] {
            #expect(shown.output.contains(part), "\(shown.output)")
        }
    }

    @Test(.timeLimit(.minutes(60)))
    func `a recipe for two machine types gives an index, which a registry takes whole`() async throws {
        let registry = try await DockerRegistry()
        let site = try FromSite()
        let double = try await RegistryDouble()
        let images = ["amd64", "arm64"].map { TestImage(seed: $0 == "amd64" ? 1 : 9, architecture: $0) }
        double.put(images[0], as: "a", in: "base")
        double.put(images[1], as: "b", in: "base")
        let index = TestImage.index([(images[0], "linux/amd64"), (images[1], "linux/arm64")])
        double.change {
            $0.manifests["base@v1"] = RegistryDouble.Blob(type: OCIDescriptor.indexType, bytes: index)
        }
        try "#!/bin/true".write(
            toFile: site.folder.path + "/spec/site/run", atomically: true, encoding: .utf8)
        shell("chmod +x '\(site.folder.path)/spec/site/run'")
        try site.write(
            "from: \(double.address)/base:v1\n  architecture: [arm64, amd64]\n  command: [/srv/www/run]")
        let locked = site.kiln("lock")
        #expect(locked.status == 0, "\(locked.output)")
        for (name, image) in zip(["amd64", "arm64"], images) {
            let lock = try String(
                contentsOfFile: site.folder.path + "/spec/kiln.\(name).lock", encoding: .utf8)
            #expect(lock.contains("\(image.digest)"))
        }
        let first = site.kiln("bake")
        let said = try #require(first.output.split(separator: "\n").last)
        #expect(said.hasPrefix("sha256:") && said.hasSuffix(" for all of them"), "\(first.output)")
        let made = String(said.prefix { $0 != " " })
        #expect(site.kiln("bake", root: "second").output.contains(made))
        let pushed = shell(
            "HOME='\(site.folder.path)' '\(ProgramTests.path)' image push web \(registry.address)/web:v1 "
                + "--all-platforms --root '\(site.folder.path)/root'")
        #expect(pushed.status == 0 && pushed.output.contains(made), "\(pushed.output)")
        for name in ["amd64", "arm64"] {
            let out = shell(
                "skopeo inspect --tls-verify=false --override-arch \(name) docker://\(registry.address)/web:v1"
            )
            #expect(out.status == 0 && out.output.contains("\"Architecture\": \"\(name)\""), "\(out.output)")
        }
        #expect(site.kiln("lock --check").status == 0)
        let verified = site.kiln("image verify")
        #expect(verified.status == 0, "\(verified.output)")
    }
}
