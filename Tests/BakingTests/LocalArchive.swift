import Foundation
import ImageFormat
import Model
import TestKit

@testable import Baking

/// An archive of packages in a folder, signed with a key of its own, as apt reads it by `file:`.
struct LocalArchive {
    let folder: String
    let suite: String
    let keyring: String

    /// The key that tests sign with; it lives as long as `folder`.
    static func makeKey(in folder: String) async throws -> String {
        let home = folder + "/gnupg"
        try FileManager.default.createDirectory(
            atPath: home, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        let gpg = [
            "--homedir", home, "--batch", "--quiet", "--passphrase", "", "--pinentry-mode", "loopback",
        ]
        try await run(
            "gpg", gpg + ["--quick-generate-key", "Tests <tests@kiln.example>", "ed25519", "sign", "never"])
        try await run("gpg", gpg + ["--output", folder + "/key.gpg", "--export"])
        return folder + "/key.gpg"
    }

    /// Ends the agent that gpg started.
    static func forgetKey(in folder: String) async throws {
        try await run("gpgconf", ["--homedir", folder + "/gnupg", "--kill", "all"])
    }

    private static func run(_ program: String, _ arguments: [String]) async throws {
        let output = try await CommandRunner.run(
            Command(program, arguments), package: "gnupg", timeout: .seconds(60))
        guard output.status == 0 else { throw Failure(.commandFailed, "\(program): \(output.err)") }
    }

    var source: ArchiveSource {
        ArchiveSource(uri: "file:\(folder)", suites: [suite], components: ["main"], signedBy: keyring)
    }

    /// Puts these packages into the archive, and nothing else.
    func publish(_ packages: [PackageMaker]) async throws {
        let lists = "\(folder)/dists/\(suite)"
        let index = "main/binary-\(Architecture.native.rawValue)/Packages"
        try HostFiles.makeFolder(HostFiles.parent(of: "\(lists)/\(index)"))
        var rows = ""
        for package in packages {
            let path = "pool/\(package.name)_\(package.version)_all.deb"
            let bytes = package.bytes
            try HostFiles.makeFolder("\(folder)/pool")
            try HostFiles.put("\(folder)/\(path)", bytes)
            rows += "Package: \(package.name)\nVersion: \(package.version)\nArchitecture: all\n"
            rows += package.fields.map { $0 + "\n" }.joined()
            rows += "Filename: \(path)\nSize: \(bytes.count)\nSHA256: \(Digest.sha256(bytes).hex)\n"
            rows += "Description: a test\n\n"
        }
        try HostFiles.put("\(lists)/\(index)", rows.utf8)
        let release = """
            Suite: \(suite)
            Codename: \(suite)
            Date: Sat, 21 Nov 2026 00:00:00 UTC
            Architectures: \(Architecture.native.rawValue)
            Components: main
            SHA256:
             \(Digest.sha256(Array(rows.utf8)).hex) \(rows.utf8.count) \(index)

            """
        try HostFiles.put("\(lists)/Release", release.utf8)
        try? FileManager.default.removeItem(atPath: "\(lists)/InRelease")
        let home = HostFiles.parent(of: keyring) + "/gnupg"
        try await LocalArchive.run(
            "gpg",
            [
                "--homedir", home, "--batch", "--quiet", "--output", "\(lists)/InRelease", "--clearsign",
                "\(lists)/Release",
            ])
        try FileManager.default.removeItem(atPath: "\(lists)/Release")
    }
}
