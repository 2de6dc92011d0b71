internal import Foundation
package import Model
internal import Synchronization
package import Trust

/// Feeds of known faults in files. What one says of an image is remembered until the file is another one.
package final class FeedFiles: Sendable {
    private enum Limit {
        /// Answers that are remembered; beyond it all are forgotten.
        static let remembered = 256
    }

    /// What a file is told from another one by, without reading it.
    private struct Identity: Hashable {
        var path: String
        var device: UInt
        var inode: UInt
        var size: Int
        var modified: [Int]
        var changed: [Int]

        init(_ path: String, _ status: stat) {
            self.path = path
            device = UInt(status.st_dev)
            inode = UInt(status.st_ino)
            size = Int(status.st_size)
            modified = [status.st_mtim.tv_sec, status.st_mtim.tv_nsec]
            changed = [status.st_ctim.tv_sec, status.st_ctim.tv_nsec]
        }

        /// Of a time that no calendar has, the end of time.
        var writtenAt: Instant {
            let (milliseconds, isTooLate) = modified[0].multipliedReportingOverflow(by: 1000)
            return Instant(milliseconds: isTooLate ? Int.max / 2 : milliseconds + modified[1] / 1_000_000)
        }
    }

    private struct Question: Hashable {
        var file: Identity
        var distribution: ImageDistribution?
        var packages: [InstalledPackage]
    }

    private let remembered = Mutex<[Question: FaultFeed.Reading]>([:])

    package init() {}

    /// What became of reading a feed for an image with these packages. Never throws: what cannot be read refuses.
    package func reading(
        _ path: String, packages: [InstalledPackage], distribution: ImageDistribution?
    ) -> FaultFeed.Reading {
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else {
            return errno == ENOENT ? .missing : .unreadable(FeedFiles.failure("it cannot be opened"))
        }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            return .unreadable(Failure(.invalidArgument, "it is no regular file"))
        }
        let question = Question(
            file: Identity(path, status), distribution: distribution, packages: packages)
        if let known = remembered.withLock({ $0[question] }) { return known }
        let answer: FaultFeed.Reading
        do {
            let reader = try FeedReader(packages: packages, distribution: distribution)
            answer = .read(try FeedFiles.read(file, question.file, reader))
        } catch let failure as Failure where [.notPermitted, .conflict].contains(failure.code) {
            // The disk's word, or a moment's, and not the file's: asked again, it may be another.
            return .unreadable(failure)
        } catch {
            answer = .unreadable(Failure.list(error)[0])
        }
        remembered.withLock { known in
            if known.count >= Limit.remembered { known = [:] }
            known[question] = answer
        }
        return answer
    }

    /// Feeds by their paths, as an admission asks for them.
    package func readings(
        _ paths: [String], packages: [InstalledPackage], distribution: ImageDistribution?
    ) -> [String: FaultFeed.Reading] {
        var readings: [String: FaultFeed.Reading] = [:]
        for path in paths {
            readings[path] = reading(path, packages: packages, distribution: distribution)
        }
        return readings
    }

    /// Into memory, and not mapped: who renews the file may cut it off meanwhile, and a page that is gone would end
    /// the process.
    private static func read(_ file: Int32, _ identity: Identity, _ reader: FeedReader) throws -> FaultFeed {
        guard identity.size <= FeedReader.Limit.bytes else {
            throw Failure(.invalidArgument, "it has more than \(FeedReader.Limit.bytes) bytes")
        }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, identity.size), alignment: 16)
        defer { buffer.deallocate() }
        var count = 0
        while count < identity.size {
            let got = pread(file, buffer.baseAddress! + count, identity.size - count, off_t(count))
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { throw failure("it cannot be read") }
            if got == 0 { break }
            count += got
        }
        var after = stat()
        guard fstat(file, &after) == 0, Identity(identity.path, after) == identity, count == identity.size
        else {
            throw Failure(
                .conflict, "it was written while it was read",
                suggestion: "put a new feed in its place by renaming it")
        }
        return try reader.read(
            UnsafeRawBufferPointer(rebasing: buffer[..<count]), writtenAt: identity.writtenAt)
    }

    private static func failure(_ what: String) -> Failure {
        Failure(.notPermitted, "\(what): \(String(cString: strerror(errno)))")
    }
}
