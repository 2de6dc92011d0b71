internal import Dispatch
internal import Foundation
internal import Model
internal import Threads
internal import WireAPI

/// The person's end of a session: what is typed goes there, what comes is shown, and the exit status is passed on.
struct SessionClient {
    let socket: String
    let isTerminal: Bool

    private enum Bound {
        /// What is not sent yet; beyond it nothing more is read.
        static let waiting = 256 << 10
    }

    /// The size of the terminal that this runs in; nil where there is none.
    static func terminal() -> Session.Terminal? {
        guard isatty(0) == 1, isatty(1) == 1 else { return nil }
        let size = window() ?? (80, 24)
        let type = ProcessInfo.processInfo.environment["TERM"] ?? "xterm"
        return Session.Terminal(columns: size.columns, rows: size.rows, type: type)
    }

    private static func window() -> (columns: Int, rows: Int)? {
        var size = winsize()
        guard ioctl(0, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else { return nil }
        return (Int(size.ws_col), Int(size.ws_row))
    }

    /// Connects, and returns how the session ended.
    func run() async throws -> SessionEnd {
        try await Blocking.run { try runNow() }
    }

    private func runNow() throws -> SessionEnd {
        let file: Int32
        do { file = try DaemonSocket(path: socket, patience: 0).connected() } catch {
            throw Failure(.daemonUnreachable, "the session cannot be reached", at: socket, cause: error)
        }
        defer { close(file) }
        _ = fcntl(file, F_SETFL, fcntl(file, F_GETFL) | O_NONBLOCK)
        let signals = try SignalPipe(isTerminal ? [SIGWINCH, SIGTERM] : [])
        let before = isTerminal ? SessionClient.makeRaw() : nil
        defer { if var before { tcsetattr(0, TCSADRAIN, &before) } }
        var pump = Pump(file: file, signals: signals.reading)
        while true { if let end = try pump.turn() { return end } }
    }

    /// Every key goes to the other end as it is. Returns how the terminal was.
    private static func makeRaw() -> termios? {
        var before = termios()
        guard tcgetattr(0, &before) == 0 else { return nil }
        var raw = before
        cfmakeraw(&raw)
        tcsetattr(0, TCSADRAIN, &raw)
        return before
    }

    /// Signals as bytes in a pipe, so that one wait sees everything.
    private final class SignalPipe {
        let reading: Int32
        private let writing: Int32
        private var sources: [any DispatchSourceSignal] = []

        init(_ numbers: [Int32]) throws {
            var ends: [Int32] = [-1, -1]
            guard pipe(&ends) == 0 else {
                throw Failure(.internalError, "cannot make a pipe: \(String(cString: strerror(errno)))")
            }
            (reading, writing) = (ends[0], ends[1])
            for number in numbers {
                signal(number, SIG_IGN)
                let source = DispatchSource.makeSignalSource(signal: number)
                let writing = writing
                source.setEventHandler {
                    var byte = UInt8(number)
                    _ = Foundation.write(writing, &byte, 1)
                }
                source.activate()
                sources.append(source)
            }
        }

        deinit {
            for source in sources { source.cancel() }
            close(reading)
            close(writing)
        }
    }

    private struct Pump {
        let file: Int32
        let signals: Int32
        var reader = SessionFrame.Reader()
        var toDaemon: [UInt8] = []
        var hasInput = true

        /// Waits for the next thing that happens; the end where it came.
        mutating func turn() throws -> SessionEnd? {
            let wanted = POLLIN | (toDaemon.isEmpty ? 0 : POLLOUT)
            let canType = hasInput && toDaemon.count < Bound.waiting
            var waits = [
                pollfd(fd: file, events: Int16(wanted), revents: 0),
                pollfd(fd: canType ? 0 : -1, events: Int16(POLLIN), revents: 0),
                pollfd(fd: signals, events: Int16(POLLIN), revents: 0),
            ]
            guard poll(&waits, nfds_t(waits.count), -1) > 0 else { return nil }
            if waits[2].revents != 0 { try hear() }
            if waits[1].revents != 0 { type() }
            if waits[0].revents & Int16(POLLOUT) != 0 { flush() }
            return waits[0].revents & ~Int16(POLLOUT) == 0 ? nil : try show()
        }

        private mutating func hear() throws {
            var bytes = [UInt8](repeating: 0, count: 64)
            let count = read(signals, &bytes, bytes.count)
            if bytes.prefix(max(0, count)).contains(UInt8(SIGTERM)) { throw CancellationError() }
            guard let size = SessionClient.window() else { return }
            toDaemon += SessionFrame.window(columns: size.columns, rows: size.rows).bytes
        }

        private mutating func type() {
            var buffer = [UInt8](repeating: 0, count: 32 << 10)
            let count = read(0, &buffer, buffer.count)
            if count < 0, errno == EINTR || errno == EAGAIN { return }
            guard count > 0 else {
                hasInput = false
                toDaemon += SessionFrame.inputEnd.bytes
                return
            }
            toDaemon += SessionFrame.input(Array(buffer[..<count])).bytes
        }

        /// A daemon that is gone shows when it is read from.
        private mutating func flush() {
            let count = send(file, toDaemon, toDaemon.count, Int32(MSG_NOSIGNAL))
            if count > 0 { toDaemon.removeFirst(count) }
            if count < 0, errno != EAGAIN, errno != EINTR { toDaemon = [] }
        }

        private mutating func show() throws -> SessionEnd? {
            var buffer = [UInt8](repeating: 0, count: 64 << 10)
            let count = recv(file, &buffer, buffer.count, 0)
            if count < 0, errno == EINTR || errno == EAGAIN { return nil }
            guard count > 0 else {
                throw Failure(
                    .daemonUnreachable, "the session is over: its daemon ended, or refused this connection",
                    suggestion: "`kiln session list` says what is known of it")
            }
            for frame in try reader.take(buffer[..<count]) {
                switch frame {
                case .output(let bytes): try put(bytes, 1)
                case .errors(let bytes): try put(bytes, 2)
                case .note(let text): try put(Array((text + "\r\n").utf8), 2)
                case .end(let bytes):
                    do { return try JSONDecoder().decode(SessionEnd.self, from: Data(bytes)) } catch {
                        throw Failure(
                            .internalError, "the end of the session was not understood",
                            suggestion: "are kiln and its daemon of the same version?", cause: error)
                    }
                case .input, .inputEnd, .window: continue
                }
            }
            return nil
        }

        private func put(_ bytes: [UInt8], _ target: Int32) throws {
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes { Foundation.write(target, $0.baseAddress!, $0.count) }
                if count < 0, errno == EINTR { continue }
                if count < 0, errno == EAGAIN {
                    var wait = pollfd(fd: target, events: Int16(POLLOUT), revents: 0)
                    poll(&wait, 1, -1)
                    continue
                }
                // Nobody reads any more: as good as gone.
                guard count > 0 else { throw CancellationError() }
                rest = rest.dropFirst(count)
            }
        }
    }
}

extension SessionEnd {
    /// The exit status of the command; throws where it did not come to its own end.
    func passedOn() throws -> Int32 {
        switch outcome {
        case .exited: return Int32(clamping: status ?? 1)
        case .timeUp: throw Failure(.timedOut, message, suggestion: "ask for more with --for")
        case .notStarted: throw Failure(.launchFailed, message)
        case .stopped: throw Failure(.cancelled, message)
        case .recordingFull: throw Failure(.diskFull, message, suggestion: "begin another session")
        case .vanished, .malformed, .nobodyCame: throw Failure(.internalError, message)
        }
    }
}
