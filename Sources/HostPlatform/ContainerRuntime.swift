internal import CLinux
internal import Glibc
internal import Model
internal import Threads

/// The OCI runtime that works on this host, and how it has to be called.
struct ContainerRuntime: Sendable {
    let program: String
    let path: String
    let root: HostRoot
    let groups: ControlGroups
    /// What is executed: `path`, or a copy of it.
    let executable: String
    /// crun wants no container to be able to write to it: unless it is sealed in memory already, it mounts itself
    /// read-only and executes itself once more, at every call.
    private let copy: Descriptor?
    /// crun refuses hosts that mount both cgroup versions; in a mount namespace where version 2 is covered it
    /// works, and its limits hold.
    let hidesUnified: Bool
    /// Where the runtime is called: what it must not see is not in there.
    let mounts: PrivateMounts
    /// Why instances have no user namespace of their own here; nil: they have.
    private(set) var lacksUserNamespaces: String?

    private init(_ program: String, at path: String, root: HostRoot, groups: ControlGroups) throws {
        self.program = program
        self.path = path
        self.root = root
        self.groups = groups
        hidesUnified = program == "crun" && groups.isHybrid
        mounts = try PrivateMounts(
            covered: hidesUnified ? groups.unified : [], unmounted: root.imageMounts)
        let number = program == "crun" ? kiln_sealed_copy(path) : -1
        copy = number >= 0 ? Descriptor(number) : nil
        executable = number >= 0 ? "/proc/\(getpid())/fd/\(number)" : path
    }

    /// The quicker one first.
    static let all = ["crun", "runc"]

    /// The first that makes a container with limits which really hold.
    ///
    /// - Parameter wantsUserNamespaces: whether instances get a user namespace each, where that works
    static func detect(
        _ root: HostRoot, among programs: [String] = all, wantsUserNamespaces: Bool = true
    ) async throws -> ContainerRuntime {
        let groups = ControlGroups.detect()
        var reasons: [String] = []
        for program in programs {
            guard let path = Tool.find(program) else { continue }
            var runtime = try ContainerRuntime(program, at: path, root: root, groups: groups)
            runtime.lacksUserNamespaces =
                wantsUserNamespaces ? UserRange.whyImpossible(with: program) : "not wanted for this platform"
            if runtime.lacksUserNamespaces == nil {
                guard let reason = await runtime.probe(UserRange.probe) else { return runtime }
                runtime.lacksUserNamespaces = "\(program): \(reason)"
            }
            if let reason = await runtime.probe(nil) {
                reasons.append("\(program): \(reason)")
            } else {
                return runtime
            }
        }
        guard !reasons.isEmpty else {
            throw Failure(
                .toolMissing, "neither crun nor runc is installed", suggestion: "apt-get install crun runc")
        }
        throw Failure(
            .launchFailed, "no container runtime works here: \(reasons.joined(separator: "; "))",
            suggestion: "kiln doctor says what this host lacks")
    }

    // MARK: Calls

    /// Like `mounts`, for the monitors of one image's instances: each holds what it sees for as long as it lives.
    func mounts(for image: Digest) throws -> PrivateMounts {
        let others = root.imageMounts.filter { $0 != root.imageMount(image) }
        return try PrivateMounts(covered: hidesUnified ? groups.unified : [], unmounted: others)
    }

    var globalArguments: [String] {
        // The plain cgroup manager works with and without systemd.
        program == "crun"
            ? ["--root", root.runtimeState, "--cgroup-manager", "cgroupfs"] : ["--root", root.runtimeState]
    }

    func command(_ arguments: [String]) -> Command { Command(executable, globalArguments + arguments) }

    func group(of id: String) -> String { "\(root.cgroup)/\(id)" }

    /// Lets the program of a created container begin.
    func startNow(_ id: InstanceID) throws {
        if program == "crun", openGate(of: id) { return }
        let result = try ProcessRunner().runNow(
            command(["start", id.text]), mounts: mounts, limit: Limit.start)
        guard result.status == 0 else {
            throw Failure(.launchFailed, ContainerRuntime.reason(in: result.errors))
        }
    }

