import Foundation
import Model
import Testing
import TestKit

/// Engines and scanners of other people read our images as they are: the same settings, files and packages.
extension OnThisHost {
    @Suite struct ImageReaderTests {
        /// The example site, baked and exported.
        private struct Export {
            let site: Site
            let image: Image
            /// What the image has at `/srv/www/index.html`.
            let page: String

            init() throws {
                site = try Site()
                let spec = "\(site.folder)/v1/kiln.yaml"
                let baked = try KilnProgram.run(["bake", "--root", site.root, "--file", spec])
                guard baked.status == 0 else { throw Failure(.commandFailed, baked.errors) }
                image = try site.kiln("image", "show", "hello", "--output", "json").decoded(Image.self)
                page = try String(contentsOfFile: "\(site.folder)/v1/site/index.html", encoding: .utf8)
            }

            func archive(_ format: String) throws -> String {
                let path = "\(site.folder)/\(format).tar"
                let exported = try site.kiln("image", "export", "hello", "--format", format, "--to", path)
                guard exported.status == 0 else { throw Failure(.commandFailed, exported.errors) }
                return path
            }

            /// What `docker image inspect` and `podman image inspect` should say, in the form of `format`.
            var summary: String {
                let command = image.config.command.joined(separator: " ")
                return "\(image.config.user) [\(command)] linux/\(image.config.architecture.rawValue) "
                    + "\(image.layers.count)\n"
            }
            static let format =
                "{{.Config.User}} {{.Config.Cmd}} {{.Os}}/{{.Architecture}} {{len .RootFS.Layers}}"

            /// `name version` of every package of the lock, sorted.
            func lockedPackages() throws -> [String] {
                struct Lock: Decodable {
                    struct Package: Decodable {
                        var name: String
                        var version: String
                    }
                    var packages: [Package]
                }
                let text = try Data(contentsOf: URL(fileURLWithPath: "\(site.folder)/v1/kiln.lock"))
                return try JSONDecoder().decode(Lock.self, from: text).packages
                    .map { "\($0.name) \($0.version)" }.sorted()
            }
        }

        @Test(.enabled(if: Peer.has("ctr") && Peer.has("containerd"), "\(Peer.skipped)"))
        func `containerd imports an image, finds it complete and unpacks it`() throws {
            let export = try Export()
            let archive = try export.archive("oci-archive")
            let folder = export.site.folder + "/containerd"
            try FileManager.default.createDirectory(
                atPath: folder + "/mount", withIntermediateDirectories: true)
            let settings = """
                version = 2
                root = "\(folder)/root"
                state = "\(folder)/state"
                disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
                [grpc]
                address = "\(folder)/socket"
                [ttrpc]
                address = "\(folder)/socket.ttrpc"
                """
            try settings.write(toFile: folder + "/config.toml", atomically: true, encoding: .utf8)
            let ctr = "ctr --address '\(folder)/socket'"
            let daemon = try Peer.Daemon(
                "containerd", ["--config", folder + "/config.toml"], log: folder + "/log",
                probe: ctr + " version")
            let imported = shell("\(ctr) images import '\(archive)'")
            #expect(imported.status == 0, "\(imported.output)")
            let checked = shell("\(ctr) images check").output
            #expect(checked.contains("\(export.image.digest)"), "\(checked)")
            #expect(checked.contains(#/complete \((\d+)\/\1\).* true/#), "\(checked)")
            let mounted = shell(
                """
                \(ctr) images mount "$(\(ctr) images list --quiet)" '\(folder)/mount' >/dev/null && \
                cat '\(folder)/mount/srv/www/index.html'; \(ctr) images unmount '\(folder)/mount' >/dev/null
                """)
            #expect(mounted.output == export.page)
            daemon.stop()
            #expect(export.site.leftovers() == [])
        }

