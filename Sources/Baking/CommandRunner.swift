import Dispatch
import Glibc
import Model
import Threads

/// The one place of this target that runs programs. Each gets its own process group, /dev/null to read from and
/// no environment but its own; a cancelled task or a passed deadline ends the whole group.
enum CommandRunner {
    enum Limit {
        /// Bytes kept of each of stdout and stderr; more is read and dropped.
        static let outputBytes = 64 << 20
        /// How long the output is read on after the program's end, where something that it started keeps it open.
        static let drain = Span.seconds(2)
        /// Between two looks whether the program has ended.
        static let look = Span.milliseconds(250)
    }

    struct Output: Sendable {
        var status: Int
        var out: String
        var err: String
    }

    /// Runs to the end. `package` is the Debian package that has the program: it is named where that is missing.
    static func run(_ command: Command, package: String, timeout: Span) async throws -> Output {
        let program = try locate(command, package: package)
        let child = try Child(program, command)
        return try await withTaskCancellationHandler {
            try await Blocking.run { try child.wait(command, timeout: timeout) }
        } onCancel: {
            child.kill()
        }
    }

    private static func locate(_ command: Command, package: String) throws -> String {
        if command.program.contains("/") { return command.program }
        for folder in (command.environment["PATH"] ?? "/usr/bin:/bin").split(separator: ":") {
            let path = "\(folder)/\(command.program)"
            if access(path, X_OK) == 0 { return path }
        }
        throw Failure(
            .toolMissing, "the program \(command.program) is not installed",
            suggestion: "run `apt-get install \(package)` as root")
    }
}

/// A process that was started, and the pipes that it writes to.
private final class Child: Sendable {
    private let pid: pid_t
    private let out: Int32
    private let err: Int32

    init(_ program: String, _ command: Command) throws {
        // Sockets, since they are closed on exec from the start: a program that another task starts at the same
        // moment must not keep our end open.
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        var outPipe: [Int32] = [0, 0]
        var errPipe: [Int32] = [0, 0]
        guard socketpair(AF_UNIX, kind, 0, &outPipe) == 0 else {
            throw HostFiles.failure(errno, "no pipe for a program", at: program)
        }
        guard socketpair(AF_UNIX, kind, 0, &errPipe) == 0 else {
            outPipe.forEach { close($0) }
            throw HostFiles.failure(errno, "no pipe for a program", at: program)
        }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, outPipe[1], 1)
        posix_spawn_file_actions_adddup2(&actions, errPipe[1], 2)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
        posix_spawnattr_setpgroup(&attributes, 0)
        let arguments = ([command.program] + command.arguments).map { strdup($0) } + [nil]
        let environment = command.environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { (arguments + environment).forEach { free($0) } }
        var started: pid_t = 0
        let status = posix_spawn(&started, program, &actions, &attributes, arguments, environment)
        close(outPipe[1])
        close(errPipe[1])
        pid = started
        out = outPipe[0]
        err = errPipe[0]
        guard status == 0 else {
            close(out)
            close(err)
            throw HostFiles.failure(status, "the program cannot be started", at: program)
        }
    }

    func kill() { _ = Glibc.kill(-pid, SIGKILL) }

    /// Whether the process has ended; it stays to be reaped.
    private var hasEnded: Bool {
        var info = siginfo_t()
        // Nothing is written there while it runs.
        return waitid(P_PID, id_t(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_signo == SIGCHLD
    }

    /// Reads both pipes to their ends, or a little longer than the process lives, and reaps it. Called once.
    func wait(_ command: Command, timeout: Span) throws -> CommandRunner.Output {
        let deadline = DispatchTime.now().uptimeNanoseconds + UInt64(timeout.milliseconds) * 1_000_000
        var texts: [[UInt8]] = [[], []]
        var polls = [
            pollfd(fd: out, events: Int16(POLLIN), revents: 0),
            pollfd(fd: err, events: Int16(POLLIN), revents: 0),
        ]
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        var isLate = false
        // A program of its own session that it left behind may hold the output open for ever.
        var end: UInt64?
        while polls.contains(where: { $0.fd >= 0 }) {
            let now = DispatchTime.now().uptimeNanoseconds
            if now >= deadline, !isLate {
                isLate = true
                kill()
            }
            if end == nil, hasEnded {
                end = now + UInt64(CommandRunner.Limit.drain.milliseconds) * 1_000_000
            }
            if let end, now >= end { break }
            poll(&polls, 2, Int32(CommandRunner.Limit.look.milliseconds))
            for index in polls.indices where polls[index].fd >= 0 && polls[index].revents != 0 {
                let count = read(polls[index].fd, &buffer, buffer.count)
                if count > 0 {
                    let room = CommandRunner.Limit.outputBytes - texts[index].count
                    texts[index].append(contentsOf: buffer[..<min(count, room)])
                } else if count == 0 || errno != EINTR {
                    polls[index].fd = -1
                }
            }
        }
        close(out)
        close(err)
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        if isLate {
            throw Failure(
                .timedOut, "\(command.program) did not end within \(timeout)",
                suggestion: "see whether the mirror answers, then try again")
        }
        let signal = Int(status & 0x7f)
        return CommandRunner.Output(
            status: signal == 0 ? Int((status >> 8) & 0xff) : 128 + signal,
            out: String(decoding: texts[0], as: UTF8.self), err: String(decoding: texts[1], as: UTF8.self))
    }
}