    /// What `crun start` does, without another process: a created container waits for a byte in its `exec.fifo`, and
    /// counts as running once that is gone. False where there is no such gate.
    private func openGate(of id: InstanceID) -> Bool {
        let path = "\(root.runtimeState)/\(id)/exec.fifo"
        // Never waits for a reader: one that does not read yet is not ours to wait for.
        let gate = Descriptor(open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC))
        guard gate.number >= 0, unlink(path) == 0 else { return false }
        var byte: UInt8 = 0
        return write(gate.number, &byte, 1) == 1
    }

    /// The last line that a runtime wrote, without its decoration.
    static func reason(in text: String) -> String {
        let line = text.split(separator: "\n").last.map(String.init) ?? "it gave no reason"
        // runc writes `time=… level=error msg="…"`.
        let marker = Array("msg=\"".utf8)
        let bytes = Array(line.utf8)
        guard bytes.count > marker.count,
            let start = (0...(bytes.count - marker.count)).first(where: {
                bytes[$0..<($0 + marker.count)].elementsEqual(marker)
            })
        else { return line }
        let message = String(decoding: bytes[(start + marker.count)...], as: UTF8.self)
        return message.replacing("\\\"", with: "'").prefix { $0 != "\"" }.description
    }

    // MARK: The probe

    /// Makes a container out of the host's own programs, without starting it, and looks whether its limit arrived.
    /// nil: it works; otherwise the reason why not.
    private func probe(_ users: UserRange?) async -> String? {
        let id = "probe-\(root.tag)"
        // Not in the root folder, where the users of a range may not go.
        let folder = "\(root.bundles)/\(id)-\(program)"
        defer {
            _ = groups.clear(group(of: id))
            try? Files.removeTree("\(root.runtimeState)/\(id)")
            try? Files.removeTree(folder)
        }
        do {
            try Files.makeFolder(root.runtimeState, mode: 0o700)
            try Files.makeFolder(root.bundles, mode: 0o711)
            for name in ["proc", "dev", "sys", "bin", "lib", "lib64", "usr"] {
                try Files.makeFolder("\(folder)/rootfs/\(name)")
            }
            try Files.replace(
                folder + "/config.json", with: probeConfiguration(folder, group: group(of: id), users),
                durably: false)
            // Its standard streams must not be captured: a created container keeps them.
            let result = try await Blocking.run {
                let null = mounts.null
                let log = folder + "/errors"
                let errors = Descriptor(open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600))
                let child = try Child.start(
                    command(["create", "--bundle", folder, id]), input: null.number, output: null.number,
                    errors: errors.number, mounts: mounts)
                return (child.wait(), Files.text(log, limit: 65_536) ?? "")
            }
            guard result.0 == 0 else { return ContainerRuntime.reason(in: result.1) }
            let limit = groups.memoryLimit(of: group(of: id))
            _ = try await ProcessRunner().run(
                command(["delete", "--force", id]), mounts: mounts, limit: Limit.start)
            return limit == ContainerRuntime.probeMemory ? nil : "its memory limit does not hold"
        } catch {
            return "\(error)"
        }
    }

    private static let probeMemory = 64 << 20

    private func probeConfiguration(_ folder: String, group: String, _ users: UserRange?) -> String {
        let binds = ["bin", "lib", "lib64", "usr"].filter { Files.exists("/" + $0) }.map { name -> JSONText in
            [
                "destination": .text("/" + name), "type": "bind", "source": .text("/" + name),
                "options": ["rbind", "ro"],
            ]
        }
        // Where the users of a range may make devices.
        let systems: [JSONText] = [("/proc", "proc"), ("/dev", "tmpfs")].map { folder, type in
            ["destination": .text(folder), "type": .text(type), "source": .text(type)]
        }
        let namespaces: [JSONText] = ["pid", "mount", "ipc", "uts", "cgroup", "network"].map {
            ["type": .text($0)]
        }
        let linux: [(String, JSONText)] = [
            ("cgroupsPath", .text("/" + group)),
            ("namespaces", .list(namespaces + (users == nil ? [] : [UserRange.namespace]))),
            (
                "resources",
                [
                    "memory": ["limit": .number(ContainerRuntime.probeMemory)],
                    "cpu": ["quota": 50_000, "period": 100_000], "pids": ["limit": 16],
                ]
            ),
            ("seccomp", .written(SystemCallFilter.configuration)),
        ]
        let configuration: JSONText = [
            "ociVersion": "1.0.2",
            "process": [
                "user": ["uid": 0, "gid": 0], "args": ["/bin/true"], "cwd": "/",
                "env": ["PATH=/bin:/usr/bin"],
                "noNewPrivileges": true,
            ],
            "root": ["path": .text(folder + "/rootfs"), "readonly": true],
            "mounts": .list(systems + binds),
            "linux": .object(linux + (users?.settings ?? [])),
        ]
        return configuration.encoded
    }
}
