import Model

/// What the suites of security updates have, package by package.
struct SecurityVersions {
    private struct Row {
        var version: DebianVersion
        var text: String
        var suite: String
    }

    private var rows: [String: [Row]] = [:]

    /// Throws where none of the archives says which packages are security updates.
    static func expectSuite(in sources: AptSources) throws {
        let suites = sources.all.flatMap(\.suites)
        guard !suites.contains(where: Lock.Archive.isOfSecurity) else { return }
        throw Failure(
            .invalidArgument,
            "none of the archives brings security updates in a suite of their own, so nobody can tell them from "
                + "others (\(suites.joined(separator: ", ")))", at: "image.sources",
            suggestion:
                "add the suite that has them, such as \(suites.first ?? "bookworm")-security; or name "
                + "packages: `kiln lock --update openssl`")
    }

    /// Asks apt which suite has which version.
    static func find(_ names: [String], _ workspace: AptWorkspace) async throws -> SecurityVersions {
        guard !names.isEmpty else { return SecurityVersions() }
        let output = try await workspace.run("apt-cache", ["madison"] + names)
        guard output.status == 0 else { throw AptComplaint.ofUpdate(output.err) }
        return SecurityVersions(output.out)
    }

    private init() {}

    /// Reads rows such as `openssl | 3.0.2-1 | http://archive.example/ubuntu jammy-security/main amd64 Packages`.
    init(_ madison: String) {
        for line in madison.split(separator: "\n") {
            let fields = line.split(separator: "|").map { $0.split(separator: " ") }
            guard fields.count == 3, let name = fields[0].first, let version = fields[1].first,
                fields[2].count >= 2, let slash = fields[2][1].lastIndex(of: "/")
            else { continue }
            let suite = String(fields[2][1][..<slash])
            guard Lock.Archive.isOfSecurity(suite) else { continue }
            rows[String(name), default: []].append(
                Row(version: DebianVersion(String(version)), text: String(version), suite: suite))
        }
    }

    /// Whether there is a security update of a package newer than this version.
    func isInsecure(_ name: String, _ version: String) -> Bool {
        rows[name]?.contains { DebianVersion(version) < $0.version } ?? false
    }

    /// The suite of security updates that has exactly this version.
    func suite(of package: Lock.Package) -> String? {
        rows[package.name]?.first { $0.text == package.version }?.suite
    }
}
