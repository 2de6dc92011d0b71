import Model
import Testing
import TestKit

@testable import Baking

struct LockFileTests {
    private func lock() throws -> Lock {
        Lock(
            distribution: try .init(parsing: "debian/bookworm"), architecture: .amd64, base: .minimal,
            requested: [try .init(parsing: "nginx-light"), try .init(parsing: "tzdata=2024a-0")],
            archives: [
                Lock.Archive(
                    name: "debian", suite: "bookworm",
                    release: try Digest(hex: String(repeating: "a", count: 64)),
                    signedBy: String(repeating: "F", count: 40))
            ],
            packages: [
                Lock.Package(
                    name: "libc6", version: "2.36-9+deb12u10", architecture: "amd64", archive: "debian",
                    path: "pool/main/g/glibc/libc6_2.36_amd64.deb", size: 12,
                    sha256: try Digest(hex: String(repeating: "b", count: 64)))
            ], layers: [["libc6"]], accounts: ["redis": 101], tools: ["layers": 3])
    }

    @Test func `a lock reads back as it was written`() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/kiln.lock"
        try LockFile.write(try lock(), to: path)
        #expect(try LockFile.read(path) == lock())
        #expect(LockFile.text(try LockFile.read(path)) == LockFile.text(try lock()))
    }

    @Test func `modes of scripts are in a lock where they are not the usual, and read back`() throws {
        var lock = try lock()
        #expect(!LockFile.text(lock).contains("scripts"))
        lock.scripts = ScriptRules(
            others: .refused,
            packages: [
                "squid": ScriptRule(.traced), "chrony": ScriptRule(.traced, allow: ["/a", "/b"]),
                "dovecot-core": ScriptRule(.effects),
            ])
        let text = LockFile.text(lock)
        #expect(
            text.contains(
                """
                  "scripts": {
                    "chrony": {"allow": ["/a", "/b"], "mode": "traced"},
                    "default": "refused",
                    "dovecot-core": "effects",
                    "squid": "traced"
                  },

                """))
        #expect(try LockFile.parse(Array(text.utf8), place: "x") == lock)
        for wrong in [
            "\"squid\": \"run\"", "\"s quid\": \"traced\"", "\"squid\": 1",
            "\"squid\": {\"mode\": \"traced\"}",
        ] {
            let damaged = text.replacing("\"squid\": \"traced\"", with: wrong)
            #expect(throws: (any Error).self) { try LockFile.parse(Array(damaged.utf8), place: "x") }
        }
    }

    @Test func `a lock is stale where the recipe treats scripts in another way, whatever the reason`() throws
    {
        var recipe = Recipe(
            distribution: try .init(parsing: "debian/bookworm"), architecture: .amd64,
            packages: try lock().requested, command: ["x"])
        recipe.scripts.packages["libc6"] = ScriptRule(.effects, reason: "as all others")
        #expect(try lock().staleness(for: recipe) == nil)
        recipe.scripts.packages["libc6"] = ScriptRule(.traced, reason: "one")
        #expect(try lock().staleness(for: recipe)?.contains("scripts") == true)
        var locked = try lock()
        locked.scripts.packages["libc6"] = ScriptRule(.traced)
        #expect(locked.staleness(for: recipe) == nil)
    }

    @Test func `each package is one line`() throws {
        let lines = LockFile.text(try lock()).split(separator: "\n")
        #expect(lines.filter { $0.contains("libc6_2.36_amd64.deb") }.count == 1)
    }

    @Test(arguments: [
        ("\"size\": 12", "\"size\": -1", 16), ("\"version\": 2", "\"version\": 9", 25),
        ("pool/main", "../../etc", 16), ("bbbb", "zzzz", 16), ("debian/bookworm", "plan9", 10),
        ("\"base\"", "\"bass\"", 9), ("nginx-light", "nginx light", 19), ("[", "", 8),
        ("\"redis\": 101", "\"redis\": 0", 3), ("\"redis\": 101", "\"redis\": \"x\"", 3),
        ("[\"libc6\"]", "[]", 13), ("[\"libc6\"]", "[\"libc7\"]", 13),
        ("[\"libc6\"]", "[\"libc6\", \"libc6\"]", 13), ("\"layerBudget\": 32", "\"layerBudget\": 400", 11),
    ])
    func `damage is named with its line`(old: String, new: String, line: Int) async throws {
        let text = LockFile.text(try lock())
        let range = try #require(text.firstRange(of: old))
        let damaged = text[..<range.lowerBound] + new + text[range.upperBound...]
        let found = await failures { _ = try LockFile.parse(Array(damaged.utf8), place: "kiln.lock") }
        #expect(found.map(\.code) == [.invalidArgument])
        #expect(found.first?.place == "kiln.lock:\(line)")
    }

    @Test func `every beginning of a lock is refused and none crashes`() async throws {
        let bytes = Array(LockFile.text(try lock()).utf8)
        for count in stride(from: 0, to: bytes.count - 2, by: 7) {
            let found = await failures { _ = try LockFile.parse(Array(bytes.prefix(count)), place: "x") }
            #expect(found.count == 1)
        }
    }

    @Test func `a lock is stale where the recipe asks for something else`() async throws {
        var recipe = Recipe(
            distribution: try .init(parsing: "debian/bookworm"), architecture: .amd64,
            packages: [try .init(parsing: "tzdata=2024a-0"), try .init(parsing: "nginx-light")],
            command: ["x"])
        #expect(try lock().staleness(for: recipe) == nil)
        recipe.packages.append(try .init(parsing: "curl"))
        #expect(try lock().staleness(for: recipe)?.contains("+curl") == true)
        let found = await failures { try lock().expectFresh(for: recipe) }
        #expect(found.map(\.code) == [.lockStale])
        recipe = Recipe(
            distribution: try .init(parsing: "debian/trixie"), architecture: .amd64, command: ["x"])
        #expect(try lock().staleness(for: recipe)?.contains("trixie") == true)
    }

    @Test func `a missing lock says how to make one`() async {
        let found = await failures { _ = try LockFile.read("/nonexistent/kiln.lock") }
        #expect(found.map(\.code) == [.fileMissing])
    }
}
