import Foundation
import Model
import Testing
import Trust
import TestKit

/// A folder that is gone when the test is over.
final class TemporaryFolder: Sendable {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "kiln-trust-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    @discardableResult
    func write(_ name: String, _ bytes: [UInt8]) throws -> String {
        let file = URL(fileURLWithPath: "\(path)/\(name)")
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(bytes).write(to: file)
        return file.path
    }

    func read(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(path)/\(name)")))
    }
}

/// Other people's programs.
enum Tool {
    static let hasOpenSSL = shell("command -v openssl").status == 0
}

/// The failure that a piece of work ends with; nil where it succeeds.
func failure(_ body: () throws -> Void) -> Failure? {
    do {
        try body()
        return nil
    } catch {
        return Failure.list(error)[0]
    }
}

/// Things that many tests speak of.
enum Fixture {
    static let image = Digest.sha256(of: Array("image".utf8))
    static let other = Digest.sha256(of: Array("other".utf8))
    static let now = Instant("2026-03-01T12:00:00Z")!

    static func statement(_ type: PredicateType = .signature, _ digest: Digest = image) -> Statement {
        Statement(
            subjects: [Statement.Subject(name: "reg.example/app:v1", digest: digest)], predicateType: type,
            predicate: .object([:]))
    }

    static func trusted(_ key: SigningKey, _ name: String = "ci") -> TrustedKey {
        TrustedKey(name: name, publicKey: key.publicKey, role: key.role)
    }
}
