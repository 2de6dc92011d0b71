internal import Crypto
internal import Glibc
internal import Model

/// Writes what is seen and typed in a session to a file as it happens. What cannot be written did not happen: the
/// session ends.
struct SessionRecording {
    /// Bytes of one recording.
    static let longest = 16 << 20

    private let file: Descriptor
    private let path: String
    private let begin: Int
    private var hash = SHA256()
    private(set) var bytes = 0
    private var output = TextStream()
    private var errors = TextStream()
    private var input = TextStream()

    /// Which of the three.
    enum Stream { case output, errors, input }

    init(_ session: Session, at path: String) throws {
        self.path = path
        file = Descriptor(open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600))
        guard file.number >= 0 else { throw SystemFailure.failure(errno, "cannot record", at: path) }
        begin = Monotonic.now
        try write(
            Asciicast.header(
                columns: session.terminal?.columns ?? 80, rows: session.terminal?.rows ?? 24,
                at: session.begunAt,
                title: "session \(session.number): \(session.by) in \(session.instance)",
                environment: session.terminal.map { ["TERM": $0.type] } ?? [:]))
    }

    /// Throws `diskFull` where the recording has no room for more.
    mutating func add(_ data: some Sequence<UInt8>, _ stream: Stream) throws {
        switch stream {
        case .output: try add(.output, output.take(data))
        case .errors: try add(.output, errors.take(data))
        case .input: try add(.input, input.take(data))
        }
    }

    mutating func resize(columns: Int, rows: Int) throws { try add(.resize, "\(columns)x\(rows)") }

    private mutating func add(_ kind: Asciicast.Kind, _ text: String) throws {
        guard !text.isEmpty else { return }
        try write(
            Asciicast.line(Asciicast.Event(milliseconds: Monotonic.now - begin, kind: kind, text: text)))
    }

    private mutating func write(_ line: [UInt8]) throws {
        guard bytes + line.count <= SessionRecording.longest else {
            throw Failure(.diskFull, "the recording has \(SessionRecording.longest >> 20) MiB", at: path)
        }
        var written = 0
        while written < line.count {
            let count = line.withUnsafeBytes {
                Glibc.write(file.number, $0.baseAddress! + written, line.count - written)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw SystemFailure.failure(errno, "cannot record", at: path) }
            written += count
        }
        hash.update(data: line)
        bytes += line.count
    }

    /// Flushes all to the disk, and gives its digest.
    mutating func close() throws -> Model.Digest {
        for (kind, rest) in [
            (Asciicast.Kind.output, output.end()), (.output, errors.end()), (.input, input.end()),
        ] where !rest.isEmpty {
            try? add(kind, rest)
        }
        guard fsync(file.number) == 0 else { throw SystemFailure.failure(errno, "cannot record", at: path) }
        Files.syncFolder(of: path)
        return Model.Digest(bytes: hash.finalize())
    }

    /// Of a recording that a daemon which died left behind.
    static func digest(of path: String) -> (digest: Model.Digest, bytes: Int)? {
        Files.read(path, limit: longest).map { (Model.Digest(bytes: SHA256.hash(data: $0)), $0.count) }
    }
}
