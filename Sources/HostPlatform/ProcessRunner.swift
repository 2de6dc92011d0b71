internal import CLinux
internal import Glibc
package import Model
internal import Threads

/// The one place of this adapter that turns a `Command` into a process.
package struct ProcessRunner: Sendable {
    package struct Result: Sendable {
        /// Exit code, or 128 + the signal.
        package var status: Int
        package var output: String
        package var errors: String
    }

    /// How much of each stream is kept; the rest is read and dropped.
    static let captureLimit = 256 << 10

    package init() {}

    /// Runs a command to its end. Throws `toolMissing` where there is no such program, and `timedOut` (after having
    /// killed it) where it takes longer than `limit`. Waits for the process only: what it leaves behind in the
    /// background cannot hold up the caller.
    package func run(
        _ command: Command, input: String = "", mounts: PrivateMounts? = nil, limit: Span
    ) async throws -> Result {
        try await Blocking.run {
            try runNow(command, input: input, mounts: mounts, limit: limit)
        }
    }

    /// Like `run`, on the calling thread.
    package func runNow(
        _ command: Command, input: String = "", mounts: PrivateMounts? = nil, limit: Span
    ) throws -> Result {
        let output = try Pipe()
        let errors = try Pipe()
        // Programs in instances open /dev/stdout anew, and are other users than the one who made it.
        if mounts != nil { for pipe in [output, errors] { fchmod(pipe.writing.number, 0o622) } }
        let source = try ProcessRunner.source(of: input, mounts)
        let child = try Child.start(
            command, input: source.number, output: output.writing.number, errors: errors.writing.number,
            mounts: mounts)
        output.closeWriting()
        errors.closeWriting()
        let deadline = Monotonic.now + limit.milliseconds
        var streams = [Capture(output.reading), Capture(errors.reading)]
        var hasEnded = false
        while !hasEnded {
            let rest = max(0, deadline - Monotonic.now)
            var waits = [pollfd(fd: child.descriptor.number, events: Int16(POLLIN), revents: 0)]
            waits += streams.map {
                pollfd(fd: $0.isOpen ? $0.file.number : -1, events: Int16(POLLIN), revents: 0)
            }
            // Who had to wait for a processor beyond the deadline looks once more before it blames the other side.
            _ = poll(&waits, nfds_t(waits.count), Int32(min(rest, 60_000)))
            hasEnded = waits[0].revents != 0
            guard hasEnded || rest > 0 else {
                child.signal(SIGKILL)
                _ = child.wait()
                throw Failure(.timedOut, "\(command.program) took longer than \(limit)")
            }
            for index in streams.indices where waits[index + 1].revents != 0 { streams[index].read() }
        }
        for index in streams.indices { streams[index].drain() }
        return Result(status: child.wait(), output: streams[0].text, errors: streams[1].text)
    }

    /// A descriptor from which a command reads `text`, or nothing.
    private static func source(of text: String, _ mounts: PrivateMounts?) throws -> Descriptor {
        guard !text.isEmpty else {
            return mounts?.null ?? Descriptor(open("/dev/null", O_RDONLY | O_CLOEXEC))
        }
        let bytes = Array(text.utf8)
        precondition(bytes.count <= 65_536, "a pipe holds no more before somebody reads it")
        let pipe = try Pipe()
        guard write(pipe.writing.number, bytes, bytes.count) == bytes.count else {
            throw SystemFailure.failure(errno, "cannot prepare a command's input")
        }
        return pipe.reading
    }

    /// Runs a command that has to succeed; anything else is `commandFailed` with its last words.
    @discardableResult
    package func check(
        _ command: Command, input: String = "", limit: Span
    ) async throws -> Result {
        let result = try await run(command, input: input, limit: limit)
        guard result.status == 0 else {
            let words = (result.errors.isEmpty ? result.output : result.errors).suffix(500)
            throw Failure(.commandFailed, "\(command.program) ended with \(result.status): \(words)")
        }
        return result
    }
}

/// One captured stream.
private struct Capture {
    let file: Descriptor
    var bytes: [UInt8] = []
    var isOpen = true

    init(_ file: Descriptor) {
        self.file = file
        _ = fcntl(file.number, F_SETFL, O_NONBLOCK)
    }

    var text: String { String(decoding: bytes, as: UTF8.self) }

    /// Takes one chunk; false where there is none now.
    @discardableResult
    mutating func read() -> Bool {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let count = Glibc.read(file.number, &buffer, buffer.count)
        if count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR) { isOpen = false }
        guard count > 0 else { return false }
        bytes += buffer[..<min(count, max(0, ProcessRunner.captureLimit - bytes.count))]
        return true
    }

    /// Takes what is in the pipe now, for a process that has ended; at most what one pipe can hold several times.
    mutating func drain() {
        for _ in 1...64 where isOpen {
            if !read() { return }
        }
    }
}

/// Milliseconds of a clock that nobody sets.
enum Monotonic {
    static var now: Int {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
    }
}
