import ImageFormat

/// `/etc/pam.d/common-*`, as `pam-auth-update --package` (pam-auth-update(8)) makes them from the profiles of packages:
/// those that are on by default, the highest priority first.
struct PAMProfiles {
    private struct Profile {
        var file: String
        var fields: [String: String]
        var priority: Int { fields["Priority"].flatMap { Int($0) } ?? 0 }

        /// `Name: value` with the further lines of a field indented.
        init(file: String, text: String) {
            self.file = file
            fields = [:]
            var name = ""
            for line in text.split(separator: "\n") {
                if line.first?.isWhitespace == true {
                    let more = String(line.drop { $0.isWhitespace })
                    fields[name] = [fields[name] ?? "", more].filter { !$0.isEmpty }.joined(separator: "\n")
                } else if let colon = line.firstIndex(of: ":") {
                    name = String(line[..<colon])
                    fields[name] = String(line[line.index(after: colon)...].drop { $0.isWhitespace })
                }
            }
        }
    }

    private static let types = ["auth", "account", "password", "session", "session-noninteractive"]
    private static let folder = "/usr/share/pam-configs"
    private var profiles: [Profile] = []
    private var known: [Profile] = []

    /// The profiles of an image.
    init(_ tree: EffectTree) {
        for name in tree.names(in: PAMProfiles.folder) where !name.hasSuffix("~") && !name.hasPrefix("#") {
            guard let text = tree.text("\(PAMProfiles.folder)/\(name)") else { continue }
            let profile = Profile(file: name, text: text)
            known.append(profile)
        }
        // Of one priority the later name comes first, as there.
        known.sort {
            $0.priority != $1.priority ? $0.priority > $1.priority : TarEntry.precedes($1.file, $0.file)
        }
        let enabled = known.filter { $0.fields["Default"] == "yes" }
        for profile in enabled {
            let excluded = profiles.contains { other in
                PAMProfiles.conflicts(other).contains(profile.file)
                    || PAMProfiles.conflicts(profile).contains(other.file)
            }
            if !excluded { profiles.append(profile) }
        }
    }

    private static func conflicts(_ profile: Profile) -> [String] {
        (profile.fields["Conflicts"] ?? "").split { $0 == "," || $0.isWhitespace }.map(String.init)
    }

    /// Writes the files, from the templates that libpam-runtime brings; and what the real tool keeps to see local changes.
    func write(to tree: inout EffectTree) {
        for type in PAMProfiles.types {
            guard let template = tree.text("/usr/share/pam/common-\(type)") else { continue }
            _ = tree.write("/etc/pam.d/common-\(type)", Array(filled(template, type).utf8))
            _ = tree.makeFolder("/var/lib/pam")
            _ = tree.write("/var/lib/pam/\(type)", Array(saved(type).utf8))
        }
        let seen = known.map { $0.file + "\n" }.joined()
        if tree.find("/var/lib/pam") != nil { _ = tree.write("/var/lib/pam/seen", Array(seen.utf8)) }
    }

    /// The modules of a block, each with the lines that it wants in its place.
    private func modules(_ type: String, _ block: String) -> [(file: String, lines: [String])] {
        var first = true
        return profiles.compactMap { profile in
            let isInteractive = profile.fields["Session-Interactive-Only"] == "yes"
            let name =
                type == "session-noninteractive" ? "Session" : type.prefix(1).uppercased() + type.dropFirst()
            guard profile.fields["\(name)-Type"] == block,
                !(type == "session-noninteractive" && isInteractive)
            else {
                return nil
            }
            let text =
                (first ? profile.fields["\(name)-Initial"] : nil) ?? profile.fields[name]
                ?? profile.fields["\(name)-Final"] ?? ""
            first = false
            return (profile.file, text.split(separator: "\n").map(String.init))
        }
    }

    private func filled(_ template: String, _ type: String) -> String {
        let word = type.replacing("-noninteractive", with: "")
        var output = ""
        var isSkipping = false
        for line in template.split(separator: "\n", omittingEmptySubsequences: false).dropLast(
            template.hasSuffix("\n") ? 1 : 0)
        {
            if line.hasPrefix("# here's the fallback if no module succeeds")
                || line.hasPrefix("# end of pam-auth-update config")
            {
                isSkipping = false
            }
            if isSkipping { continue }
            output += line + "\n"
            for block in ["Primary", "Additional"]
            where line.hasSuffix("per-package modules (the \"\(block)\" block)") {
                isSkipping = true
                let lines = modules(type, block).flatMap(\.lines)
                if block == "Primary", lines.isEmpty { output += "\(word)\t[default=1]\t\t\tpam_permit.so\n" }
                var count = block == "Additional" ? lines.count - 1 : lines.count
                for line in lines {
                    output += "\(word)\t" + PAMProfiles.settled(line, jump: count) + "\n"
                    count -= 1
                }
            }
        }
        return output
    }

    /// One line with its jumps counted: control and module, one space, the options.
    private static func settled(_ line: String, jump: Int) -> String {
        guard
            let pattern = POSIXPattern(
                "^((\\[[^]]+\\]|[A-Za-z0-9_]+)[[:space:]]+[^[:space:]]+)[[:space:]]*(.*)", isExtended: true)
        else { return line }
        let bytes = Array(line.utf8)
        guard let groups = pattern.match(bytes), let head = groups[1], let tail = groups[3] else {
            return line
        }
        let options = String(decoding: bytes[tail], as: UTF8.self).split(whereSeparator: \.isWhitespace)
        return String(decoding: bytes[head], as: UTF8.self).replacing("end", with: String(jump)) + " "
            + options.joined(separator: " ")
    }

    private func saved(_ type: String) -> String {
        var output = ""
        let primary = modules(type, "Primary")
        if primary.isEmpty { output += "Module: null\n[default=1]\t\t\tpam_permit.so\n" }
        for module in primary + modules(type, "Additional") {
            output += "Module: \(module.file)\n" + module.lines.map { $0 + "\n" }.joined()
        }
        return output
    }
}
