internal import CLinux
internal import Glibc
internal import Model
internal import WireAPI

/// Carries bytes between a person and a command, records them, and ends both together. Runs on a thread of its own.
struct SessionRun {
    let session: Session
    let connection: Descriptor
    let stop: Int32
    private var process: SessionProcess
    private var recording: SessionRecording
    private let deadline: Int
    private var reader = SessionFrame.Reader()
    /// What the person or the command has not taken yet.
    private var toPerson: [UInt8] = []
    private var toCommand: [UInt8] = []
    private var inputEnds = false

    private enum Bound {
        /// Beyond this nothing more is read from the other side until it was taken.
        static let waiting = 256 << 10
        /// How long a person may take over the last of the output.
        static let farewell = 5000
        static let drains = 64
    }

    /// What ends it, and what to tell.
    private struct Ending: Error {
        var outcome: SessionEnd.Outcome
        var message: String
    }

    init(
        _ session: Session, _ process: SessionProcess, _ connection: Descriptor,
        _ recording: SessionRecording,
        stop: Int32, lasting: Span
    ) {
        self.session = session
        self.process = process
        self.connection = connection
        self.recording = recording
        self.stop = stop
        deadline = Monotonic.now + lasting.milliseconds
        _ = fcntl(connection.number, F_SETFL, fcntl(connection.number, F_GETFL) | O_NONBLOCK)
    }

    /// Runs to the end of the session. The person is told the end by `tellEnd`, once it is written down.
    mutating func run(at now: () -> Instant) -> SessionEnd {
        var ending: Ending?
        while ending == nil {
            do { ending = try turn() } catch {
                ending = error as? Ending ?? Ending(outcome: .recordingFull, message: told(error))
            }
        }
        let outcome = ending?.outcome ?? .exited
        let status = process.end()
        if outcome == .exited || outcome == .timeUp { drain() }
        var end = SessionEnd(
            outcome, ending?.message ?? "", status: outcome == .exited ? status : nil, at: now())
        if outcome == .exited { end.message = "the command ended with \(status ?? -1)" }
        do { end.recording = try recording.close() } catch { end.message += "; \(told(error))" }
        end.recordingBytes = recording.bytes
        return end
    }

    private func told(_ error: any Error) -> String { Failure.list(error)[0].message }

    /// Waits for the next thing that happens, and deals with it; an ending where it was the last.
    private mutating func turn() throws -> Ending? {
        let canRead = toPerson.count < Bound.waiting
        let client = (toCommand.count < Bound.waiting ? POLLIN : 0) | (toPerson.isEmpty ? 0 : POLLOUT)
        var waits = [
            pollfd(fd: connection.number, events: Int16(client), revents: 0),
            pollfd(fd: canRead ? process.output?.number ?? -1 : -1, events: Int16(POLLIN), revents: 0),
            pollfd(fd: canRead ? process.errors?.number ?? -1 : -1, events: Int16(POLLIN), revents: 0),
            pollfd(
                fd: toCommand.isEmpty ? -1 : process.input?.number ?? -1, events: Int16(POLLOUT), revents: 0),
            pollfd(fd: process.descriptor.number, events: Int16(POLLIN), revents: 0),
            pollfd(fd: stop, events: Int16(POLLIN), revents: 0),
        ]
        let rest = deadline - Monotonic.now
        guard rest > 0 else {
            return Ending(outcome: .timeUp, message: "its time was over at \(session.until)")
        }
        guard poll(&waits, nfds_t(waits.count), Int32(min(rest, 60_000))) > 0 else { return nil }
        if waits[5].revents != 0 { return Ending(outcome: .stopped, message: "the daemon ends") }
        if waits[1].revents != 0 { try read(\.output, .output) }
        if waits[2].revents != 0 { try read(\.errors, .errors) }
        if waits[3].revents != 0 { feed() }
        if waits[0].revents & Int16(POLLOUT) != 0 { try send() }
        if waits[0].revents & Int16(POLLIN | POLLHUP | POLLERR) != 0 { try receive() }
        if waits[4].revents != 0 { return Ending(outcome: .exited, message: "") }
        return nil
    }

    // MARK: From the command

