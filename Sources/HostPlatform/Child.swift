internal import CLinux
internal import Glibc
internal import Model

/// An open file that closes itself.
final class Descriptor: Sendable {
    let number: Int32

    init(_ number: Int32) { self.number = number }
    deinit { if number >= 0 { close(number) } }
}

/// A pipe whose ends do not survive an exec.
final class Pipe {
    let reading: Descriptor
    private(set) var writing: Descriptor

    init() throws {
        var ends: [Int32] = [-1, -1]
        let code = kiln_pipe(&ends)
        guard code == 0 else { throw SystemFailure.failure(code, "cannot make a pipe") }
        reading = Descriptor(ends[0])
        writing = Descriptor(ends[1])
    }

    func closeWriting() { writing = Descriptor(-1) }
}

/// A process that we started and have to wait for.
struct Child: Sendable {
    let pid: pid_t
    let descriptor: Descriptor

    /// Starts a program with exactly the command's environment. `inherited` become the descriptors 3, 4, …
    static func start(
        _ command: Command, input: Int32, output: Int32, errors: Int32, inherited: [Int32] = [],
        newSession: Bool = false, mounts: PrivateMounts? = nil
    ) throws -> Child {
        guard let path = Tool.find(command.program) else {
            throw Failure(
                .toolMissing, "there is no program \(command.program)",
                suggestion: Tool.package(of: command.program).map { "apt-get install \($0)" })
        }
        let variables = command.environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        let arguments = CStrings([command.program] + command.arguments)
        let environment = CStrings(variables)
        defer { withExtendedLifetime((arguments, environment, mounts)) {} }
        var pid: pid_t = 0
        var descriptor: Int32 = -1
        let code = inherited.withUnsafeBufferPointer { inherited in
            path.withCString { path in
                var request = kiln_spawn_request()
                request.program = path
                request.arguments = arguments.constantPointers
                request.environment = environment.constantPointers
                request.input = input
                request.output = output
                request.error = errors
                request.inherited = inherited.baseAddress
                request.inherited_count = inherited.count
                request.new_session = newSession ? 1 : 0
                request.mount_namespace = mounts?.namespace.number ?? -1
                return kiln_spawn(&request, &pid, &descriptor)
            }
        }
        guard code == 0 else {
            throw SystemFailure.failure(code, "cannot start \(command.program)", at: path)
        }
        return Child(pid: pid, descriptor: Descriptor(descriptor))
    }

    func signal(_ number: Int32) { _ = kiln_pidfd_signal(descriptor.number, number) }

    /// Waits for the end and reaps the process: its exit code, or 128 + the signal.
    func wait() -> Int {
        var status: Int32 = 0
        return kiln_pidfd_wait(descriptor.number, 1, &status) == 1 ? Int(status) : -1
    }
}

/// A mount namespace in which some things are not to be seen. Made once and held: a namespace for each process would
/// cost every one of them the copy of all mounts, and the kernel a grace period at its end.
package final class PrivateMounts: Sendable {
    let namespace: Descriptor
    /// /dev/null of in there. Runtimes make their standard streams the instance's own, and the host's device would stay
    /// so; of this one, nobody can change the owner or the mode.
    let null: Descriptor

    /// `covered` are hidden under an empty tmpfs, and what is written there goes with the namespace. `unmounted` are let go of, so that
    /// no process in there holds them for as long as it lives.
    init(covered: [String], unmounted: [String] = []) throws {
        let (covers, unmounts) = (CStrings(covered), CStrings(unmounted))
        defer { withExtendedLifetime((covers, unmounts)) {} }
        var (number, nullNumber): (Int32, Int32) = (-1, -1)
        let code = kiln_mount_namespace(covers.constants, unmounts.constants, &number, &nullNumber)
        guard code == 0 else { throw SystemFailure.failure(code, "cannot make a mount namespace") }
        namespace = Descriptor(number)
        null = Descriptor(nullNumber)
    }
}

/// A NULL-terminated list of C strings.
private final class CStrings {
    private let pointers: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
    private let count: Int

    init(_ strings: [String]) {
        count = strings.count
        pointers = .allocate(capacity: count + 1)
        for (index, string) in strings.enumerated() { (pointers + index).initialize(to: strdup(string)) }
        (pointers + count).initialize(to: nil)
    }

    /// As `execve` wants them.
    var constantPointers: UnsafePointer<UnsafeMutablePointer<CChar>?> { UnsafePointer(pointers) }

    var constants: UnsafePointer<UnsafePointer<CChar>?> {
        UnsafeRawPointer(pointers).assumingMemoryBound(to: UnsafePointer<CChar>?.self)
    }

    deinit {
        for index in 0..<count { free(pointers[index]) }
        pointers.deallocate()
    }
}

/// Where programs are, and which Debian package holds those that we use.
enum Tool {
    private static let folders = [
        "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin",
    ]

    static func find(_ program: String) -> String? {
        if program.hasPrefix("/") { return access(program, X_OK) == 0 ? program : nil }
        return folders.lazy.map { "\($0)/\(program)" }.first { access($0, X_OK) == 0 }
    }

    private static let packages = [
        "crun": "crun", "runc": "runc", "conmon": "conmon", "mkfs.erofs": "erofs-utils", "haproxy": "haproxy",
        "nft": "nftables", "gpgv": "gpgv", "apt-get": "apt", "mount": "mount",
    ]

    static func package(of program: String) -> String? { packages[program] }
}
