internal import Crypto
internal import Foundation

/// A node of the log's tree: SHA-256 with a first byte that tells leaves from nodes (RFC 6962, section 2.1).
package struct MerkleHash: Hashable, Sendable, CustomStringConvertible {
    // Four words and no array: a million of them are 32 MB.
    private let words: (UInt64, UInt64, UInt64, UInt64)

    package static let byteCount = 32

    /// The root of a tree without leaves.
    package static let empty = MerkleHash(hashing: [])

    private init(hashing bytes: [UInt8]) { self = bytes.withUnsafeBytes { MerkleHash(hashing: $0) } }

    private init(hashing bytes: UnsafeRawBufferPointer) {
        words = SHA256.hash(data: bytes).withUnsafeBytes {
            $0.loadUnaligned(as: (UInt64, UInt64, UInt64, UInt64).self)
        }
    }

    /// `SHA256(00 ‖ entry)`.
    package init(leaf entry: [UInt8]) { self.init(hashing: [0] + entry) }

    /// The same of bytes that lie elsewhere.
    package init(leaf entry: UnsafeRawBufferPointer) {
        var hasher = SHA256()
        withUnsafeBytes(of: 0 as UInt8) { hasher.update(bufferPointer: $0) }
        hasher.update(bufferPointer: entry)
        words = hasher.finalize().withUnsafeBytes {
            $0.loadUnaligned(as: (UInt64, UInt64, UInt64, UInt64).self)
        }
    }

    /// `SHA256(01 ‖ left ‖ right)`.
    package init(_ left: MerkleHash, _ right: MerkleHash) {
        self = withUnsafeTemporaryAllocation(byteCount: 65, alignment: 8) { buffer in
            buffer[0] = 1
            buffer.storeBytes(of: left.words, toByteOffset: 1, as: (UInt64, UInt64, UInt64, UInt64).self)
            buffer.storeBytes(of: right.words, toByteOffset: 33, as: (UInt64, UInt64, UInt64, UInt64).self)
            return MerkleHash(hashing: UnsafeRawBufferPointer(buffer))
        }
    }

    /// nil unless there are 32 bytes.
    package init?(bytes: some Collection<UInt8>) {
        guard bytes.count == MerkleHash.byteCount else { return nil }
        words = Array(bytes).withUnsafeBytes {
            $0.loadUnaligned(as: (UInt64, UInt64, UInt64, UInt64).self)
        }
    }

    /// Whether these are the bytes of the hash.
    package func isEqual(to bytes: UnsafeRawBufferPointer) -> Bool {
        bytes.count == MerkleHash.byteCount
            && words == bytes.loadUnaligned(as: (UInt64, UInt64, UInt64, UInt64).self)
    }

    package var bytes: [UInt8] { withUnsafeBytes(of: words) { Array($0) } }

    package var description: String { bytes.map { String(format: "%02x", $0) }.joined() }

    package static func == (left: MerkleHash, right: MerkleHash) -> Bool { left.words == right.words }

    package func hash(into hasher: inout Hasher) { hasher.combine(words.0) }
}
