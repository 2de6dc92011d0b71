import ImageFormat
import Model

/// Checks the signature of a release file with gpgv, besides what apt does by itself.
enum ReleaseCheck {
    private enum Limit {
        static let releaseBytes = 16 << 20
        static let gpgv = Span.seconds(60)
    }

    /// The digest of the signed file, and the fingerprint of the key that signed it: of several good ones the first
    /// by its digits, so that every host writes the same.
    static func check(
        release: String, detachedSignature: String?, keyring: String, place: String
    ) async throws -> (digest: Digest, signedBy: String) {
        let bytes = try HostFiles.read(release, limit: Limit.releaseBytes)
        let files = detachedSignature.map { [$0, release] } ?? [release]
        let output = try await CommandRunner.run(
            Command("gpgv", ["--status-fd", "1", "--keyring", keyring] + files), package: "gpgv",
            timeout: Limit.gpgv)
        guard let key = goodKeys(output.out).min() else {
            let words = output.err.split(separator: "\n").last.map(String.init) ?? "gpgv found no signature"
            throw Failure(
                .badSignature, "the release file is not signed by a key of \(keyring): \(words)", at: place,
                suggestion: "use the archive's own mirror, or name its keyring in `signed-by`")
        }
        return (Digest.sha256(bytes), key)
    }

    /// The primary keys of the signatures that gpgv's status lines call good: neither expired nor revoked.
    static func goodKeys(_ status: String) -> [String] {
        var keys: [String] = []
        var isGood = false
        for line in status.split(separator: "\n") where line.hasPrefix("[GNUPG:] ") {
            let words = line.split(separator: " ").dropFirst().map(String.init)
            switch words.first {
            case "BADSIG": return []
            case "GOODSIG": isGood = true
            case "NEWSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG", "ERRSIG": isGood = false
            case "VALIDSIG":
                if isGood, let key = words.last, key.utf8.count == 40 { keys.append(key) }
                isGood = false
            default: break
            }
        }
        return keys
    }
}
