import Foundation
import ImageFormat
import Model
import TestKit
import Testing

@testable import Baking

/// Damage that a seed draws: whatever comes from outside is read to its end or refused, and nothing crashes or hangs.
@Suite struct HostileInputTests {
    private static let seeds = 0..<3000

    /// `bytes` with a few of them changed, repeated, moved or gone.
    private static func damaged(_ bytes: [UInt8], seed: Int) -> [UInt8] {
        var generator = SeededGenerator(seed: UInt64(seed))
        func next(_ count: Int) -> Int { Int.random(in: 0..<max(1, count), using: &generator) }
        var result = bytes
        for _ in 0...next(4) where !result.isEmpty {
            let place = next(result.count)
            let end = min(result.count, place + 1 + next(64))
            switch next(6) {
            case 0: result[place] = UInt8(next(256))
            case 1: result[place] ^= 1 << UInt8(next(8))
            case 2: result.removeSubrange(place..<end)
            case 3: result.insert(contentsOf: result[place..<end], at: next(result.count))
            case 4: result.removeLast(result.count - place)
            // Digits become other digits: sizes and counts are what readers trust.
            default:
                for index in place..<end where (0x30...0x39).contains(result[index]) {
                    result[index] = 0x30 + UInt8(next(10))
                }
            }
        }
        return result
    }

    private static func refusedOrRead(_ body: () throws -> Void) {
        do { try body() } catch is Failure {} catch is Failures {} catch {
            Issue.record("it is refused without a reason for people: \(error)")
        }
    }

    @Test func `damaged packages`() throws {
        var maker = PackageMaker("tool")
        maker.scripts["postinst"] = "#!/bin/sh\nset -e\nmkdir -p /srv/x\n"
        maker.file("usr/bin/tool", String(repeating: "x", count: 700), mode: 0o755)
        maker.link("usr/bin/alias", to: "usr/bin/tool", isHard: true)
        let folder = try TemporaryFolder()
        for seed in Self.seeds {
            let path = try folder.write("x.deb", Self.damaged(maker.bytes, seed: seed))
            Self.refusedOrRead {
                let deb = try DebArchive(MappedBytes(file: path), place: "x", spoolFolder: folder.path)
                _ = deb.text("postinst")
                let data = try deb.unpackData(spoolFolder: folder.path)
                _ = try PackageContent(data, place: "x").items
            }
        }
    }

    @Test func `damaged control paragraphs`() {
        let text = "Package: a\nVersion: 1.0\n# note\nDepends: b (>= 1), c | d\n more\n .\n\nPackage: b\n"
        for seed in Self.seeds {
            let bytes = Self.damaged(Array(text.utf8), seed: seed)
            Self.refusedOrRead {
                for paragraph in try ControlParagraph.parse(
                    String(decoding: bytes, as: UTF8.self), place: "x")
                {
                    _ = (paragraph.packageNames("Depends"), paragraph.statusEntry)
                }
            }
        }
    }

    @Test func `damaged locks`() throws {
        let text = LockFile.text(try PackageMaker.lock(PackageMaker.small, requested: ["server"]))
        for seed in Self.seeds {
            let bytes = Self.damaged(Array(text.utf8), seed: seed)
            Self.refusedOrRead { _ = try LockFile.parse(bytes, place: "x") }
        }
    }

    @Test func `damaged maintainer scripts, taken from this host`() throws {
        let folder = "/var/lib/dpkg/info"
        let names = try FileManager.default.contentsOfDirectory(atPath: folder).filter {
            $0.hasSuffix(".postinst")
        }.sorted()
        try #require(!names.isEmpty)
        for seed in Self.seeds {
            let name = names[seed % names.count]
            let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name)")))
            let script = String(decoding: Self.damaged(bytes, seed: seed), as: UTF8.self)
            var effects = Effects(
                tree: EffectTree(base: try ImageTree([]) { _, _ in [] }, modifiedAt: 0),
                accounts: AccountRequests(knownUsers: [], knownGroups: []))
            _ = ScriptEvaluator.run(
                script, arguments: ["configure", ""], environment: [:], answers: [:], covered: [],
                effects: &effects)
        }
    }
}
