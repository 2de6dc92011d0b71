internal import CLinux
internal import Glibc
internal import Model
internal import Synchronization

/// The command of a session while it runs: its process, its group, and the descriptors that it reads and writes.
struct SessionProcess {
    let pid: Int32
    let descriptor: Descriptor
    /// The control group that all its processes are in, and none of the instance's own.
    let group: String
    let groups: ControlGroups
    /// What the command reads; nil once its input has ended.
    var input: Descriptor?
    /// What it writes. A terminal is one descriptor for everything.
    var output: Descriptor?
    var errors: Descriptor?
    let isTerminal: Bool

    /// How the runtime is called, but for what this adds.
    struct Call {
        var command: (_ more: [String]) -> Command
        var mounts: PrivateMounts
        var group: String
        /// The first process of the instance.
        var instance: Int32
        /// Files of this session, which go with it.
        var folder: String
    }

    /// How often a group is looked at until it is empty, and the milliseconds between: ten seconds in all.
    private static let killRounds = 1000
    private static let killPause: Int32 = 10

    /// Starts the command by the runtime, which leaves it to us. Throws with the runtime's own words where it cannot.
    static func start(_ session: Session, _ call: Call, groups: ControlGroups) throws -> SessionProcess {
        let pidFile = call.folder + "/pid"
        let errors = try Pipe()
        let (input, output) = session.terminal == nil ? (try Pipe(), try Pipe()) : (nil, nil)
        let console = try session.terminal.map { _ in try SessionSocket(call.folder + "/tty", user: 0) }
        defer { if let console { unlink(console.path) } }
        // What the runtime gets becomes the instance's: the host's device would change its owner, and a pipe is opened
        // again by whoever writes to /dev/stdout.
        let null = call.mounts.null
        for pipe in [output, errors] { if let pipe { fchmod(pipe.writing.number, 0o622) } }
        var more = ["--detach", "--pid-file", pidFile]
        if let console { more += ["--console-socket", console.path] }
        let child = try Child.start(
            call.command(more), input: input?.reading.number ?? null.number,
            output: output?.writing.number ?? null.number, errors: errors.writing.number, mounts: call.mounts)
        output?.closeWriting()
        errors.closeWriting()
        let deadline = Monotonic.now + Limit.start.milliseconds
        let terminal = console?.accept(until: deadline, or: child.descriptor.number).flatMap {
            SessionSocket.descriptor(from: $0)
        }
        let status = child.wait(limit: Limit.start)
        let number = Files.text(pidFile, limit: 32).flatMap { Int32($0.filter(\.isNumber)) }
        guard status == 0, let number, (terminal != nil) == (console != nil) else {
            kill(call.group, groups)
            reapOrphans(in: call.instance)
            throw Failure(.launchFailed, reason(in: errors.reading))
        }
        // A process that has ended already is ours to reap all the same.
        _ = mains.withLock { $0.insert(number) }
        let descriptor = kiln_pidfd_open(number)
        guard descriptor >= 0 else {
            _ = mains.withLock { $0.remove(number) }
            throw SystemFailure.failure(-descriptor, "the session's process is gone", at: "\(number)")
        }
        if let terminal, let size = session.terminal { resize(terminal, size.columns, size.rows) }
        let process = SessionProcess(
            pid: number, descriptor: Descriptor(descriptor), group: call.group, groups: groups,
            input: terminal ?? input?.writing, output: terminal ?? output?.reading,
            errors: terminal == nil ? errors.reading : nil, isTerminal: terminal != nil)
        for end in [process.input, process.output, process.errors] {
            if let end { _ = fcntl(end.number, F_SETFL, fcntl(end.number, F_GETFL) | O_NONBLOCK) }
        }
        return process
    }

    private static func reason(in errors: Descriptor) -> String {
        _ = fcntl(errors.number, F_SETFL, O_NONBLOCK)
        return ContainerRuntime.reason(
            in: String(decoding: Files.read(errors.number, limit: 65_536) ?? [], as: UTF8.self))
    }

    static func resize(_ terminal: Descriptor, _ columns: Int, _ rows: Int) {
        var size = winsize(
            ws_row: UInt16(clamping: rows), ws_col: UInt16(clamping: columns), ws_xpixel: 0, ws_ypixel: 0)
        _ = ioctl(terminal.number, UInt(TIOCSWINSZ), &size)
    }

    func resize(columns: Int, rows: Int) {
        if isTerminal, let output { SessionProcess.resize(output, columns, rows) }
    }

    /// Kills whatever the session started, also what made itself independent of it, and reaps its process: the exit
    /// status, or nil where it would not end.
    func end() -> Int? {
        var status: Int32?
        for _ in 0..<SessionProcess.killRounds {
            // One that has ended is listed in its group until it is reaped.
            if status == nil { status = reap() }
            if groups.kill(group), status != nil { break }
            poll(nil, 0, SessionProcess.killPause)
        }
        SessionProcess.removeGroup(group, groups)
        return status.map(Int.init)
    }

    /// Reaps what a runtime that failed left in an instance: it became our child, and would keep the instance's whole
    /// process namespace from ending. By then the kernel has forgotten its group.
    private static func reapOrphans(in instance: Int32) {
        let space = namespace(of: instance)
        for name in Files.names(in: "/proc") {
            guard let pid = Int32(name), LiveProcess.parent(of: pid) == getpid(), LiveProcess(pid) == nil,
                space != nil, namespace(of: pid) == space, !mains.withLock({ $0.contains(pid) })
            else { continue }
            waitpid(pid, nil, WNOHANG)
        }
    }

    private static func namespace(of pid: Int32) -> ino_t? {
        var info = stat()
        return stat("/proc/\(pid)/ns/pid", &info) == 0 ? info.st_ino : nil
    }

    /// The processes of sessions that go on, which those reap themselves.
    private static let mains = Mutex<Set<Int32>>([])

    /// Its status once it has ended; -1 where nobody can know it any more.
    private func reap() -> Int32? {
        var status: Int32 = 0
        switch kiln_pidfd_wait(descriptor.number, 0, &status) {
        case 1: break
        case 0: return nil
        default: status = -1
        }
        _ = SessionProcess.mains.withLock { $0.remove(pid) }
        return status
    }

    /// Makes a group below an instance's, in every hierarchy that has that one.
    static func makeGroup(_ name: String, in parent: String, _ groups: ControlGroups) throws {
        for place in groups.folders(of: parent) {
            let folder = "\(place)/\(name)"
            try Files.makeFolder(folder)
            // Version 1 lets no process into a group before it was told its processors and memory.
            for setting in ["cpuset.cpus", "cpuset.mems"] {
                guard let text = Files.text("\(place)/\(setting)", limit: 4096), !text.isEmpty else {
                    continue
                }
                let file = Descriptor(open("\(folder)/\(setting)", O_WRONLY | O_CLOEXEC))
                _ = write(file.number, text, text.utf8.count)
            }
        }
    }

    /// Kills every process of a group, also those that are made meanwhile, and removes it.
    static func kill(_ group: String, _ groups: ControlGroups) {
        for _ in 0..<killRounds {
            if groups.kill(group) { break }
            poll(nil, 0, killPause)
        }
        removeGroup(group, groups)
    }

    private static func removeGroup(_ group: String, _ groups: ControlGroups) {
        for folder in groups.folders(of: group) { rmdir(folder) }
    }
}
