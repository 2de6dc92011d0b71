import Glibc
import ImageFormat
import Model

/// A file that has arrived in part: kept under its digest, so that a later run goes on from there.
final class PartialFile: @unchecked Sendable {
    // Unchecked: used by the one task that fetches its file.
    let path: String
    private let expected: Digest
    private let most: Int
    private let place: String
    private let descriptor: Int32
    private var hash = RunningDigest()
    var count: Int { hash.count }
    /// Whether all has arrived, and is what was asked for.
    var isWhole: Bool { hash.digest() == expected }

    /// `most`: bytes that the file may have. `place`: what failures blame.
    init(_ expected: Digest, folder: String, most: Int, place: String) throws {
        (self.expected, self.most, self.place) = (expected, most, place)
        path = "\(folder)/\(expected.hex)"
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o644)
        guard descriptor >= 0 else { throw HostFiles.failure(errno, "the file cannot be kept", at: path) }
        var buffer = [UInt8](repeating: 0, count: 1 << 18)
        while true {
            let got = read(descriptor, &buffer, buffer.count)
            if got <= 0 { break }
            buffer.withUnsafeBytes { hash.update(UnsafeRawBufferPointer(rebasing: $0[..<got])) }
        }
        if count > most { try begin(at: 0) }
    }

    deinit { close(descriptor) }

    /// Starts over where the mirror does not go on from what is here.
    func begin(at offset: Int) throws {
        guard offset != count else { return }
        hash = RunningDigest()
        guard ftruncate(descriptor, 0) == 0, lseek(descriptor, 0, SEEK_SET) == 0 else {
            throw HostFiles.failure(errno, "the file cannot be kept", at: path)
        }
    }

    func append(_ bytes: UnsafeRawBufferPointer) throws {
        guard count + bytes.count <= most else { throw wrong("the file has more than \(most) bytes") }
        hash.update(bytes)
        var rest = bytes
        while !rest.isEmpty {
            let written = write(descriptor, rest.baseAddress, rest.count)
            if written < 0, errno == EINTR { continue }
            guard written > 0 else { throw HostFiles.failure(errno, "the file cannot be kept", at: path) }
            rest = UnsafeRawBufferPointer(rebasing: rest[written...])
        }
    }

    /// Throws `hashMismatch`, and leaves no file, where the bytes are not those that were asked for. `size`: where it
    /// is known.
    func finish(size: Int? = nil) throws {
        let digest = hash.digest()
        guard digest == expected, size == nil || size == count else {
            throw wrong("the file has the SHA-256 \(digest.hex), and \(expected.hex) is asked for")
        }
    }

    private func wrong(_ why: String) -> Failure {
        unlink(path)
        return Failure(.hashMismatch, why, at: place)
    }
}