    /// Takes what the command wrote: recorded first, then shown.
    private mutating func read(
        _ source: WritableKeyPath<SessionProcess, Descriptor?>, _ stream: SessionRecording.Stream
    ) throws {
        guard let file = process[keyPath: source] else { return }
        var buffer = [UInt8](repeating: 0, count: SessionFrame.longest)
        let count = Glibc.read(file.number, &buffer, buffer.count)
        if count < 0, errno == EAGAIN || errno == EINTR { return }
        guard count > 0 else {
            // A terminal whose last user closed it reads as an error.
            process[keyPath: source] = nil
            return
        }
        let bytes = Array(buffer[..<count])
        try recording.add(bytes, stream)
        toPerson += (stream == .errors ? SessionFrame.errors(bytes) : .output(bytes)).bytes
    }

    /// What a command that has ended left in its pipes.
    private mutating func drain() {
        for _ in 0..<Bound.drains where process.output != nil || process.errors != nil {
            let before = toPerson.count
            do {
                try read(\.output, .output)
                try read(\.errors, .errors)
            } catch { return }
            if toPerson.count == before { return }
        }
    }

    // MARK: From the person

    private mutating func receive() throws {
        var buffer = [UInt8](repeating: 0, count: SessionFrame.longest)
        let count = recv(connection.number, &buffer, buffer.count, 0)
        if count < 0, errno == EAGAIN || errno == EINTR { return }
        guard count > 0 else {
            throw Ending(outcome: .vanished, message: "the person at the other end was gone")
        }
        let frames: [SessionFrame]
        do { frames = try reader.take(buffer[..<count]) } catch {
            throw Ending(outcome: .malformed, message: told(error))
        }
        for frame in frames { try obey(frame) }
        feed()
    }

    private mutating func obey(_ frame: SessionFrame) throws {
        switch frame {
        case .input(let bytes):
            guard !inputEnds else { throw Ending(outcome: .malformed, message: "input after its end") }
            try recording.add(bytes, .input)
            if process.input != nil { toCommand += bytes }
        case .inputEnd:
            // A terminal has a sign for it (VEOF, Ctrl-D).
            if process.isTerminal { toCommand.append(4) } else { inputEnds = true }
        case .window(let columns, let rows):
            let size = Session.Terminal(columns: columns, rows: rows, type: "")
            try recording.resize(columns: size.columns, rows: size.rows)
            process.resize(columns: size.columns, rows: size.rows)
        case .output, .errors, .note, .end:
            throw Ending(outcome: .malformed, message: "a frame that only the daemon sends")
        }
    }

    /// Gives the command what it takes now.
    private mutating func feed() {
        if let input = process.input, !toCommand.isEmpty {
            let count = write(input.number, toCommand, toCommand.count)
            if count > 0 { toCommand.removeFirst(count) }
            // A command that reads no more has not ended for that.
            if count < 0, errno != EAGAIN, errno != EINTR { closeInput() }
        }
        if inputEnds, toCommand.isEmpty { closeInput() }
    }

    private mutating func closeInput() {
        process.input = nil
        toCommand = []
    }

    // MARK: To the person

    private mutating func send() throws {
        let count = Glibc.send(connection.number, toPerson, toPerson.count, Int32(MSG_NOSIGNAL))
        if count < 0, errno == EAGAIN || errno == EINTR { return }
        guard count > 0 else {
            throw Ending(outcome: .vanished, message: "the person at the other end was gone")
        }
        toPerson.removeFirst(count)
    }

    /// Sends the rest of the output and the end. Whoever does not take it does not hear it.
    mutating func tellEnd(_ end: [UInt8]) {
        toPerson += SessionFrame.end(end).bytes
        let deadline = Monotonic.now + Bound.farewell
        while !toPerson.isEmpty {
            var wait = pollfd(fd: connection.number, events: Int16(POLLOUT), revents: 0)
            let rest = deadline - Monotonic.now
            guard rest > 0, poll(&wait, 1, Int32(rest)) > 0, (try? send()) != nil else { return }
        }
    }

    /// Tells somebody who never had a process how it ended.
    static func tell(_ connection: Descriptor, _ end: [UInt8]) {
        let bytes = SessionFrame.end(end).bytes
        _ = Glibc.send(connection.number, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }
}
