internal import CLinux
internal import Glibc
internal import Model

/// Looks whether this host has what instances, the router and bakes need, and says what to do where it has not.
package struct HostDoctor: Sendable {
    /// One thing that has to be right.
    package struct Check: Hashable, Sendable, Codable {
        package var name: String
        package var isFine: Bool
        /// What was seen: a version, a path, a reason.
        package var found: String
        /// The command or change that mends it; nil where nothing is to mend.
        package var suggestion: String?
    }

    private static let oldestProxy = [2, 4]
    private static let versionLimit = Span.seconds(10)

    private let runner = ProcessRunner()

    package init() {}

    /// Every check, in the order in which a user would mend them. Changes nothing that lasts.
    package func checks() async -> [Check] {
        var checks = [root]
        for program in ["conmon", "mkfs.erofs", "gpgv", "apt-get"] { checks.append(tool(program)) }
        checks.append(await proxy())
        checks.append(erofs)
        checks.append(controllers)
        checks.append(network)
        checks.append(await runtime())
        return checks
    }

    private var root: Check {
        let isRoot = geteuid() == 0
        return Check(
            name: "root", isFine: isRoot, found: "user \(geteuid())",
            suggestion: isRoot ? nil : "run the daemon as root")
    }

    private func tool(_ program: String) -> Check {
        let path = Tool.find(program)
        return Check(
            name: program, isFine: path != nil, found: path ?? "not installed",
            suggestion: path == nil ? Tool.package(of: program).map { "apt-get install \($0)" } : nil)
    }

    private func proxy() async -> Check {
        let install = "apt-get install haproxy (2.4 or later)"
        guard Tool.find("haproxy") != nil else {
            return Check(name: "haproxy", isFine: false, found: "not installed", suggestion: install)
        }
        let said =
            (try? await runner.run(Command("haproxy", ["-v"]), limit: HostDoctor.versionLimit))?.output ?? ""
        let words = said.split(separator: "\n").first?.split(separator: " ") ?? []
        let version = words.first { $0.first?.isNumber == true }.map(String.init) ?? "an unknown version"
        let numbers = version.split { !$0.isNumber }.prefix(2).compactMap { Int($0) }
        let isFine = !numbers.lexicographicallyPrecedes(HostDoctor.oldestProxy)
        return Check(name: "haproxy", isFine: isFine, found: version, suggestion: isFine ? nil : install)
    }

    private var erofs: Check {
        func isKnown() -> Bool {
            (Files.text("/proc/filesystems") ?? "").split(whereSeparator: \.isWhitespace).contains("erofs")
        }
        let module = "/sbin/modprobe"
        if !isKnown(), access(module, X_OK) == 0 {
            _ = try? runner.runNow(Command(module, ["erofs"]), limit: HostDoctor.versionLimit)
        }
        let isFine = isKnown()
        return Check(
            name: "erofs", isFine: isFine, found: isFine ? "in this kernel" : "unknown to this kernel",
            suggestion: isFine ? nil : "use a kernel with CONFIG_EROFS_FS (Linux 5.4 or later)")
    }

    private var controllers: Check {
        let groups = ControlGroups.detect()
        let missing = groups.missingControllers
        let kind = groups.isHybrid ? "versions 1 and 2" : groups.legacy.isEmpty ? "version 2" : "version 1"
        return Check(
            name: "cgroups", isFine: missing.isEmpty,
            found: missing.isEmpty ? kind : "\(kind), without \(missing.joined(separator: ", "))",
            suggestion: missing.isEmpty
                ? nil : "enable the controllers memory, cpu and pids in the kernel's boot options")
    }

    /// Makes a bridge and a cable in a namespace of its own, which ends with the look.
    private var network: Check {
        var namespace: Int32 = -1
        var socket: Int32 = -1
        let code = kiln_network_namespace(&namespace, &socket)
        guard code == 0 else {
            return Check(
                name: "network", isFine: false, found: "no namespaces: \(SystemFailure.text(code))",
                suggestion: "run as root, with network namespaces allowed")
        }
        let inside = Netlink(Descriptor(socket))
        let held = Descriptor(namespace)
        do {
            let (here, there) = (IPv4(0x0a80_0001), IPv4(0x0a80_0002))
            try inside.addBridge("kiln-check", hardware: here.hardware)
            guard let bridge = try inside.index(of: "kiln-check") else {
                throw Failure(.internalError, "the bridge vanished")
            }
            try inside.addCable(
                "kiln-cable", on: bridge, peer: "eth0", hardware: there.hardware, in: held.number)
            return Check(
                name: "network", isFine: true, found: "namespaces, bridges and veth", suggestion: nil)
        } catch {
            return Check(
                name: "network", isFine: false, found: "\(error)",
                suggestion:
                    "use a kernel with CONFIG_BRIDGE and CONFIG_VETH, and load the modules bridge and veth")
        }
    }

    /// Makes a container for the look.
    private func runtime() async -> Check {
        let folder = "/run/kiln-doctor-\(getpid())"
        defer { try? Files.removeTree(folder) }
        do {
            let root = try HostRoot(folder)
            defer { try? Files.removeTree(root.runFolder) }
            let runtime = try await ContainerRuntime.detect(root)
            defer { _ = runtime.groups.clear(root.cgroup) }
            let lacks =
                runtime.lacksUserNamespaces.map { ", without user namespaces: \($0)" }
                ?? ", with user namespaces"
            return Check(
                name: "container runtime", isFine: true, found: runtime.path + lacks,
                suggestion: runtime.lacksUserNamespaces == nil ? nil : "apt-get install crun")
        } catch {
            let failure = Failure.list(error)[0]
            return Check(
                name: "container runtime", isFine: false, found: failure.message,
                suggestion: failure.suggestion ?? "apt-get install crun runc")
        }
    }
}
