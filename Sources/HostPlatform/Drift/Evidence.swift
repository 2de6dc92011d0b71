internal import Crypto
internal import FoundationEssentials
internal import Glibc
package import Model
internal import Threads

extension HostPlatform {
    package func keepEvidence(of id: InstanceID, about drifts: [Drift]) async throws -> KeptEvidence {
        guard let known = known(id)?.0 else {
            throw Failure(.notFound, "there is no instance \(id)", at: id.text)
        }
        let group = runtime.groups.processes(in: runtime.group(of: id.text))
        return try await Blocking.run { [self] in
            try Evidence(
                root: root, name: id.text,
                of: [
                    "instance": .string(id.text), "image": .string(known.record.image.description),
                    "release": .string("\(known.record.release)"),
                ], first: known.running?.process, group: group, log: root.log(id)
            )
            .write(about: drifts)
        }
    }
}

/// What can be said of an instance before it is replaced, in one file.
struct Evidence {
    let root: HostRoot
    /// What its files begin with.
    let name: String
    /// What it is about.
    let of: [String: JSONValue]
    let first: LiveProcess?
    /// Those in its control group.
    let group: Set<Int32>
    /// The file with what it wrote, where it has one.
    var log: String?

    enum Limit {
        static let processes = 200
        /// Of each process.
        static let descriptors = 100
        static let lines = 200
        static let lineBytes = 2000
        static let text = 4096
        /// Characters of where a link or a descriptor leads to.
        static let link = 512
        static let mounts = 64 << 10
        /// Bytes of the whole file: the rest of what would make it longer is left out, and said so.
        static let bytes = 1 << 20
        /// Files that are kept; the oldest go first.
        static let kept = 100
    }

    /// Writes the file whole, or throws and leaves nothing.
    func write(about drifts: [Drift]) throws -> KeptEvidence {
        let bytes = try content(about: drifts)
        try Files.makeFolder(root.evidence, mode: 0o700)
        let names = Files.names(in: root.evidence)
        // The names of one instance end with a number that only grows.
        let used = names.compactMap { name in
            name.hasPrefix("\(self.name)-") && name.hasSuffix(".json")
                ? Int(name.dropFirst(self.name.count + 1).dropLast(5)) : nil
        }
        let path = "\(root.evidence)/\(name)-\((used.max() ?? 0) + 1).json"
        try Files.replace(path, with: bytes, durably: true, mode: 0o600)
        trim()
        return KeptEvidence(digest: Model.Digest(bytes: SHA256.hash(data: bytes)), path: path)
    }

    private func trim() {
        let names = Files.names(in: root.evidence)
        guard names.count > Limit.kept else { return }
        let dated = names.map { name -> (Int, Int, String) in
            var info = stat()
            _ = lstat("\(root.evidence)/\(name)", &info)
            return (info.st_mtim.tv_sec, info.st_mtim.tv_nsec, name)
        }
        for (_, _, name) in dated.sorted(by: <).prefix(names.count - Limit.kept) {
            unlink("\(root.evidence)/\(name)")
        }
    }

    // MARK: Content

    private func content(about drifts: [Drift]) throws -> [UInt8] {
        var parts = of
        parts["at"] = .string("\(HostPlatform.now)")
        parts["drifts"] = try JSONValue(parsing: Array(JSONEncoder().encode(drifts)))
        let members = processes
        // The most telling first: what no longer fits is left out.
        let rest: [(String, () -> JSONValue)] = [
            ("processes", { .array(members.map(process)) }), ("log", { lines }), ("scratch", { scratch }),
            ("sockets", { sockets }), ("mounts", { mounts }),
        ]
        var leftOut: [JSONValue] = []
        for (name, part) in rest {
            let room = Limit.bytes - JSONValue.object(parts).bytes.count
            let (value, isWhole) = Evidence.fitting(part(), in: room, keepsEnd: name == "log")
            parts[name] = value
            if !isWhole { leftOut.append(.string(name)) }
        }
        parts["left-out"] = .array(leftOut)
        return JSONValue.object(parts).bytes
    }