        @Test(.enabled(if: Peer.has("podman"), "\(Peer.skipped)"))
        func `podman loads every form of an image`() throws {
            let export = try Export()
            let folder = export.site.folder + "/podman"
            let podman =
                "podman --root '\(folder)/root' --runroot '\(folder)/run' --tmpdir '\(folder)/tmp' "
                + "--storage-driver overlay"
            for format in ["oci-archive", "docker-archive"] {
                let pulled = shell("\(podman) pull --quiet \(format):'\(try export.archive(format))'")
                #expect(pulled.status == 0, "\(format): \(pulled.output)")
                let id = pulled.output.split(separator: "\n").last.map(String.init) ?? ""
                let inspected = shell("\(podman) image inspect \(id) --format '\(Export.format)'")
                #expect(inspected.output == export.summary, "\(format)")
                let mounted = shell(
                    """
                    cat "$(\(podman) image mount \(id))/srv/www/index.html"; \
                    \(podman) image unmount \(id) >/dev/null; \(podman) image rm --force \(id) >/dev/null
                    """)
                #expect(mounted.output == export.page, "\(format)")
            }
            #expect(export.site.leftovers() == [])
        }

        @Test(.enabled(if: Peer.has("dockerd") && Peer.has("docker"), "\(Peer.skipped)"))
        func `docker loads an image`() throws {
            let export = try Export()
            let archive = try export.archive("docker-archive")
            let folder = export.site.folder + "/docker"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            try "{}".write(toFile: folder + "/daemon.json", atomically: true, encoding: .utf8)
            let docker = "docker --host 'unix://\(folder)/socket'"
            // Where it finds reason to, it mounts its folder on itself, and leaves that: with a namespace it goes.
            let daemon = try Peer.Daemon(
                "unshare",
                [
                    "--mount", "dockerd", "--config-file", folder + "/daemon.json", "--data-root",
                    folder + "/data", "--exec-root", folder + "/exec", "--pidfile", folder + "/pid", "--host",
                    "unix://\(folder)/socket", "--bridge=none", "--iptables=false", "--ip-forward=false",
                    "--ip-masq=false",
                ], log: folder + "/log", probe: docker + " version")
            let loaded = shell("\(docker) load --quiet --input '\(archive)'")
            #expect(loaded.status == 0, "\(loaded.output)")
            let id = shell("\(docker) images --quiet").output.trimmingCharacters(in: .whitespacesAndNewlines)
            let inspected = shell("\(docker) image inspect \(id) --format '\(Export.format)'")
            #expect(inspected.output == export.summary)
            let copied = shell(
                """
                \(docker) create --name site --network none \(id) >/dev/null && \
                \(docker) cp site:/srv/www/index.html - | tar --extract --to-stdout; \(docker) rm site >/dev/null
                """)
            #expect(copied.output == export.page)
            daemon.stop()
            #expect(export.site.leftovers() == [])
        }

        @Test(.enabled(if: Peer.has("pyspdxtools"), "\(Peer.skipped)"))
        func `spdx-tools finds nothing wrong in a bill of materials`() throws {
            let export = try Export()
            let path = "\(export.site.folder)/bill.spdx.json"
            #expect(
                try export.site.kiln("image", "sbom", "hello", "--format", "spdx", "--to", path).status == 0)
            let tool = try #require(Peer.find("pyspdxtools"))
            let valid = shell("'\(tool)' --infile '\(path)'")
            #expect(valid.status == 0, "\(valid.output)")
            // It would see a fault.
            shell("sed -i 's/\"dataLicense\":\"CC0-1.0\"/\"dataLicense\":\"MIT\"/' '\(path)'")
            #expect(shell("'\(tool)' --infile '\(path)'").status != 0)
        }

        @Test(.enabled(if: Peer.has("syft"), "\(Peer.skipped)"))
        func `syft finds the packages of the lock in an image, and no others`() throws {
            let export = try Export()
            let archive = try export.archive("oci-archive")
            let tool = try #require(Peer.find("syft"))
            let result = shell(
                "SYFT_CHECK_FOR_APP_UPDATE=false '\(tool)' scan --quiet --output json 'oci-archive:\(archive)'"
            )
            #expect(result.status == 0, "\(result.output)")
            struct Report: Decodable {
                struct Artifact: Decodable {
                    var name: String
                    var version: String
                    var type: String
                }
                struct Distribution: Decodable {
                    var id: String
                    var versionID: String
                }
                var artifacts: [Artifact]
                var distro: Distribution
            }
            let report = try JSONDecoder().decode(Report.self, from: Data(result.output.utf8))
            let found = report.artifacts.filter { $0.type == "deb" }.map { "\($0.name) \($0.version)" }
            #expect(found.sorted() == (try export.lockedPackages()))
            #expect(report.distro.id == "debian" && report.distro.versionID == "12")
        }
    }
}
