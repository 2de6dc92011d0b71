internal import CLinux
internal import Dispatch
internal import FoundationEssentials
internal import Glibc
package import Model
package import Ports
internal import Synchronization
internal import Threads

/// Sessions in the instances of one host: each has a thread, a socket, a control group below its instance's, and a
/// recording under ROOT/sessions.
package final class HostSessions: SessionHost {
    private let platform: HostPlatform
    private let folder: SessionFolder
    private let state = Mutex(State())
    /// Held while a session gets its number: two that come at once get two.
    private let numbering = Mutex(())

    private struct State {
        var isStopping = false
        /// Closing one of these ends its session.
        var stops: [Int: Stop] = [:]
    }

    /// Becomes readable when it is pulled.
    private final class Stop: Sendable {
        let reading: Descriptor
        private let writing: Mutex<Descriptor?>

        init() throws {
            let pipe = try Pipe()
            reading = pipe.reading
            writing = Mutex(pipe.writing)
        }

        func pull() { writing.withLock { $0 = nil } }
    }

    package init(_ platform: HostPlatform) {
        self.platform = platform
        folder = SessionFolder(platform.root)
    }

    /// Sockets and bundles of sessions. People other than root reach theirs in here, and see no others.
    private var runFolder: String { platform.root.sessionFolders }
    private func files(_ number: Int) -> String { "\(runFolder)/\(number)" }
    /// Apart from the state of instances, where only instances belong.
    private var runtimeState: String { runFolder + "/state" }
    private func name(_ session: Session) -> String { HostRoot.sessionPrefix + "\(session.number)" }

    private func group(_ session: Session) -> String {
        switch session.kind {
        case .exec: "\(platform.runtime.group(of: session.instance.text))/\(name(session))"
        // The runtime makes it, with limits, which version 2 allows only beside groups that have processes.
        case .debug: platform.runtime.group(of: name(session))
        }
    }

    package func reserve(_ session: Session) async throws -> Session {
        try await Blocking.run { [self] in try numbering.withLock { _ in try folder.add(session) } }
    }

    package func abandon(_ session: Session, _ end: SessionEnd) async -> Session {
        var session = session
        session.end = end
        try? folder.write(session)
        return session
    }

    package func open(
        _ session: Session, for user: UInt32, ended: @escaping @Sendable (Session) async -> Void
    ) async throws -> SessionPlace {
        let surroundings = try await surroundings(session)
        for path in [runFolder, files(session.number)] { try Files.makeFolder(path, mode: 0o711) }
        let socket = try SessionSocket("\(runFolder)/\(session.number).sock", user: user)
        let stop = try Stop()
        let isOpen = state.withLock { state in
            guard !state.isStopping else { return false }
            state.stops[session.number] = stop
            return true
        }
        guard isOpen else {
            unlink(socket.path)
            throw Failure(.cancelled, "the daemon ends")
        }
        // A queue of its own has a thread of its own: a session lasts, and holds up nobody.
        DispatchQueue(label: "kiln.session").async { [self] in
            run(session, socket, user, stop.reading.number, surroundings) { over, then in
                Task {
                    await ended(over)
                    // It waits for a person, who may be slow.
                    try? await Blocking.run { then() }
                    _ = state.withLock { $0.stops.removeValue(forKey: over.number) }
                    withExtendedLifetime(stop) {}
                }
            }
        }
        return SessionPlace(socket: socket.path, recording: folder.recording(session.number))
    }

    /// What is needed of the host besides the instance.
    private struct Surroundings: Sendable {
        /// What the runtime's caller may see of the host's mounts.
        var mounts: PrivateMounts
        var tools: (image: Digest, config: ImageConfig)?
    }

    private func surroundings(_ session: Session) async throws -> Surroundings {
        guard let image = session.image else { return Surroundings(mounts: platform.runtime.mounts) }
        guard Files.isMountPoint(platform.root.imageMount(image)) else {
            throw Failure(.notFound, "the tool image \(image.short) has not been prepared")
        }
        try await platform.fileSystem.requireIntact(image)
        return Surroundings(
            mounts: try await platform.fileSystem.mounts(for: image, of: platform.runtime),
            tools: (image, try await platform.fileSystem.config(image)))
    }

    /// The whole life of a session, on its own thread. `over` is told the end, and tells the person afterwards.
    private func run(
        _ session: Session, _ socket: SessionSocket, _ user: UInt32, _ stop: Int32,
        _ surroundings: Surroundings, over: (Session, @escaping @Sendable () -> Void) -> Void
    ) {
        func finish(_ end: SessionEnd, _ tell: @escaping @Sendable ([UInt8]) -> Void) {
            var session = session
            session.end = end
            try? folder.write(session)
            let bytes = (try? JSONEncoder().encode(end)).map { Array($0) } ?? []
            over(session) { tell(bytes) }
        }
        guard let connection = socket.accept(user: user, stop: stop) else {
            clean(session)
            let message = "nobody connected within \(SessionSocket.patience)"
            return finish(SessionEnd(.nobodyCame, message, at: HostPlatform.now)) { _ in }
        }
        do {
            let recording = try SessionRecording(session, at: folder.recording(session.number))
            // Whoever else held the process would hold its input open.
            var run = SessionRun(
                session, try start(session, surroundings), connection, recording, stop: stop,
                lasting: session.until - HostPlatform.now)
            let end = run.run(at: { HostPlatform.now })
            clean(session)
            let last = run
            finish(end) { bytes in
                var run = last
                run.tellEnd(bytes)
            }
        } catch {
            clean(session)
            let left = SessionRecording.digest(of: folder.recording(session.number))
            let end = SessionEnd(
                .notStarted, Failure.list(error)[0].message, at: HostPlatform.now, recording: left?.digest,
                recordingBytes: left?.bytes ?? 0)
            finish(end) { SessionRun.tell(connection, $0) }
        }
    }

    // MARK: Processes

    private func start(_ session: Session, _ surroundings: Surroundings) throws -> SessionProcess {
        let runtime = platform.runtime
        let folder = files(session.number)
        guard let known = platform.known(session.instance)?.0, let running = known.running, running.isRunning
        else { throw Failure(.notFound, "\(session.instance) does not run any more") }
        let bundle = platform.root.instance(session.instance).bundle
        let call: SessionProcess.Call
        switch session.kind {
        case .exec:
            try writeProcess(session, bundle: bundle, to: folder + "/process.json")
            try SessionProcess.makeGroup(
                name(session), in: runtime.group(of: session.instance.text), runtime.groups)
            call = SessionProcess.Call(
                command: {
                    self.platform.execution(
                        ["exec", "--cgroup", self.name(session)] + $0
                            + ["--process", folder + "/process.json", session.instance.text],
                        in: session.instance)
                }, mounts: surroundings.mounts, group: group(session),
                instance: running.process.pid, folder: folder)
        case .debug:
            guard let tools = surroundings.tools else { throw Failure(.internalError, "no tool image") }
            let own = try ownTools(tools.image, of: known.record, bundle, folder, surroundings.mounts)
            try DebugBundle(
                session: session, instance: bundle, process: running.process.pid,
                tools: tools.config, toolRoot: platform.root.imageMount(tools.image),
                seenRoot: own, group: group(session), folder: folder, mark: known.record.mark
            ).write()
            try Files.makeFolder(runtimeState, mode: 0o700)
            call = SessionProcess.Call(
                command: {
                    self.stateCommand(
                        ["run"] + $0 + ["--bundle", folder, self.name(session)], in: session.instance)
                },
                mounts: surroundings.mounts, group: group(session), instance: running.process.pid,
                folder: folder)
        }
        return try SessionProcess.start(session, call, groups: runtime.groups)
    }

    /// Where the tools are mounted for the instance's own users; nil: it has those of the host. The mount goes with the
    /// namespace that it is made in, and with its folder.
    private func ownTools(
        _ image: Digest, of record: InstanceRecord, _ bundle: String, _ folder: String,
        _ mounts: PrivateMounts
    ) throws -> String? {
        guard RuntimeBundle.hasOwnUsers(bundle), let address = IPv4(record.address) else { return nil }
        let target = RuntimeBundle.ownRoot(folder)
        try Files.makeFolder(target)
        try UserRange(address).mount(platform.root.imageMount(image), at: target, in: mounts)
        return target
    }

    /// As `ContainerRuntime.command`, with the state of sessions.
    private func stateCommand(_ arguments: [String], in id: InstanceID) -> Command {
        var command = platform.execution(arguments, in: id)
        for (place, word) in command.arguments.enumerated() where word == platform.root.runtimeState {
            command.arguments[place] = runtimeState
        }
        return command
    }

    /// The instance's own process with another command, and a terminal where there is one.
    private func writeProcess(_ session: Session, bundle: String, to path: String) throws {
        let text = try RuntimeBundle.process(session.command, folder: bundle)
        guard case .object(var members) = try JSONValue(parsing: Array(text.utf8)) else {
            throw Failure(.internalError, "the instance's process cannot be read", at: bundle)
        }
        if let terminal = session.terminal {
            members.merge(terminal.members) { $1 }
            let variables = (members["env"]?.elements ?? []).filter { $0.text?.hasPrefix("TERM=") != true }
            members["env"] = .array(variables + [.string("TERM=\(terminal.type)")])
        }
        try Files.replace(path, with: JSONValue.object(members).bytes, durably: false, mode: 0o600)
    }

    /// Kills and removes whatever is left of a session but its records.
    private func clean(_ session: Session) {
        let groups = platform.runtime.groups
        SessionProcess.kill(group(session), groups)
        if session.kind == .debug, Files.exists("\(runtimeState)/\(name(session))") {
            _ = try? ProcessRunner().runNow(
                stateCommand(["delete", "--force", name(session)], in: session.instance),
                mounts: platform.runtime.mounts,
                limit: Limit.start)
            SessionProcess.kill(group(session), groups)
        }
        unlink("\(runFolder)/\(session.number).sock")
        try? Files.removeTree(files(session.number))
    }

    // MARK: Beginning and end

    package func told(_ session: Session) async {
        var session = session
        session.isTold = true
        let record = session
        // Told once more by the next daemon, where it cannot be written.
        try? await Blocking.run { [folder] in try folder.write(record) }
    }

    package func recover() async throws -> [Session] {
        try await Blocking.run { [self] in
            var ended: [Session] = []
            for number in folder.numbers {
                guard var session = folder.read(number) else { continue }
                if session.end == nil {
                    clean(session)
                    let left = SessionRecording.digest(of: folder.recording(number))
                    session.end = SessionEnd(
                        .stopped, "the daemon died meanwhile", at: HostPlatform.now, recording: left?.digest,
                        recordingBytes: left?.bytes ?? 0)
                    try folder.write(session)
                } else if session.isTold != false {
                    continue
                }
                ended.append(session)
            }
            try Files.removeTree(runFolder)
            return ended
        }
    }

    package func stop() async {
        let stops = state.withLock { state in
            state.isStopping = true
            return Array(state.stops.values)
        }
        for stop in stops { stop.pull() }
        for _ in 0..<HostSessions.stopLooks where state.withLock({ !$0.stops.isEmpty }) {
            try? await Task.sleep(for: .milliseconds(20))
        }
        try? Files.removeTree(runFolder)
    }

    /// Thirty seconds in all.
    private static let stopLooks = 1500
}
