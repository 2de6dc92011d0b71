import Foundation
import Model
import Testing
import TestKit

@testable import Baking

/// Locks that are updated against a real archive, solved by apt and signed by gpg.
@Suite struct LockUpdateTests {
    private static let base = ["base-files", "base-passwd", "libc-bin"]

    private static func package(_ name: String, _ version: String, _ fields: String...) -> PackageMaker {
        var package = PackageMaker(name)
        package.version = version
        package.fields = fields
        return package
    }

    /// Archives as they are at first, and the lock that was made then.
    private struct World {
        let folder: TemporaryFolder
        let main: LocalArchive
        let security: LocalArchive
        let solver: PackageSolver
        let recipe: Recipe
        let first: Lock

        func lock(_ what: PackageSolver.Update) async throws -> [String: String] {
            let lock = try await solver.lock(recipe, updating: (first, what))
            return Dictionary(uniqueKeysWithValues: lock.packages.map { ($0.name, $0.version) })
                .filter { !LockUpdateTests.base.contains($0.key) }
        }
    }

    /// web needs tls, tls is found insecure; cache has nothing to do with them.
    private static let before = [
        package("web", "1.0-1", "Depends: tls"), package("tls", "3.0.15-1"), package("cache", "7.0-1"),
    ]

    private func inWorld(_ body: (World) async throws -> Void) async throws {
        let folder = try TemporaryFolder()
        let keyring = try await LocalArchive.makeKey(in: folder.path)
        let main = LocalArchive(folder: folder.path + "/debian", suite: "bookworm", keyring: keyring)
        let security = LocalArchive(
            folder: folder.path + "/debian-security", suite: "bookworm-security", keyring: keyring)
        let base = Self.base.map { Self.package($0, "1") }
        try await main.publish(base + Self.before)
        try await security.publish([])
        let recipe = Recipe(
            distribution: try .init(parsing: "debian/bookworm"), sources: [main.source, security.source],
            packages: [try .init(parsing: "web"), try .init(parsing: "cache")], command: ["web"])
        let solver = PackageSolver(store: try FolderStore(folder.path + "/store"))
        let first = try await solver.lock(recipe)
        try await main.publish(
            base + Self.before + [
                Self.package("web", "1.1-1", "Depends: tls, extra"), Self.package("extra", "1"),
                Self.package("cache", "7.2-1"),
            ])
        try await security.publish([Self.package("tls", "3.0.16-1")])
        try await body(
            World(
                folder: folder, main: main, security: security, solver: solver, recipe: recipe, first: first))
        try await LocalArchive.forgetKey(in: folder.path)
    }

    @Test func `only what was named changes, and what it newly needs; or what is insecure; or all`()
        async throws
    {
        try await inWorld { world in
            let first = Dictionary(uniqueKeysWithValues: world.first.packages.map { ($0.name, $0.version) })
            #expect(
                first.filter { !Self.base.contains($0.key) } == [
                    "web": "1.0-1", "tls": "3.0.15-1", "cache": "7.0-1",
                ])
            #expect(
                try await world.lock(.only(["cache"])) == [
                    "web": "1.0-1", "tls": "3.0.15-1", "cache": "7.2-1",
                ])
            #expect(
                try await world.lock(.only(["web"]))
                    == ["web": "1.1-1", "tls": "3.0.15-1", "cache": "7.0-1", "extra": "1"])
            #expect(try await world.lock(.security) == ["web": "1.0-1", "tls": "3.0.16-1", "cache": "7.0-1"])
            #expect(
                try await world.lock(.all)
                    == ["web": "1.1-1", "tls": "3.0.16-1", "cache": "7.2-1", "extra": "1"])
            let newest = try await world.solver.lock(world.recipe)
            #expect(
                LockChanges(from: world.first, to: newest).changes.map(\.description) == [
                    "cache 7.0-1 → 7.2-1", "+ extra 1", "tls 3.0.15-1 → 3.0.16-1, security",
                    "web 1.0-1 → 1.1-1",
                ])
        }
    }

    /// As Ubuntu has it: one archive with the suites of all kinds, and a fix in two of them.
    @Test func `a suite of security updates counts in an archive that has others too`() async throws {
        let folder = try TemporaryFolder()
        let keyring = try await LocalArchive.makeKey(in: folder.path)
        let suites = ["jammy", "jammy-updates", "jammy-security"].map {
            LocalArchive(folder: folder.path + "/ubuntu", suite: $0, keyring: keyring)
        }
        let base = Self.base.map { Self.package($0, "1") }
        try await suites[0].publish(base + Self.before)
        try await suites[1].publish([])
        try await suites[2].publish([])
        var source = suites[0].source
        source.suites = suites.map(\.suite)
        var recipe = Recipe(
            distribution: try .init(parsing: "ubuntu/jammy"), sources: [source],
            packages: [try .init(parsing: "web"), try .init(parsing: "cache")], command: ["web"])
        let solver = PackageSolver(store: try FolderStore(folder.path + "/store"))
        let first = try await solver.lock(recipe)
        #expect(first.packages.allSatisfy { $0.suite == nil })
        // A fix of tls, which the updates have too; one of web that a later update contains.
        try await suites[1].publish([
            Self.package("tls", "3.0.16-1"), Self.package("web", "1.2-1", "Depends: tls"),
            Self.package("cache", "7.2-1"),
        ])
        try await suites[2].publish([
            Self.package("tls", "3.0.16-1"), Self.package("web", "1.1-1", "Depends: tls"),
        ])
        let lock = try await solver.lock(recipe, updating: (first, .security))
        let versions = lock.packages.filter { !Self.base.contains($0.name) }.map {
            "\($0.name) \($0.version)"
        }
        #expect(versions == ["cache 7.0-1", "tls 3.0.16-1", "web 1.2-1"])
        #expect(lock.packages.filter { $0.suite != nil }.map(\.name) == ["tls"])
        #expect(try LockFile.parse(Array(LockFile.text(lock).utf8), place: "kiln.lock") == lock)
        #expect(
            LockChanges(from: first, to: lock).changes.map(\.description) == [
                "tls 3.0.15-1 → 3.0.16-1, security", "web 1.0-1 → 1.2-1",
            ])
        source.suites = ["jammy", "jammy-updates"]
        recipe.sources = [source]
        let found = await failures { [recipe] in
            _ = try await solver.lock(recipe, updating: (first, .security))
        }
        #expect(found.map(\.code) == [.invalidArgument])
        #expect(found.first?.suggestion?.contains("jammy-security") == true)
        try await LocalArchive.forgetKey(in: folder.path)
    }

    @Test func `what the archive dropped cannot be kept, and is named`() async throws {
        try await inWorld { world in
            try await world.main.publish(
                Self.base.map { Self.package($0, "1") } + [
                    Self.package("web", "1.1-1", "Depends: tls"), Self.package("cache", "7.2-1"),
                ])
            let found = await failures { _ = try await world.lock(.only(["cache"])) }
            #expect(found.map(\.code) == [.notFound, .notFound])
            #expect(
                found.map(\.message).sorted() == [
                    "tls 3.0.15-1 is not in the archive any more, which has 3.0.16-1",
                    "web 1.0-1 is not in the archive any more, which has 1.1-1",
                ])
            #expect(found.first?.suggestion == "update it too: `--update tls web`")
        }
    }
}
