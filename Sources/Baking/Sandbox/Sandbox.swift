import Glibc
import Model

/// One command in a world of its own: which files it sees, who it is, and what it may use up. A value; `SandboxRun`
/// makes it real.
///
/// It always has user, mount, process, IPC, host name and network namespaces of its own, an empty /dev with the usual
/// harmless devices, a /proc of its own, and no way to gain rights.
struct Sandbox: Hashable, Sendable {
    /// The folder on this host that is its `/`. Owners in it are shifted by `owners.first`.
    var root: String
    var isRootReadOnly = false
    /// In this order; a later one may lie inside an earlier one.
    var mounts: [Mount] = []
    /// The program by its path inside, and its arguments.
    var command: [String]
    /// The whole environment.
    var environment: [String: String]
    var workingDirectory = "/"
    var user = 0
    var group = 0
    /// False: a network namespace with a loopback and nothing else.
    var hasNetwork = false
    var hostname = "kiln"
    var owners = Owners.ofThisProcess
    var capabilities = Sandbox.installerCapabilities
    var limits = Limits()

    /// What installing software takes, valid for its own users and files only.
    static let installerCapabilities = [
        "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETFCAP", "CAP_SETGID",
        "CAP_SETUID",
    ]

    /// A place in the sandbox that is not the root's.
    struct Mount: Hashable, Sendable {
        enum Source: Hashable, Sendable {
            /// A file or folder of this host.
            case host(String, isReadOnly: Bool)
            /// The bytes of a file of this host, in memory only, for user 0 to read.
            case secret(String)
            /// Memory, gone with the sandbox; at most so many bytes.
            case memory(bytes: Int, mode: Int)
        }

        /// Absolute path inside; made where it is missing.
        var path: String
        var source: Source

        static func readOnly(_ host: String, at path: String) -> Mount {
            Mount(path: path, source: .host(host, isReadOnly: true))
        }
        static func writable(_ host: String, at path: String) -> Mount {
            Mount(path: path, source: .host(host, isReadOnly: false))
        }
        static func secret(_ host: String, at path: String) -> Mount {
            Mount(path: path, source: .secret(host))
        }
        static func memory(at path: String, bytes: Int = 64 << 20, mode: Int = 0o755) -> Mount {
            Mount(path: path, source: .memory(bytes: bytes, mode: mode))
        }
    }

    /// The users and groups 0…65535 of a sandbox, as numbers of this host that own nothing on it.
    struct Owners: Hashable, Sendable {
        /// The host's number of user 0 and of group 0.
        var first: Int

        static let count = 65_536
        private static let lowest = 0x7000_0000
        private static let ranges = 1024

        /// Two programs that run at once have different ranges, mostly: the kernel counts processes by user.
        static var ofThisProcess: Owners { Owners(first: lowest + Int(getpid()) % ranges * count) }
    }

    /// What it may use up; whoever goes beyond is ended, and told which bound it was.
    struct Limits: Hashable, Sendable {
        var time = Span.seconds(300)
        /// Resident bytes of all its processes together; each alone can map no more than twice of it.
        var memory = 2 << 30
        /// At once. The kernel itself lets it have twice as many, so that whoever has too many is seen.
        var processes = 256
        /// Bytes that it writes to its standard output and error.
        var output = 16 << 20
        /// Bytes that `root` and what is mounted writable grow by, together.
        var disk = 2 << 30
        /// Bytes of all `secret` mounts together.
        static let secrets = 8 << 20
        var openFiles = 1024
    }
}
