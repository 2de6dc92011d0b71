internal import AsyncHTTPClient
internal import Foundation
internal import ImageFormat
internal import Model
internal import NIOCore
internal import NIOHTTP1

/// A blob on its way into a file: hashed as it comes, taken up where it broke off. What this machine holds of it is
/// copied, and only the rest is asked for.
struct Download: ~Copyable {
    /// What has to come between two troubles for the tries to be counted anew.
    private static let leastProgress = 1 << 20

    private let repository: Repository
    private let blob: OCIDescriptor
    private let meter: Meter
    private let path: String
    private let file: Int32
    private var held: [HeldSection]
    private var digest = RunningDigest()
    /// Bytes that the registry sent, those that came to nothing among them.
    private(set) var fetched = 0

    /// Bytes that are in the file.
    var count: Int { digest.count }

    /// Makes the file; refuses a name that exists.
    init(
        _ blob: OCIDescriptor, of repository: Repository, held: [HeldSection] = [], to path: String,
        meter: Meter
    ) throws {
        self.held = HeldSection.worthUsing(held)
        self.repository = repository
        self.blob = blob
        self.meter = meter
        self.path = path
        file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw FileTrouble.failure("cannot be made", path) }
    }

    deinit { close(file) }

    /// Ends with the whole blob in the file, or throws. The caller removes the file then.
    mutating func run() async throws {
        let connection = repository.connection
        var attempt = 0
        while true {
            try copyHeld()
            if digest.count == blob.size, blob.size > 0 {
                if digest.digest() == blob.digest { return }
                // Whoever wrote the list of sections may be wrong; the registry is believed only after that.
                guard !held.isEmpty else { throw repository.wrongDigest(blob) }
                try restart()
                continue
            }
            let before = digest.count
            do {
                try await read()
                if blob.size == 0 { break }
                attempt = 0
            } catch let error as NoAnswer {
                // A registry that gives a few bytes and breaks off again would otherwise be asked for ever.
                attempt = digest.count - before >= Download.leastProgress ? 1 : attempt + 1
                try await connection.pauseOrGiveUp(error, attempt)
            }
        }
        guard digest.digest() == blob.digest else { throw repository.wrongDigest(blob) }
    }

    /// Copies the held bytes that come next, if any do.
    private mutating func copyHeld() throws {
        while let next = held.first(where: { $0.range.lowerBound == digest.count }) {
            try next.bytes.withBytes { bytes in
                digest.update(bytes)
                try FileTrouble.write(bytes, to: file, path)
                meter.advance(bytes.count)
            }
        }
    }

    /// Reads one answer to its end. Throws `NoAnswer` where it broke off.
    private mutating func read() async throws {
        var call = repository.blobCall(.GET, blob.digest)
        var end = held.first { $0.range.lowerBound > digest.count }?.range.lowerBound ?? blob.size
        if digest.count > 0 || end < blob.size {
            call.headers.add(name: "Range", value: "bytes=\(digest.count)-\(end - 1)")
        }
        let answer = try await repository.connection.send(call)
        switch answer.status {
        case 206 where answer.header("Content-Range")?.hasPrefix("bytes \(digest.count)-\(end - 1)/") ?? false:
            break
        case 200:
            try restart()
            end = blob.size
        case 206, 416:
            // It does not do what it was asked for: from the beginning, then.
            try restart()
            throw NoAnswer(reason: "the registry does not give a part of a blob")
        default:
            throw await Refusal.failure(answer, "fetching blob \(blob.digest.short) of \(repository.place)")
        }
        let world = repository.connection.world
        var pace = Pace(now: world.now())
        do {
            for try await part in answer.response.body {
                guard pace.holds(part.readableBytes, now: world.now()) else { throw Download.tooSlow }
                try part.withUnsafeReadableBytes { bytes in
                    guard digest.count + bytes.count <= end else { throw repository.wrongDigest(blob) }
                    digest.update(bytes)
                    fetched += bytes.count
                    try FileTrouble.write(bytes, to: file, path)
                    meter.advance(bytes.count)
                }
            }
        } catch let failure as Failure {
            throw failure
        } catch let trouble as NoAnswer {
            throw trouble
        } catch {
            try Task.checkCancellation()
            throw NoAnswer(reason: "the connection broke in the middle of a blob")
        }
        guard digest.count == end else { throw NoAnswer(reason: "a blob broke off") }
    }

    private static let tooSlow = NoAnswer(
        reason: "less than \(Pace.Limit.leastBytes >> 10) KiB of a blob came in \(Pace.Limit.window)")

    /// Begins again, with nothing but what the registry has.
    private mutating func restart() throws {
        held = []
        guard digest.count > 0 else { return }
        meter.advance(-digest.count)
        digest = RunningDigest()
        guard ftruncate(file, 0) == 0, lseek(file, 0, SEEK_SET) == 0 else {
            throw FileTrouble.failure("cannot be begun again", path)
        }
    }
}

/// Writes to files, and failures of them in a user's words.
enum FileTrouble {
    static func write(_ bytes: UnsafeRawBufferPointer, to file: Int32, _ path: String) throws {
        var rest = bytes
        while !rest.isEmpty {
            let count = Foundation.write(file, rest.baseAddress, rest.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure("cannot be written", path) }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }

    /// The failure of the system call that just set `errno`.
    static func failure(_ what: String, _ path: String) -> Failure {
        let number = errno
        let text = String(cString: strerror(number))
        return switch number {
        case ENOSPC, EDQUOT:
            Failure(
                .diskFull, "a file \(what): the disk is full", at: path,
                suggestion: "free some room; nothing half-written was kept")
        case EACCES, EPERM, EROFS:
            Failure(.notPermitted, "a file \(what): \(text)", at: path)
        case ENOENT, ENOTDIR: Failure(.fileMissing, "a file \(what): \(text)", at: path)
        case EEXIST: Failure(.conflict, "a file \(what): \(text)", at: path)
        default: Failure(.internalError, "a file \(what): \(text)", at: path)
        }
    }
}
