import struct Crypto.SHA256
package import Model

extension Digest {
    package static func sha256(_ bytes: UnsafeRawBufferPointer) -> Digest {
        var hash = SHA256()
        hash.update(bufferPointer: bytes)
        return Digest(bytes: hash.finalize())
    }

    package static func sha256(_ bytes: [UInt8]) -> Digest { bytes.withUnsafeBytes { sha256($0) } }
}

extension MappedBytes {
    /// The digest of all bytes, read in pieces: a large file takes no memory.
    package func digest() -> Digest {
        let piece = 4 << 20
        var digest = RunningDigest()
        for start in stride(from: 0, to: count, by: piece) {
            let part = start..<min(start + piece, count)
            withBytes { digest.update(UnsafeRawBufferPointer(rebasing: $0[part])) }
            forget(part)
        }
        return digest.digest()
    }
}

/// A SHA-256 of bytes that come in parts, which also counts them.
package struct RunningDigest {
    private var hash = SHA256()
    package private(set) var count = 0

    package init() {}

    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        hash.update(bufferPointer: bytes)
        count += bytes.count
    }

    package mutating func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { update($0) } }

    /// The digest of what came so far.
    package func digest() -> Digest { Digest(bytes: hash.finalize()) }
}
