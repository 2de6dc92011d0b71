import Glibc
import Model
import TestKit

@testable import Baking

/// apt itself, set up by hand for an empty system: what the solver's answers are held against. Nothing of the solver
/// is used but the way to run a program.
struct PlainApt {
    private let folder: String

    private enum Limit {
        static let update = Span.seconds(600)
        static let query = Span.seconds(120)
    }

    /// Reads the lists of the host's archives of one suite, as the host's apt names them.
    init(folder: String, suite: String) async throws {
        self.folder = folder
        for name in ["lists/partial", "cache/archives/partial", "parts"] {
            try HostFiles.makeFolder("\(folder)/\(name)")
        }
        try HostFiles.put(folder + "/status", [])
        // Images have a merged /usr from the start, so the solver never takes the package that converts one.
        let preferences = "Package: usrmerge\nPin: release *\nPin-Priority: -1\n"
        try HostFiles.put(folder + "/preferences", Array(preferences.utf8))
        let format = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
        let targets = try await CommandRunner.run(
            Command("apt-get", ["indextargets", "--format", format, "Created-By: Packages"]), package: "apt",
            timeout: Limit.query)
        let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
        let sources = targets.out.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
        let own = sources.filter { $0.count == 3 && ($0[1] == suite || $0[1].hasPrefix(suite + "-")) }
        let lines = own.map { "deb [signed-by=\(keyring)] " + $0.joined(separator: " ") + "\n" }
        try HostFiles.put(folder + "/sources.list", Array(lines.joined().utf8))
        let updated = try await run("apt-get", ["update"], timeout: Limit.update)
        guard !own.isEmpty, updated.status == 0 else {
            throw Failure(.archiveUnreachable, "apt-get update: \(lines) \(updated.err)")
        }
    }

    /// Packages that can be installed, sorted; and names that others ask for and no package has.
    func names() async throws -> (real: [String], hollow: [String]) {
        let records = try await run("apt-cache", ["dumpavail"], timeout: Limit.query).out
        let real = Set(
            records.split(separator: "\n").filter { $0.hasPrefix("Package: ") }.map {
                String($0.dropFirst(9))
            })
        let all = try await run("apt-cache", ["pkgnames", "--all-names"], timeout: Limit.query).out
        let hollow = Set(all.split(separator: "\n").map(String.init)).subtracting(real)
        return (real.sorted(), hollow.sorted())
    }

    /// What would be installed for a request, each `name version architecture`; nil where apt refuses it.
    func installed(_ packages: [String]) async throws -> Set<String>? {
        let answer = try await run(
            "apt-get", ["install", "--simulate", "--yes"] + packages, timeout: Limit.query)
        guard answer.status == 0 else { return nil }
        // Inst NAME (VERSION ARCHIVE… [ARCHITECTURE]) …
        return Set(
            answer.out.split(separator: "\n").compactMap { line in
                guard let match = line.firstMatch(of: #/^Inst (\S+) \((\S+) .*\[(\w+)\]\)/#) else {
                    return nil
                }
                return "\(match.1) \(match.2) \(match.3)"
            })
    }

    private func run(_ program: String, _ arguments: [String], timeout: Span) async throws
        -> CommandRunner.Output
    {
        let options = [
            "Dir::State::status=\(folder)/status", "Dir::State::lists=\(folder)/lists",
            "Dir::Cache=\(folder)/cache", "Dir::Etc::sourcelist=\(folder)/sources.list",
            "Dir::Etc::sourceparts=\(folder)/parts", "Dir::Etc::preferences=\(folder)/preferences",
            "Dir::Etc::preferencesparts=\(folder)/parts", "Dir::State::extended_states=\(folder)/extended",
            "Debug::NoLocking=true", "APT::Sandbox::User=root", "APT::Install-Recommends=false",
            "Acquire::Languages=none",
            // Some hosts keep neither; each answer would then take seconds.
            "Dir::Cache::pkgcache=pkgcache.bin", "Acquire::GzipIndexes=false",
        ]
        return try await CommandRunner.run(
            Command(program, options.flatMap { ["--option", $0] } + arguments), package: "apt",
            timeout: timeout)
    }
}
