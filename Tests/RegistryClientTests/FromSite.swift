import Foundation
import Model
import Testing
import TestKit

/// A spec that builds on an image, and the program that bakes it.
struct FromSite {
    let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        try FileManager.default.createDirectory(
            atPath: folder.path + "/spec/site", withIntermediateDirectories: true)
        try "<h1>one</h1>".write(
            toFile: folder.path + "/spec/site/index.html", atomically: true, encoding: .utf8)
    }

    func write(_ image: String) throws {
        try
            "kiln: 1\nservice: web\nrun: {port: 80}\nimage:\n  \(image)\n  files: [{from: site/, to: /srv/www}]\n"
            .write(toFile: folder.path + "/spec/kiln.yaml", atomically: true, encoding: .utf8)
    }

    func kiln(_ arguments: String, root: String = "root") -> (status: Int32, output: String) {
        shell(
            "export HOME='\(folder.path)' CONTAINERS_STORAGE_CONF='\(folder.path)/storage.conf' BUILDAH_ISOLATION=chroot; unset REGISTRY_AUTH_FILE XDG_RUNTIME_DIR KILN_REGISTRIES DOCKER_CONFIG; "
                + "'\(ProgramTests.path)' \(arguments) --root '\(folder.path)/\(root)' "
                + "--file '\(folder.path)/spec/kiln.yaml'")
    }

    /// Locks and bakes; gives the digest of the image.
    func bake(root: String = "root") throws -> Digest {
        let lock = kiln("lock", root: root)
        #expect(lock.status == 0, "\(lock.output)")
        let bake = kiln("bake", root: root)
        #expect(bake.status == 0, "\(bake.output)")
        let match = try #require(bake.output.firstMatch(of: #/sha256:[0-9a-f]{64}/#), "\(bake.output)")
        return try Digest(parsing: String(match.0))
    }

    /// An image of two layers by umoci, with a user by name and an entry point.
    func makeBase() throws {
        let made = shell(
            """
            set -e; cd '\(folder.path)'; umoci init --layout base; umoci new --image base:v1
            mkdir -p tree/etc tree/bin; echo 'root:x:0:0:root:/:/bin/sh' > tree/etc/passwd
            echo 'app:x:1234:1234::/:/bin/sh' >> tree/etc/passwd; echo 'app:x:1234:' > tree/etc/group
            cp "$(command -v busybox)" tree/bin/busybox; ln -s busybox tree/bin/sh
            umoci insert --rootless --image base:v1 tree /
            echo more > tree/more; umoci insert --rootless --image base:v1 tree/more /more
            umoci config --image base:v1 --config.user app --config.env A=below --config.entrypoint /bin/busybox \
              --config.cmd httpd --architecture \(Architecture.native.rawValue)
            """)
        #expect(made.status == 0, "\(made.output)")
    }

    /// Digests of the layers of an image of any place, lowest first.
    func layers(_ reference: String) throws -> [String] {
        let out = shell("skopeo inspect --tls-verify=false '\(reference)'")
        #expect(out.status == 0, "\(out.output)")
        let json = try #require(
            try JSONSerialization.jsonObject(with: Data(out.output.utf8)) as? [String: Any])
        return try #require(json["Layers"] as? [String])
    }
}
