package import Model

/// Builds an image by buildah, for those who have a Dockerfile and no recipe. Its steps run programs and fetch what
/// they like, so it gives another image each time: it belongs to `kiln lock` and never to a bake.
package struct DockerfileBuild: Sendable {
    private enum Limit {
        static let build = Span.seconds(3600)
        /// Lines of buildah's own words that a failure repeats.
        static let lines = 5
    }

    /// The Dockerfile; what it copies lies in its folder.
    package let file: String
    package let architecture: Architecture
    /// What buildah and the registries that it asks may know of the caller's environment.
    package let environment: [String: String]

    /// Variables that are the caller's own affair: where buildah keeps things, how it isolates, who somebody is.
    package static let variables = [
        "HOME", "BUILDAH_ISOLATION", "STORAGE_DRIVER", "CONTAINERS_STORAGE_CONF", "CONTAINERS_CONF",
        "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "http_proxy", "https_proxy", "no_proxy", "TMPDIR",
    ]

    package init(file: String, architecture: Architecture, environment: [String: String]) {
        self.file = file
        self.architecture = architecture
        self.environment = environment
    }

    /// Makes the image in a new folder in the OCI image layout.
    package func run(into layout: String) async throws {
        guard HostFiles.exists(file) else {
            throw Failure(
                .fileMissing, "there is no such file", at: file, suggestion: "make it, or mend `dockerfile`")
        }
        let output = try await CommandRunner.run(
            Command(
                "buildah",
                [
                    "build", "--timestamp", "0", "--identity-label=false", "--layers=false", "--format",
                    "oci",
                    "--arch", architecture.rawValue, "--tag", "oci:\(layout):built", "--file", file,
                    HostFiles.parent(of: file),
                ],
                environment: Command.plainEnvironment.merging(
                    environment.filter { DockerfileBuild.variables.contains($0.key) }
                ) { $1 }),
            package: "buildah", timeout: Limit.build)
        guard output.status == 0 else {
            let words = (output.out + "\n" + output.err).split(separator: "\n").suffix(Limit.lines)
            throw Failure(
                .commandFailed, "buildah ended with \(output.status): " + words.joined(separator: " · "),
                at: file,
                suggestion:
                    "see all that it says: `buildah build --file \(file) \(HostFiles.parent(of: file))`")
        }
    }
}
