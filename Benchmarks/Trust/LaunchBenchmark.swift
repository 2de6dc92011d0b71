import CommandLineTool
import Execution
import Foundation
import Logging
import Model
import Ports
import Storage
import Trust

/// The decision at a launch, from real files: the policy, the ring of keys, what lies beside the image in the store.
enum LaunchBenchmark {
    private static let materials = 150

    /// Reads the files at each question, as the daemon does.
    private struct Files: HostTrust {
        let root: String

        func rules() throws -> HostRules {
            let ring = try KeyFolder(path: root + "/keys").ring()
            return HostRules(
                policy: try PolicyReader.host(root: root, ring: ring), policyDigest: .sha256(of: []),
                ring: ring)
        }
    }

    private struct NoFaults: FaultSource {
        func known(of image: Digest, _ feeds: [String]) async -> KnownFaults {
            KnownFaults(packages: [], feeds: [:])
        }
    }

    private struct NoLedger: Ledger {
        func append(_ entries: [LedgerEntry]) async throws -> Int { 0 }
    }

    /// Milliseconds of each round.
    static func run(in root: String, rounds: Int, now: Instant) async throws -> [Double] {
        let store = try ContentStore(root + "/store")
        let key = try SigningKey(generating: .build)
        var ring = KeyRing()
        try ring.add(TrustedKey(name: "release", publicKey: key.publicKey, role: .build))
        try FileManager.default.createDirectory(
            atPath: root + "/keys", withIntermediateDirectories: true)
        try Data(ring.bytes).write(to: URL(fileURLWithPath: root + "/keys/keys.json"))
        let policy = """
            require: [signature, provenance]
            builders: [https://ci.example/runner]
            sources: [https://git.example/shop]
            max-age: 30d

            """
        try policy.write(toFile: root + "/policy.yaml", atomically: true, encoding: .utf8)

        let image = Digest.sha256(of: Array("image".utf8))
        let subject = Statement.Subject(name: "web", digest: image)
        let made = Provenance(
            recipe: image,
            source: Provenance.Source(
                repository: "https://git.example/shop", commit: image.hex, isDirty: false),
            materials: (0..<materials).map {
                Provenance.Material(
                    uri: "pkg:deb/debian/package-\($0)@1.2.3-4?arch=amd64", digests: ["sha256": image.hex])
            }, builder: "https://ci.example/runner", startedOn: now, finishedOn: now)
        let signature = Statement.signature(about: subject)
        try store.record(ImageRecord(digest: image, service: nil, bakedAt: now, size: 0, packages: materials))
        try await store.add(
            evidence: try [signature, made.statement(about: subject)].map {
                try SigstoreBundle($0, signedWith: key).bytes
            }, to: image)

        let gate = ImageAdmission(
            store: store, host: Files(root: root), faults: NoFaults(), ledger: NoLedger(),
            verifier: "urn:benchmark", logger: Logger(label: "benchmark") { _ in SwiftLogNoOpLogHandler() })
        let service = ServiceKey(try ServiceName("web"))
        var times: [Double] = []
        for _ in 0..<rounds {
            let clock = ContinuousClock()
            let start = clock.now
            let verdict = await gate.decide(image, asking: nil, for: service, .new, at: now)
            let time = (clock.now - start).components
            precondition(verdict.isAdmitted, "a good image is admitted: \(verdict.message)")
            times.append(Double(time.seconds) * 1000 + Double(time.attoseconds) / 1e15)
        }
        return times
    }
}
