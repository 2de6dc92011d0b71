import Foundation
import Model
import Trust

/// How long it takes to decide whether an image may run, and to keep and check a log of a million entries:
/// in memory, and on the disk of the folder that it is run in.
/// Prints one JSON object: milliseconds by what is done, where the name says nothing else.
@main
struct TrustBenchmark {
    static let rounds = 101
    static let entries = 1_000_000
    static let now = Instant(milliseconds: 1_700_000_000_000)

    static func main() async throws {
        if CommandLine.arguments.count == 3 {
            return try await LedgerBenchmark.run(CommandLine.arguments[1], CommandLine.arguments[2])
        }
        let folder = FileManager.default.currentDirectoryPath + "/trust-benchmark-\(getpid())"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let launches = try await LaunchBenchmark.run(in: folder, rounds: rounds, now: now).sorted()
        try measureAll(folder, ["\"decide at a launch\": \(launches[rounds / 2])"])
    }

    private static func measureAll(_ folder: String, _ first: [String]) throws {
        var lines = first
        func measure(_ name: String, rounds: Int = 1, _ body: () throws -> Void) rethrows {
            let clock = ContinuousClock()
            var times: [Duration] = []
            for _ in 0..<rounds {
                let start = clock.now
                try body()
                times.append(clock.now - start)
            }
            times.sort()
            let middle = times[rounds / 2].components
            let milliseconds =
                Double(middle.seconds) * 1000 + Double(middle.attoseconds / 1_000_000_000_000) / 1000
            lines.append("\"\(name)\": \(milliseconds)")
        }

        let image = Digest.sha256(of: Array("image".utf8))
        let key = try SigningKey(generating: .build)
        let policy = TrustPolicy(keys: [TrustedKey(name: "ci", publicKey: key.publicKey, role: .build)])
        let statement = Statement(
            subjects: [.init(name: "", digest: image)], predicateType: .signature, predicate: .object([:]))
        let bundle = Evidence.bundle(try SigstoreBundle(statement, signedWith: key).bytes)
        try measure("sign", rounds: rounds) { _ = try SigstoreBundle(statement, signedWith: key) }
        measure("decide", rounds: rounds) {
            guard case .accepted = policy.decide(image: image, evidence: [bundle], now: now) else {
                preconditionFailure("a good signature is accepted")
            }
        }

        let feed = FaultFeedSample.tracker()
        let reader = try FeedReader(
            packages: FaultFeedSample.installed, distribution: ImageDistribution(id: "debian", version: "12"))
        var faults: [KnownFault] = []
        try measure("read a feed of \(feed.count >> 20) MiB", rounds: 3) {
            faults = try reader.read(feed, writtenAt: now).faults
        }
        let rule = VulnerabilityRule(feed: "", atLeast: .high)
        measure("judge \(faults.count) faults", rounds: rounds) {
            precondition(
                rule.verdict(on: FaultFeedSample.installed, faults: faults, now: now).refused.count
                    == faults.count)
        }

        var frontier = MerkleFrontier()
        var levels: [[MerkleHash]] = []
        measure("append \(entries)") {
            for number in 0..<entries {
                frontier.append(MerkleHash(leaf: Array("entry \(number)".utf8))) { node, hash in
                    if node.level == levels.count { levels.append([]) }
                    levels[node.level].append(hash)
                }
            }
        }
        let kept = levels
        let tree = MerkleTree(size: entries) { kept[$0.level][$0.index] }
        var proof: [MerkleHash] = []
        try measure("prove inclusion", rounds: rounds) { proof = try tree.inclusion(of: entries / 3) }
        measure("check inclusion", rounds: rounds) {
            precondition(
                MerkleProof.includes(
                    kept[0][entries / 3], at: entries / 3, size: entries, root: frontier.root, proof: proof))
        }
        try measure("prove consistency", rounds: rounds) { proof = try tree.consistency(since: entries / 3) }
        for part in ["append", "single", "prove", "verify"] {
            for (name, value) in try LedgerBenchmark.part(part, folder) {
                lines.append("\"\(name)\": \(value)")
            }
        }
        print("{" + lines.joined(separator: ", ") + "}")
    }
}
