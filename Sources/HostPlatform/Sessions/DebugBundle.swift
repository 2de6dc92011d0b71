internal import Glibc
internal import Model

/// The runtime configuration of a tool's process beside an instance: the namespaces are the instance's, the files are
/// the tool image's, and the rights are those of the instance's own first process.
struct DebugBundle {
    let session: Session
    /// The bundle of the instance.
    let instance: String
    /// The instance's first process.
    let process: Int32
    let tools: ImageConfig
    /// Where the tools are for us, and where they are for the runtime; nil: there as well.
    let toolRoot: String
    let seenRoot: String?
    let group: String
    let folder: String
    /// Of the instance: by it a later daemon knows whose command this is.
    let mark: String?

    /// The kinds of namespaces that are joined, by their names in a configuration and in /proc/PID/ns.
    private static let joined = ["pid": "pid", "ipc": "ipc", "uts": "uts", "network": "net", "user": "user"]
    /// Where mounts go that are not of the instance's own files.
    private static let systemMounts = ["/proc", "/dev", "/sys", "/dev/pts", "/dev/shm"]

    func write() throws {
        guard let bytes = Files.read(instance + "/config.json"),
            case .object(var configuration) = try JSONValue(parsing: bytes)
        else { throw Failure(.notFound, "the instance has no bundle", at: instance) }
        configuration["root"] = .object(["path": .string(seenRoot ?? toolRoot), "readonly": .bool(true)])
        configuration["process"] = process(configuration["process"])
        configuration["mounts"] = try .array(mounts(configuration["mounts"]))
        configuration["linux"] = linux(configuration["linux"])
        // They belong to the namespaces, which have theirs.
        configuration["hostname"] = nil
        configuration["hooks"] = nil
        try Files.makeFolder(folder, mode: 0o711)
        try Files.replace(
            folder + "/config.json", with: JSONValue.object(configuration).bytes, durably: false, mode: 0o600)
    }

    /// The instance's user, capabilities and limits; the tools' command, folders and variables.
    private func process(_ own: JSONValue?) -> JSONValue {
        var members = own?.members ?? [:]
        var variables = tools.environment
        variables["PATH"] =
            variables["PATH"] ?? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        if let mark { variables[Lineage.variable] = mark }
        members["args"] = .array(session.command.map { .string($0) })
        members["cwd"] = .string("/")
        if let terminal = session.terminal { variables["TERM"] = terminal.type }
        members["env"] = .array(variables.sorted { $0.key < $1.key }.map { .string("\($0.key)=\($0.value)") })
        members["terminal"] = .bool(false)
        return .object(members.merging(session.terminal?.members ?? [:]) { $1 })
    }

    private func mounts(_ own: JSONValue?) throws -> [JSONValue] {
        let tree = ImageTree(root: toolRoot)
        return try (own?.elements ?? []).filter { mount in
            guard let place = mount["destination"]?.text, DebugBundle.systemMounts.contains(place) else {
                return false
            }
            // What is below /dev needs no place in the image.
            guard place.split(separator: "/").count > 1 || tree.entry(place)?.isFolder == true else {
                throw Failure(
                    .launchFailed, "the tool image has no folder \(place), which is needed as a mount point",
                    at: place, suggestion: "add the folder to the image, or use another one")
            }
            return true
        }
    }

    private func linux(_ own: JSONValue?) -> JSONValue {
        var members = own?.members ?? [:]
        members["cgroupsPath"] = .string("/" + group)
        members["namespaces"] = .array(
            (members["namespaces"]?.elements ?? []).map { namespace in
                guard let kind = namespace["type"]?.text, let name = DebugBundle.joined[kind] else {
                    return .object(["type": namespace["type"] ?? .null])
                }
                return .object(["type": .string(kind), "path": .string("/proc/\(process)/ns/\(name)")])
            })
        // Settings and mappings of namespaces that are there already.
        for name in ["sysctl", "uidMappings", "gidMappings"] { members[name] = nil }
        return .object(members)
    }
}

extension Session.Terminal {
    /// As a runtime-spec `process` has it: the size is there before the command looks.
    var members: [String: JSONValue] {
        [
            "terminal": .bool(true),
            "consoleSize": .object(["height": .number(rows), "width": .number(columns)]),
        ]
    }
}
