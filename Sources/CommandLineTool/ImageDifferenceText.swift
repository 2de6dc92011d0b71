internal import Model

extension ImageDifference {
    /// Files that are shown where nobody asked for all of them.
    private static let shown = 100

    /// For people: packages, settings, files, and what a host that has the one would have to fetch.
    func lines(all: Bool) -> [String] {
        var lines: [String] = []
        func section(_ name: String, _ rows: [String]) {
            if !rows.isEmpty { lines += [name] + rows.map { "  " + $0 } }
        }
        section(
            "packages",
            packages.map { package in
                switch package.kind {
                case .added: "+ \(package.name) \(package.to ?? "")"
                case .removed: "- \(package.name) \(package.from ?? "")"
                case .changed: "~ \(package.name) \(package.from ?? "") → \(package.to ?? "")"
                }
            })
        section("settings", config)
        var rows = files.prefix(all ? files.count : ImageDifference.shown).map { file in
            let sign = file.kind == .added ? "+" : file.kind == .removed ? "-" : "~"
            let what = file.what.isEmpty ? "" : "  (\(file.what.joined(separator: ", ")))"
            return "\(sign) /\(file.path)\(what)"
        }
        if rows.count < files.count { rows.append("and \(files.count - rows.count) more: --all shows them") }
        section("files", rows)
        if lines.isEmpty { lines = ["they hold and do the same"] }
        let size = ByteCount(bytes: bytesToFetch).readable
        lines.append("to fetch: \(size) in \(layersToFetch) of \(layers) layers")
        return lines
    }
}
