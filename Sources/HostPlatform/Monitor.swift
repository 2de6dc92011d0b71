internal import FoundationEssentials
internal import Glibc
internal import Model

/// conmon: the small process beside each instance that keeps its log and exit status and outlives us.
struct Monitor {
    let runtime: ContainerRuntime
    let id: InstanceID
    let folder: InstanceFolder

    /// What conmon writes to its sync pipe, one JSON object on a line.
    private struct Word: Decodable {
        var data: Int?
        var pid: Int?
        var message: String?
    }

    /// A monitor that has started and waits with the container until it is told to go on. One that is never told ends
    /// with this value.
    final class Waiting {
        private let child: Child
        private let gate: Pipe
        private let answers: Pipe
        private var isTold = false

        fileprivate init(_ child: Child, gate: Pipe, answers: Pipe) {
            self.child = child
            self.gate = gate
            self.answers = answers
        }

        deinit { if !isTold { end() } }

        /// Lets it create the container, and returns the numbers of its process and of the monitor.
        func create() throws -> (process: Int32, monitor: Int32) {
            isTold = true
            var byte: UInt8 = 0
            _ = write(gate.writing.number, &byte, 1)
            let line = Monitor.line(from: answers.reading, limit: Limit.create)
            do { return (try Monitor.process(in: line), child.pid) } catch {
                // It has said why, and writes the end of the log.
                child.wait(limit: Limit.monitorFarewell)
                throw error
            }
        }

        private func end() {
            child.signal(SIGKILL)
            _ = child.wait()
        }
    }

    /// Starts the monitor. It needs the instance's folder only, and comes up while the rest is being made.
    func start(_ mounts: PrivateMounts) throws -> Waiting {
        guard Tool.find("conmon") != nil else {
            throw Failure(.toolMissing, "conmon is not installed", suggestion: "apt-get install conmon")
        }
        let (gate, answers) = (try Pipe(), try Pipe())
        let null = mounts.null
        var arguments = [
            "--sync", "--cid", id.text, "--cuuid", id.text, "--runtime", runtime.executable,
            "--bundle", folder.bundle, "--container-pidfile", folder.processFile,
            "--exit-dir", folder.exitFolder, "--log-path", "k8s-file:" + runtime.root.log(id),
            "--log-size-max", String(Limit.log), "--socket-dir-path", runtime.root.attachFolder,
            "--log-level", "error",
        ]
        arguments += runtime.globalArguments.map { "--runtime-arg=" + $0 }
        var command = Command("conmon", arguments)
        command.environment["_OCI_SYNCPIPE"] = "3"
        command.environment["_OCI_STARTPIPE"] = "4"
        let child = try Child.start(
            command, input: null.number, output: null.number, errors: null.number,
            inherited: [answers.writing.number, gate.reading.number], newSession: true, mounts: mounts)
        answers.closeWriting()
        return Waiting(child, gate: gate, answers: answers)
    }

    fileprivate static func process(in line: [UInt8]?) throws -> Int32 {
        guard let line else { throw Failure(.launchFailed, "the monitor ended without a word") }
        guard let word = try? JSONDecoder().decode(Word.self, from: Data(line)) else {
            throw Failure(
                .launchFailed, "the monitor said \(String(decoding: line.prefix(200), as: UTF8.self))")
        }
        if let pid = word.pid ?? word.data, pid > 0 { return Int32(pid) }
        throw Failure(.launchFailed, ContainerRuntime.reason(in: word.message ?? ""))
    }

    /// One line from a pipe, or nil where it closes or stays silent.
    fileprivate static func line(from file: Descriptor, limit: Span) -> [UInt8]? {
        let deadline = Monotonic.now + limit.milliseconds
        var bytes: [UInt8] = []
        while bytes.count < 65_536 {
            var wait = pollfd(fd: file.number, events: Int16(POLLIN), revents: 0)
            let rest = max(0, deadline - Monotonic.now)
            guard poll(&wait, 1, Int32(min(rest, 60_000))) >= 0 || errno == EINTR else { return nil }
            guard wait.revents != 0 else {
                if rest == 0 { return nil }
                continue
            }
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = read(file.number, &buffer, buffer.count)
            guard count > 0 else { return bytes.isEmpty ? nil : bytes }
            bytes += buffer[..<count]
            if let end = bytes.firstIndex(of: UInt8(ascii: "\n")) { return Array(bytes[..<end]) }
        }
        return nil
    }
}

extension Child {
    /// Reaps a process that is about to end; one that is not is killed.
    @discardableResult
    func wait(limit: Span) -> Int {
        var poll = pollfd(fd: descriptor.number, events: Int16(POLLIN), revents: 0)
        if Glibc.poll(&poll, 1, Int32(limit.milliseconds)) == 0 { signal(SIGKILL) }
        return wait()
    }
}
