import ImageFormat
import Model
import Testing
import TestKit

@testable import Baking

struct PackageSolverTests {
    @Test(arguments: [
        ("NEWSIG|GOODSIG A x|VALIDSIG F 1 2 3 4 5 6 7 8 \(key(1))", [key(1)]),
        ("NEWSIG|ERRSIG A|NO_PUBKEY A|NEWSIG|GOODSIG B x|VALIDSIG F 1 \(key(2))", [key(2)]),
        ("NEWSIG|EXPKEYSIG A x|VALIDSIG F 1 \(key(1))", []),
        ("NEWSIG|REVKEYSIG A x|VALIDSIG F 1 \(key(1))", []),
        ("NEWSIG|GOODSIG A x|VALIDSIG F 1 \(key(1))|NEWSIG|BADSIG B x", []), ("", []),
    ])
    func `only signatures that are good now count`(lines: String, keys: [String]) {
        let status = lines.split(separator: "|").map { "[GNUPG:] \($0)\n" }.joined()
        #expect(ReleaseCheck.goodKeys(status) == keys)
    }

    private static func key(_ digit: Int) -> String { String(repeating: String(digit), count: 40) }

    @Test func `apt's complaints become failures with names`() {
        let text = """
            E: Unable to locate package ngnix
            E: Version '9' for 'redis' was not found
            E: Package 'awk' has no installation candidate
            """
        let complaints = AptComplaint.unknownPackages(text)
        #expect(complaints.map(\.name) == ["ngnix", "redis", "awk"])
        #expect(complaints.map(\.isVersion) == [false, true, false])
        #expect(AptComplaint.ofUpdate("W: GPG error: x: NO_PUBKEY 12").code == .badSignature)
        #expect(
            AptComplaint.ofUpdate("E: Failed to fetch http://x  Connection refused").code
                == .archiveUnreachable)
        #expect(AptComplaint.ofUpdate("E: write - No space left on device").code == .diskFull)
        #expect(
            AptComplaint.ofUpdate("E: Release file for x is expired").suggestion?.contains("mirror") == true)
    }

    @Test(arguments: [
        ("ngnix", ["nginx"]), ("nginx-lihgt", ["nginx-light"]), ("postgresq", ["postgresql"]), ("zzzzzz", []),
    ])
    func `near names are offered`(name: String, expected: [String]) {
        let known = ["nginx", "nginx-light", "nginx-common", "postgresql", "redis", "zsh"]
        #expect(CloseNames.of(name, among: known).prefix(1) == expected.prefix(1))
    }

    private func recipe(_ source: ArchiveSource) throws -> Recipe {
        Recipe(
            distribution: try .init(parsing: "debian/bookworm"), sources: [source],
            packages: [try .init(parsing: "nginx-light")], command: ["x"])
    }

    @Test func `an archive that is down is told in the mirror's own words`() async throws {
        let folder = try TemporaryFolder()
        let store = try FolderStore(folder.path + "/store")
        let recipe = try recipe(
            ArchiveSource(uri: "http://127.0.0.1:1/debian", suites: ["bookworm"], components: ["main"]))
        let found = await failures { _ = try await PackageSolver(store: store).lock(recipe) }
        #expect(found.map(\.code) == [.archiveUnreachable])
        #expect(found.first?.message.contains("127.0.0.1") == true)
    }

    @Test func `an archive that nobody signed is refused`() async throws {
        let folder = try TemporaryFolder()
        let store = try FolderStore(folder.path + "/store")
        try folder.write("debian/dists/bookworm/main/binary-amd64/Packages", "")
        try folder.write(
            "debian/dists/bookworm/InRelease", "Suite: bookworm\nCodename: bookworm\nComponents: main\n")
        let recipe = try recipe(
            ArchiveSource(uri: "file:\(folder.path)/debian", suites: ["bookworm"], components: ["main"]))
        let found = await failures { _ = try await PackageSolver(store: store).lock(recipe) }
        #expect(found.map(\.code) == [.badSignature])
    }

    @Test func `the host's archive gives a lock without a host name, and the image of it runs`() async throws
    {
        let folder = try TemporaryFolder()
        let store = try FolderStore(folder.path + "/store")
        let recipe = Recipe(
            distribution: try .init(parsing: "debian/bookworm"), packages: [try .init(parsing: "busybox")],
            command: ["busybox", "sh"])
        let solver = PackageSolver(store: store)
        let lock = try await solver.lock(recipe)
        #expect(lock.packages.map(\.name).contains("busybox"))
        #expect(lock.archives.allSatisfy { $0.signedBy.utf8.count == 40 })
        #expect(!LockFile.text(lock).contains("://"))
        let baker = ImageBaker(store: store, clock: { Instant(milliseconds: 0) })
        let result = try await baker.bake(
            recipe, specFolder: folder.path, lock: lock, service: try ServiceName("busybox"))
        #expect(result.warnings.isEmpty)
        let found = await failures {
            var wrong = recipe
            wrong.packages = [try .init(parsing: "busybx"), try .init(parsing: "busybox=0")]
            _ = try await solver.lock(wrong)
        }
        #expect(found.map(\.code) == [.packageUnknown, .packageUnknown])
        #expect(found.contains { $0.suggestion?.contains("busybox") == true })
    }
}
