import Glibc
import ImageFormat
import Model

/// Runs sandboxes, one call each. Whatever the command does, no process and no mount of it is left when the call
/// returns, nor when this program is killed: it lives in a PID namespace whose first process dies with us.
struct SandboxRun {
    /// How a command ended that kept within its limits.
    struct Outcome: Hashable, Sendable {
        /// Its exit code, or 128 and the number of its signal.
        var status: Int
        /// The end of what it wrote to its standard output and error, in the order of writing.
        var output: String
    }

    /// A folder of the caller's, on a disk with space, empty; everything in it is the caller's to delete.
    let folder: String

    /// In the private mount namespace, control groups are hidden under a small memory file system: crun wants hosts
    /// with one version of them, and here it needs none. The same place holds what is mounted into a sandbox, since
    /// its users can reach it, and the folders above `root` perhaps not.
    private static let stage = "/sys/fs/cgroup"

    /// Runs the command to its end. Throws where a limit was passed, where the task was cancelled, and where there
    /// could be no sandbox.
    func run(_ sandbox: Sandbox) throws -> Outcome {
        let program = try SandboxRun.find("crun", package: "crun")
        let unshare = try SandboxRun.find("unshare", package: "util-linux")
        let setpriv = try SandboxRun.find("setpriv", package: "util-linux")
        guard geteuid() == 0 else {
            throw Failure(
                .notPermitted, "a sandbox with users of its own needs root",
                suggestion: "run this bake once as root; its record is kept in the store")
        }
        var script = [
            "set -e",
            "mount -t tmpfs -o mode=755,size=\(Sandbox.Limits.secrets + (1 << 20)) tmpfs \(SandboxRun.stage)",
        ]
        func stage(_ source: String, _ name: String) -> String {
            let place = "\(SandboxRun.stage)/\(name)"
            script.append(HostFiles.isFolder(source) ? "mkdir \(place)" : ": > \(place)")
            script.append("mount --rbind \(SandboxRun.quoted(source)) \(place)")
            return place
        }
        var configuration = SandboxConfiguration(
            sandbox: sandbox, rootPath: stage(sandbox.root, "root"), sources: [:])
        for (index, mount) in sandbox.mounts.enumerated() {
            switch mount.source {
            case .host(let path, _): configuration.sources[index] = stage(path, "mount\(index)")
            case .secret(let path):
                // The private mount namespace holds it, and is gone with its last process.
                let place = "\(SandboxRun.stage)/mount\(index)"
                let owner = sandbox.owners.first
                script.append("(umask 077; cat \(SandboxRun.quoted(path)) > \(place))")
                script += ["chown \(owner):\(owner) \(place)", "chmod 400 \(place)"]
                configuration.sources[index] = place
            case .memory: break
            }
        }
        try HostFiles.makeFolder("\(folder)/bundle")
        try HostFiles.makeFolder("\(folder)/state")
        try HostFiles.put("\(folder)/bundle/config.json", try configuration.document.bytes)
        script.append(
            "exec \(SandboxRun.quoted(program)) --root \(SandboxRun.quoted(folder + "/state")) "
                + "--cgroup-manager=disabled run --bundle \(SandboxRun.quoted(folder + "/bundle")) kiln")
        // The signal of a parent's death goes through every level: us, unshare, and the first process of the
        // namespace, with which all others in it die.
        let command = Command(
            setpriv,
            [
                "--pdeathsig", "KILL", unshare, "--mount", "--pid", "--fork", "--kill-child=KILL",
                "--mount-proc", "/bin/sh", "-c", script.joined(separator: "\n"),
            ])
        let process = try SandboxProcess(command)
        return try process.watch(
            sandbox.limits, folders: [folder, sandbox.root] + SandboxRun.writable(sandbox))
    }

    private static func writable(_ sandbox: Sandbox) -> [String] {
        sandbox.mounts.compactMap { mount in
            if case .host(let path, isReadOnly: false) = mount.source { path } else { nil }
        }
    }

    private static func find(_ program: String, package: String) throws -> String {
        for folder in ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/bin", "/sbin"] {
            let path = "\(folder)/\(program)"
            if access(path, X_OK) == 0 { return path }
        }
        throw Failure(
            .toolMissing, "the program \(program) is not installed",
            suggestion: "run `apt-get install \(package)` as root")
    }

    private static func quoted(_ text: String) -> String {
        "'" + text.replacing("'", with: "'\\''") + "'"
    }
}
