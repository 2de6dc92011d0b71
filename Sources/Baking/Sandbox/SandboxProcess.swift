import Dispatch
import Glibc
import Model

/// The process that holds a sandbox, watched until it ends. It is started and waited for by one thread, which the
/// signal of a parent's death hangs on.
struct SandboxProcess {
    private enum Limit {
        /// What is kept of the output: its end tells why a script failed.
        static let keptOutput = 64 << 10
        /// Milliseconds between two looks at the clock, memory and disk.
        static let pause: Int32 = 50
        /// Looks, and milliseconds between them, at whether a killed sandbox is gone: the kernel ends all of its
        /// processes before its first one counts as ended.
        static let endings = 1000
        static let endingPause: UInt32 = 5
    }

    private let pid: pid_t
    private let output: Int32

    init(_ command: Command) throws {
        var ends: [Int32] = [0, 0]
        // Sockets are closed on exec from the start, so no other child of ours keeps an end open.
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else {
            throw HostFiles.failure(errno, "no pipe for a sandbox", at: command.program)
        }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
        posix_spawn_file_actions_adddup2(&actions, ends[1], 2)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // A group of its own: Ctrl-C is ours to answer. Signals that we ignore are not ignored there.
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP))
        posix_spawnattr_setpgroup(&attributes, 0)
        var signals = sigset_t()
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        let arguments = ([command.program] + command.arguments).map { strdup($0) } + [nil]
        let environment = command.environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { (arguments + environment).forEach { free($0) } }
        var started: pid_t = 0
        let status = posix_spawn(&started, command.program, &actions, &attributes, arguments, environment)
        close(ends[1])
        pid = started
        output = ends[0]
        guard status == 0 else {
            close(output)
            throw HostFiles.failure(status, "the sandbox cannot be started", at: command.program)
        }
    }

    /// Reads the output to its end and reaps the process. Called once.
    func watch(_ limits: Sandbox.Limits, folders: [String]) throws -> SandboxRun.Outcome {
        var usage = SandboxUsage(process: pid, limits: limits, folders: folders)
        var kept: [UInt8] = []
        var written = 0
        var reason: Failure?
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        var nextLook: UInt64 = 0
        let deadline = DispatchTime.now().uptimeNanoseconds + UInt64(limits.time.milliseconds) * 1_000_000
        while true {
            var item = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
            poll(&item, 1, Limit.pause)
            if item.revents != 0 {
                let count = read(output, &buffer, buffer.count)
                if count == 0 || count < 0 && errno != EINTR { break }
                written += max(0, count)
                kept += buffer[..<max(0, count)]
                if kept.count > 2 * Limit.keptOutput { kept.removeFirst(kept.count - Limit.keptOutput) }
            }
            guard reason == nil else { continue }
            let now = DispatchTime.now().uptimeNanoseconds
            if now >= deadline {
                reason = Failure(.timedOut, "it did not end within \(limits.time)")
            } else if Task.isCancelled {
                reason = Failure(.cancelled, "stopped before the end")
            } else if written > limits.output {
                reason = SandboxUsage.breach(
                    "it wrote more than \(ByteCount(bytes: limits.output)) of output")
            } else if now >= nextLook {
                nextLook = now + UInt64(Limit.pause) * 1_000_000
                reason = usage.breach()
            }
            if reason != nil { end(&usage) }
        }
        close(output)
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        if let reason {
            awaitEnd(of: usage.first)
            throw reason
        }
        let signal = Int(status & 0x7f)
        if kept.count > Limit.keptOutput { kept.removeFirst(kept.count - Limit.keptOutput) }
        return SandboxRun.Outcome(
            status: signal == 0 ? Int((status >> 8) & 0xff) : 128 + signal,
            output: String(decoding: kept, as: UTF8.self))
    }

    /// Ends the first process of the namespace too: had it only just been started, it might not yet have asked to die
    /// with its parent. A stopped parent starts no other.
    private func end(_ usage: inout SandboxUsage) {
        kill(pid, SIGSTOP)
        for _ in 1...Limit.endings {
            guard let state = ProcessState(pid), !state.isStopped, !state.isZombie else { break }
            usleep(Limit.endingPause * 1000)
        }
        usage.findFirst()
        if let first = usage.first { kill(first, SIGKILL) }
        kill(pid, SIGKILL)
    }

    /// Until then a process of the sandbox could still write into its folders.
    private func awaitEnd(of first: pid_t?) {
        guard let first else { return }
        for _ in 1...Limit.endings {
            guard let state = ProcessState(first), !state.isZombie else { return }
            usleep(Limit.endingPause * 1000)
        }
    }
}
