internal import ArgumentParser
internal import Foundation
internal import Model
internal import SpecFile
internal import Trust

struct PolicyVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policy", abstract: "Show and check what images must prove on this host.",
        discussion: """
            ROOT/policy.yaml says what every image must prove before it may start, whatever its service asks for. A
            service can ask for more in its kiln.yaml, and never for less.
            """,
        subcommands: [Check.self, Show.self])

    struct Answer: Encodable {
        var file: String
        /// nil where the host asks for nothing.
        var policy: AdmissionPolicy?
        var keys: [KeyVerb.Answer]
        var breakGlass: BreakGlassRule
    }

    struct Check: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Read a policy file, and say everything that is wrong with it.",
            discussion: """
                Examples:
                  kiln policy check                    ROOT/policy.yaml
                  kiln policy check new-policy.yaml    before it is put there
                """)

        @Argument(help: "The file (default: ROOT/policy.yaml).", completion: .file(extensions: ["yaml"]))
        var file: String?
        @OptionGroup var keys: KeyFolderOptions
        @OptionGroup var root: RootOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let folder = keys.folder(root)
            let path = file ?? root.path + "/" + HostPolicy.name
            let ring = try folder.ring()
            let policy = try PolicyReader.host(file: path, ring: ring)
            try PolicyVerb.tell(policy, file: path, ring, folder, output.output)
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show what this host asks of images, and whose signatures count.",
            discussion: """
                Example:
                  kiln policy show --output json
                """)

        @OptionGroup var keys: KeyFolderOptions
        @OptionGroup var root: RootOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let folder = keys.folder(root)
            let ring = try folder.ring()
            let policy = try PolicyReader.host(root: root.path, ring: ring)
            try PolicyVerb.tell(policy, file: root.path + "/" + HostPolicy.name, ring, folder, output.output)
        }
    }

    private static func tell(
        _ policy: AdmissionPolicy?, file: String, _ ring: KeyRing, _ folder: KeyFolder, _ output: OutputFormat
    ) throws {
        let now = Instant.fromClock
        let rule = try PolicyReader.breakGlass(file: file)
        let trusted = try policy?.trustPolicy(ring: ring).keys.filter { $0.role == .build } ?? []
        let keys = trusted.map { KeyVerb.Answer($0, in: folder, now: now) }
        guard output == .text else {
            return try Screen.answer(Answer(file: file, policy: policy, keys: keys, breakGlass: rule))
        }
        guard let policy else {
            return Screen.answer("\(file) does not exist: this host asks for nothing")
        }
        let users = rule.allow.map { $0.map { "uid:\($0)" }.joined(separator: ", ") }
        let enter = users.map { [["break-glass", $0]] } ?? []
        Screen.answer(Screen.table(policy.lines + enter))
        guard try !policy.trustPolicy(ring: ring).demanded.isEmpty else { return }
        Screen.answer(
            keys.isEmpty ? "no build key is trusted: nothing that has to be signed can start" : "keys")
        if !keys.isEmpty {
            Screen.answer(Screen.table(keys.map { ["  " + $0.name, $0.standing, $0.id] }))
        }
    }
}

extension AdmissionPolicy {
    /// What is asked for, by the keys of the file.
    fileprivate var lines: [[String]] {
        var lines: [[String]] = []
        func add(_ key: String, _ text: String?) {
            if let text, !text.isEmpty { lines.append([key, text]) }
        }
        func list(_ words: [String]?) -> String? { words?.joined(separator: ", ") }
        add("require", list(required.map(PredicateWord.text)))
        add("builders", list(builders))
        add("sources", list(sources))
        if sources != nil { add("allow-dirty", "\(allowsDirtySources)") }
        add("max-age", maximumAge?.description)
        guard let rule = vulnerabilities else { return lines }
        add("vulnerabilities", "\(rule.atLeast.rawValue) and worse, by \(rule.feed)")
        add("  unrated", rule.unrated.rawValue)
        add("  max-feed-age", rule.maximumFeedAge?.description)
        for exception in rule.exceptions {
            let what = [exception.id, exception.package].compactMap { $0 }.joined(separator: " in ")
            add("  except", "\(what) until \(exception.until): \(exception.reason)")
        }
        return lines
    }
}