    /// As much of a list, or of each of some lists, as has room: halves of it, until one fits.
    ///
    /// - Parameter keepsEnd: whether the last ones say more than the first ones
    static func fitting(_ value: JSONValue, in room: Int, keepsEnd: Bool = false) -> (
        JSONValue?, isWhole: Bool
    ) {
        func half(_ value: JSONValue) -> JSONValue? {
            switch value {
            case .array(let all) where !all.isEmpty:
                return .array(Array(keepsEnd ? all.suffix(all.count / 2) : all.prefix(all.count / 2)))
            case .object(let members):
                let less = members.mapValues { half($0) ?? $0 }
                return less == members ? nil : .object(less)
            default: return nil
            }
        }
        var rest = value
        while rest.bytes.count >= room {
            guard let less = half(rest) else { return (nil, false) }
            rest = less
        }
        return (rest, rest == value)
    }

    /// All that are in its control group or in one of its namespaces.
    private var processes: [ProcessView] {
        guard let first, let own = ProcessView(first.pid), own.startTime == first.startTime else {
            return group.sorted().prefix(Limit.processes).compactMap { ProcessView($0) }
        }
        let here = ProcessView(getpid())?.namespaces ?? Namespaces()
        let found = ProcessFile.numbers().compactMap { ProcessView($0) }.filter { view in
            group.contains(view.pid)
                || (0..<Namespaces.own).contains { index in
                    let inode = view.namespaces.inodes[index]
                    return inode != 0 && inode == own.namespaces.inodes[index] && inode != here.inodes[index]
                }
        }
        return Array(found.sorted { $0.pid < $1.pid }.prefix(Limit.processes))
    }

    private func process(_ view: ProcessView) -> JSONValue {
        let status = ProcessFile.read(view.pid, "status", limit: 8192).flatMap {
            ProcessConfinement(status: $0)
        }
        let arguments = (ProcessFile.read(view.pid, "cmdline", limit: Limit.text) ?? []).split(separator: 0)
        let files = Files.names(in: "/proc/\(view.pid)/fd", most: Limit.descriptors).compactMap { name in
            ProcessFile.link("/proc/\(view.pid)/fd/\(name)").map {
                JSONValue.string("\(name) \($0.prefix(Limit.link))")
            }
        }
        return .object([
            "pid": .number(Int(view.pid)), "parent": .number(Int(view.parent)),
            "started": .number(Int(truncatingIfNeeded: view.startTime)),
            "program": .string(view.programPath ?? ""),
            "arguments": .array(arguments.map { .string(String(decoding: $0, as: UTF8.self)) }),
            "users": .array((status?.users ?? []).map { .number(Int($0)) }), "files": .array(files),
        ])
    }

    private var mounts: JSONValue {
        guard let table = text("mountinfo", limit: Limit.mounts) else { return .null }
        return .array(table.split(separator: "\n").map { .string(String($0)) })
    }

    private var sockets: JSONValue {
        .object(
            Dictionary(
                uniqueKeysWithValues: ["tcp", "tcp6", "udp", "udp6", "unix"].map { name in
                    let rows = (text("net/\(name)", limit: Limit.mounts) ?? "").split(separator: "\n")
                    return (name, JSONValue.array(rows.map { .string(String($0)) }))
                }))
    }

    private func text(_ name: String, limit: Int) -> String? {
        guard let first, first.isAlive else { return nil }
        return ProcessFile.read(first.pid, name, limit: limit).map { String(decoding: $0, as: UTF8.self) }
    }

    private var lines: JSONValue {
        .array(
            (log.map { LogFile(path: $0).lines(Limit.lines) } ?? []).map {
                .string("\($0.at) \($0.stream) \($0.text.prefix(Limit.lineBytes))")
            })
    }

    private var scratch: JSONValue {
        guard let first, first.isAlive, let table = ProcessFile.read(first.pid, "mountinfo") else {
            return .null
        }
        var walk = ScratchWalk(root: "/proc/\(first.pid)/root")
        for mount in MountList(table).mounts
        where mount.rest.contains(" tmpfs ") && !mount.path.hasPrefix("/proc") { walk.visit(mount.path) }
        return .array(walk.files)
    }
}
