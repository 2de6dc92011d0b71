internal import ArgumentParser
internal import Model
internal import WireAPI

struct Inspect: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what confines an instance, and what would loosen it.",
        discussion: """
            Read from its first process and its control group as the host sees them now, not from what was asked for.

            Examples:
              kiln inspect hello-r2-5
              kiln inspect hello-r2-5 --output json
            """)

    @Argument(help: "An instance, as `kiln status` names it.")
    var instance: String
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let id = try InstanceID(instance)
        let confinement = try await daemon.withDaemon { client in
            try await client.get(WirePath.confinement(id), as: ConfinementAnswer.self).confinement
        }
        switch output.output {
        case .json: try Screen.answer(ConfinementAnswer(confinement: confinement))
        case .text: Screen.answer(confinement.text)
        }
    }
}

extension Confinement {
    /// For people: what holds it, what it was allowed, and what is missing.
    var text: String {
        let own = namespaces.filter(\.isOwn).map(\.kind)
        let shared = namespaces.filter { !$0.isOwn }.map(\.kind)
        var rows = [
            ["instance", "\(instance), release \(release), image sha256:\(image.short)"],
            ["process", "\(processID), made by \(runtime)"],
            ["user", userText],
            [
                "namespaces",
                own.joined(separator: ", ")
                    + (shared.isEmpty ? "" : "; of the host: \(shared.joined(separator: ", "))"),
            ],
            ["capabilities", capabilities.isEmpty ? "none" : capabilities.joined(separator: ", ")],
            ["new privileges", hasNoNewPrivileges ? "cannot be gained" : warned("can be gained")],
            ["system calls", filtersSystemCalls ? "by a list" : warned("all")],
            ["limits", limits.text],
        ]
        rows += mounts.enumerated().map { index, mount in
            [
                index == 0 ? "mounts" : "",
                "\(mount.path) \(mount.type) \(mount.options.joined(separator: ","))",
            ]
        }
        rows += allowed.map { [warned("allowed"), "\($0.name): \($0.reason)"] }
        rows += lacks.map { [warned("lacks"), $0] }
        return Screen.table(rows.map { [$0[0].isEmpty ? "" : $0[0], $0[1]] })
    }

    private var userText: String {
        guard let range = users.first(where: { $0.outside <= user && user - $0.outside < $0.count }) else {
            return "\(user):\(group), the host's own"
        }
        return "\(user - range.outside + range.inside) inside, \(user) outside "
            + "(\(range.outside) to \(range.outside + range.count - 1) are its)"
    }

    private func warned(_ text: String) -> String { Screen.coloured(text, .red) }
}

extension Confinement.Limits {
    fileprivate var text: String {
        [
            "memory " + (memory.map { "\(ByteCount(bytes: $0))" } ?? "unlimited"),
            memoryAndSwap.map { "with swap \(ByteCount(bytes: $0))" } ?? "swap unlimited",
            "cpu " + (milliCPU.map { "\(Double($0) / 1000)" } ?? "unlimited"),
            "pids " + (pids.map(String.init) ?? "unlimited"),
            "files " + (openFiles.map(String.init) ?? "unlimited"),
            coreFile.map { $0 < 4096 } == true ? "no core files" : "core files",
        ].joined(separator: ", ")
    }
}
