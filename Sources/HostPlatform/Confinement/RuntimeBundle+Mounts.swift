internal import Glibc
internal import Model

extension RuntimeBundle {
    private struct SystemMount {
        var destination: String
        var type: String
        var options: [String]

        var json: JSONText {
            [
                "destination": .text(destination), "type": .text(type), "source": .text(type),
                "options": .texts(options),
            ]
        }
    }

    private static let systemMounts = [
        SystemMount(destination: "/proc", type: "proc", options: ["nosuid", "noexec", "nodev"]),
        SystemMount(
            destination: "/dev", type: "tmpfs",
            options: ["nosuid", "noexec", "strictatime", "mode=755", "size=64k"]),
        // Not the kernel's own: it shows the whole host, and only who owns the network may mount it.
        SystemMount(
            destination: "/sys", type: "tmpfs",
            options: ["nosuid", "noexec", "nodev", "ro", "mode=755", "size=64k"]),
    ]

    /// What allocators and language runtimes ask /sys about: processors, memory nodes, large pages.
    private static let kernelFolders = [
        "/sys/devices/system/cpu", "/sys/devices/system/node", "/sys/kernel/mm/transparent_hugepage",
    ].filter { Files.exists($0) }

    /// Bytes of /dev/shm, where the instance's memory is not less.
    private static let sharedMemory = 64 << 20

    /// Below /dev, so they need no place in the image.
    private var deviceMounts: [SystemMount] {
        [
            SystemMount(
                destination: "/dev/pts", type: "devpts",
                options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]),
            SystemMount(
                destination: "/dev/shm", type: "tmpfs",
                options: [
                    "nosuid", "noexec", "nodev", "mode=1777",
                    "size=\(min(RuntimeBundle.sharedMemory, run.limits.memory.bytes))",
                ]),
        ]
    }

    /// Everything that is mounted on the image, in order.
    func mounts(in tree: ImageTree, _ user: User) throws -> [JSONText] {
        var mounts = try RuntimeBundle.systemMounts.map { mount in
            try requireFolder(mount.destination, in: tree, for: "every instance")
            return mount.json
        }
        mounts += RuntimeBundle.kernelFolders.map { RuntimeBundle.bind($0, at: $0) }
        mounts += deviceMounts.map(\.json)
        mounts += try run.scratch.map { try scratchMount($0, in: tree, user: user) }
        return try mounts + nameFiles(in: tree)
    }

    private static func bind(_ source: String, at destination: String) -> JSONText {
        [
            "destination": .text(destination), "type": "bind", "source": .text(source),
            "options": ["bind", "ro", "nosuid", "nodev", "noexec"],
        ]
    }

    private func requireFolder(_ path: String, in tree: ImageTree, for whom: String) throws {
        guard let entry = tree.entry(path), entry.isFolder else {
            throw Failure(
                .launchFailed, "the image has no folder \(path), which \(whom) needs as a mount point",
                at: path,
                suggestion: "add the folder \(path) to the image: the root of an instance is read-only")
        }
    }

    /// A tmpfs that begins with what the image has there, so that folders which a program expects exist with their
    /// owners and modes. Its top belongs to the image's user, who could not write there otherwise.
    private func scratchMount(_ scratch: ScratchMount, in tree: ImageTree, user: User) throws -> JSONText {
        try requireFolder(scratch.path, in: tree, for: "`scratch`")
        let entry = tree.entry(scratch.path)
        let isForAll = (entry?.mode ?? 0) & 0o1002 == 0o1002
        let owner = isForAll ? ["mode=1777"] : ["mode=0755", "uid=\(user.uid)", "gid=\(user.gid)"]
        let options =
            ["nosuid", "noexec", "nodev", "tmpcopyup", "size=\(scratch.size.bytes)"] + owner
        return [
            "destination": .text(entry?.path ?? scratch.path), "type": "tmpfs", "source": "tmpfs",
            "options": .texts(options),
        ]
    }

    /// /etc/hosts, /etc/hostname and /etc/resolv.conf, for images that have such files to mount them on.
    private func nameFiles(in tree: ImageTree) throws -> [JSONText] {
        let servers = (Files.text("/etc/resolv.conf", limit: 65_536) ?? "").split(separator: "\n").filter {
            // The host's own loopback is not the instance's.
            !$0.hasPrefix("nameserver 127.") && !$0.hasPrefix("nameserver ::1")
        }
        let contents = [
            "hosts": "127.0.0.1 localhost\n::1 localhost\n\(address) \(id)\n",
            "hostname": "\(id)\n",
            "resolv.conf": servers.joined(separator: "\n") + "\n",
        ]
        return try contents.sorted { $0.key < $1.key }.compactMap { name, text in
            guard let entry = tree.entry("/etc/" + name), !entry.isFolder else { return nil }
            try Files.replace("\(folder)/\(name)", with: text, durably: false)
            return RuntimeBundle.bind("\(folder)/\(name)", at: entry.path)
        }
    }
}
