import Model

/// An entry of `image.build`: a command that is run in a root of its own, and which of its results are taken.
enum BuildKeys {
    static let name = Key(
        "name",
        Form<String>.text(pattern: "^[a-z0-9][a-z0-9-]*$", example: "app") { text in
            let isName =
                !text.hasPrefix("-") && (1...Bounds.stepNameBytes).contains(text.utf8.count)
                && text.utf8.allSatisfy {
                    (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2d
                }
            return isName ? nil : "a-z, 0-9 and - are allowed, at most \(Bounds.stepNameBytes)"
        }, "What messages and later steps call it.")
    static let packages = Key(
        "packages", ImageKeys.packages.form,
        "Debian packages that the command needs. They and Debian's Essential ones are what it sees; none of "
            + "them is in the image.")
    static let files = Key(
        "files", inputForm.located.list(0...Bounds.files, example: "[{from: src/, to: /src}]"),
        "Files and folders that the command needs: of any kind that image.files has, and results of earlier "
            + "steps.")
    static let run = Key(
        "run", Form<[String]>.commandOrScript(example: "[make, install]"),
        "The program to run and its arguments; or a text for /bin/sh, which ends at the first command that "
            + "fails.", required: true)
    static let workingDirectory = Key(
        "working-directory", Form<String>.absolutePath(example: "/src"),
        "The folder that the command starts in; made where it is missing.", fallback: .text("/"))
    static let environment = Key(
        "environment", Form<[String: String]>.variables(example: "{CGO_ENABLED: 0}"),
        "Environment variables of the command.")
    static let network = Key(
        "network", Form<Bool>.flag(example: "true"),
        "Whether the command can reach the network. What it fetches there is not in kiln.lock, so another bake "
            + "may get something else.", fallback: .bool(false))
    static let secrets = Key(
        "secrets", secret.list(0...Bounds.secrets, example: "[{from: ~/.netrc, to: /root/.netrc}]"),
        "Files that the command may read and that are kept nowhere: not in the image, and not in the store.")
    static let copy = Key(
        "copy", copyForm.located.list(1...Bounds.files, example: "[{from: /out/app, to: /usr/bin/app}]"),
        "What of the results goes into the image.")
    static let timeout = Key(
        "timeout", Form<Span>.span(Bounds.buildTimeout, example: "30m"), "How long the command may take.",
        fallback: .text("\(BuildStep.Limits().time)"))
    static let memory = Key(
        "memory", Form<ByteCount>.size(Bounds.buildMemory, example: "4G"),
        "Memory that the command and all that it starts may use.",
        fallback: .text("\(BuildStep.Limits().memory)"))
    static let disk = Key(
        "disk", Form<ByteCount>.size(Bounds.buildDisk, example: "16G"), "What the command may write.",
        fallback: .text("\(BuildStep.Limits().disk)"))

    private static let from = Key(
        "from", resultPath(example: "/out/app"),
        "A file or folder that the command leaves. A folder goes whole.", required: true)
    private static let step = Key(
        "step", Form<String>.anyText(example: "app"), "The name of an earlier step.", required: true)
    private static let secretFrom = Key(
        "from", Form<String>.secretPath(example: "~/.netrc"),
        "A file of yours: absolute, below your home (~/…), or relative to the folder of this file.",
        required: true)
    private static let secretTo = Key(
        "to", Form<String>.absolutePath(example: "/run/secrets/netrc"), "Where the command finds it.",
        required: true)

    /// A step before it is known which steps there are.
    struct Draft: Sendable {
        var step: BuildStep
        /// What it takes of other steps, by their names.
        var taken: [Located<(name: String, copy: BuildStep.Copy)>]
        var copyLines: [Int]
        /// Whether `copy` is there, read or refused.
        var hasCopies: Bool
    }

    enum Input: Sendable {
        case rule(FileRule)
        case taken(name: String, BuildStep.Copy)
    }

    private static func resultPath(example: String) -> Form<String> {
        Form<String>.targetPath(example: example).map { path, line, label, problems in
            guard path == "/" else { return path }
            problems.add(
                "\(label.text) is the whole root of the step", line: line,
                suggestion: "let the command write into a folder of its own, and " + label.write(example))
            return nil
        }
    }

    private static let copyForm = Form<BuildStep.Copy>.section(
        [from, FileKeys.to, FileKeys.mode, FileKeys.owner], example: "{from: /out/app, to: /usr/bin/app}",
        build: copied)

    private static let takenForm = Form<Input>.section(
        [step, from, FileKeys.to, FileKeys.mode, FileKeys.owner],
        example: "{step: app, from: /out/app, to: /usr/bin/app}"
    ) { section, problems in
        let name = section.value(step, &problems)
        guard let copy = copied(section, &problems), let name else { return nil }
        return .taken(name: name, copy)
    }

    private static let inputForm: Form<Input> = {
        let rule = FileKeys.form.map { rule, _, _, _ in Input.rule(rule) }
        let schema: JSON = .object(["oneOf": .list([rule.schema, takenForm.schema])])
        return Form(schema: schema, example: rule.example) { node, label, problems in
            if case .mapping(let pairs) = node.content, pairs.contains(where: { $0.key == step.name }) {
                return takenForm.read(node, label, &problems)
            }
            return rule.read(node, label, &problems)
        }
    }()

    private static let secret = Form<BuildStep.Secret>.section(
        [secretFrom, secretTo], example: "{from: ~/.netrc, to: /root/.netrc}"
    ) { section, problems in
        let from = section.value(secretFrom, &problems)
        let to = section.value(secretTo, &problems)
        guard let from, let to else { return nil }
        return BuildStep.Secret(from: from, folder: problems.folder(of: section.line), to: to)
    }

    private static func copied(_ section: Section, _ problems: inout Problems) -> BuildStep.Copy? {
        let from = section.value(from, &problems)
        let to = section.value(FileKeys.to, &problems)
        let mode = section.value(FileKeys.mode, &problems)
        let owner = section.value(FileKeys.owner, &problems)
        guard let from, var to else { return nil }
        if to.hasSuffix("/"), to != "/" {
            // `/out/` is a folder's content: it goes into the target folder itself.
            to = from.hasSuffix("/") ? String(to.dropLast()) : to + SpecPath.name(of: from)
        }
        let plain = from.hasSuffix("/") ? String(from.dropLast()) : from
        return BuildStep.Copy(from: plain, to: to, mode: mode, owner: owner)
    }

    private static let all: [any AnyKey] = [
        name, packages, files, run, workingDirectory, environment, network, secrets, copy, timeout, memory,
        disk,
    ]

    static let form = Form<Draft>.section(
        all, example: "{packages: [gcc, libc6-dev], run: [make], copy: [{from: /out/app, to: /usr/bin/app}]}"
    ) { section, problems in
        let name = section.value(name, &problems)
        let packages = ImageKeys.packages(section.value(packages, &problems) ?? [], &problems)
        let inputs = section.value(files, &problems) ?? []
        let run = section.value(run, &problems)
        let workingDirectory = section.value(workingDirectory, &problems)
        let environment = section.value(environment, &problems)
        let network = section.value(network, &problems)
        let secrets = section.value(secrets, &problems)
        let copies = section.value(copy, &problems) ?? []
        let standard = BuildStep.Limits()
        let limits = BuildStep.Limits(
            time: section.value(timeout, &problems) ?? standard.time,
            memory: section.value(memory, &problems) ?? standard.memory,
            disk: section.value(disk, &problems) ?? standard.disk)
        guard let run else { return nil }
        var taken: [Located<(name: String, copy: BuildStep.Copy)>] = []
        var rules: [Located<FileRule>] = []
        for input in inputs {
            switch input.value {
            case .rule(let rule): rules.append(Located(value: rule, line: input.line))
            case .taken(let name, let copy): taken.append(Located(value: (name, copy), line: input.line))
            }
        }
        return Draft(
            step: BuildStep(
                name: name, packages: packages,
                files: ImageKeys.nearestFiles(rules, &problems).map(\.value), command: run,
                workingDirectory: workingDirectory ?? "/", environment: environment ?? [:],
                hasNetwork: network ?? false, secrets: secrets ?? [], copies: copies.map(\.value),
                limits: limits),
            taken: taken, copyLines: copies.map(\.line), hasCopies: section.has(copy))
    }

    /// The steps of a recipe, each knowing which others it takes results of.
    static func steps(
        _ drafts: [Located<Draft>], files: [Located<FileRule>], _ problems: inout Problems
    ) -> [BuildStep] {
        var steps: [BuildStep] = []
        var lines: [String: Int] = [:]
        var used: Set<Int> = []
        var targets = Dictionary(files.map { ($0.value.to, $0.line) }) { first, _ in first }
        for draft in drafts {
            var step = draft.value.step
            for taken in draft.value.taken {
                let (name, copy) = taken.value
                guard let index = steps.lastIndex(where: { $0.name == name }) else {
                    let names = steps.compactMap(\.name)
                    problems.add(
                        "no step before this one is named \(quoted(name))", line: taken.line,
                        suggestion: Nearest.match(name, among: names).map { "did you mean \($0)?" }
                            ?? (names.isEmpty
                                ? "put the step that it takes from before it, with name: \(name)"
                                : "those before it are \(sentence(names))"))
                    continue
                }
                used.insert(index)
                step.taken.append(BuildStep.Taken(step: index, copy: copy))
            }
            for (copy, line) in zip(step.copies, draft.value.copyLines) {
                if let first = targets[copy.to] {
                    problems.add(
                        "two files go to \(quoted(copy.to)), the first on \(problems.mention(first, at: line))",
                        line: line, suggestion: "give each its own target")
                }
                targets[copy.to] = line
            }
            if let name = step.name {
                if let first = lines[name] {
                    problems.add(
                        "two steps are named \(quoted(name)), the first on "
                            + problems.mention(first, at: draft.line), line: draft.line,
                        suggestion: "give each its own name")
                }
                lines[name] = draft.line
            }
            steps.append(step)
        }
        for (index, draft) in drafts.enumerated() where !draft.value.hasCopies && !used.contains(index) {
            problems.add(
                "nothing of this step is used", line: draft.line,
                suggestion: "add copy: \(copy.example), or let a later step take a result: "
                    + "files: [\(takenForm.example)]")
        }
        return steps
    }
}

extension Form where Value == [String] {
    /// A command line as a list of words, or a text for a shell.
    static func commandOrScript(example: String) -> Form {
        let list = Form<[String]>.command(example: example)
        let text = Form<String>.text(example: example) {
            $0.allSatisfy(\.isWhitespace) ? "a command is needed" : nil
        }
        let schema: JSON = .object(["oneOf": .list([text.schema, list.schema])])
        return Form(schema: schema, example: example) { node, label, problems in
            if case .list = node.content { return list.read(node, label, &problems) }
            return text.read(node, label, &problems).map { ["/bin/sh", "-ec", $0] }
        }
    }
}

extension Form where Value == String {
    /// A file of the user's, wherever it lies.
    static func secretPath(example: String) -> Form {
        text(pattern: "^[^/]|^/[^/]", example: example) { path in
            if let fault = SpecPath.fault(path) { return fault }
            if path.isEmpty || path.hasSuffix("/") || path == "~" { return "a file is needed" }
            if path.hasPrefix("~"), !path.hasPrefix("~/") { return "only ~/ is understood, your own home" }
            let isOwn = path.hasPrefix("/") || path.hasPrefix("~")
            return !isOwn && SpecPath.parts(path) == nil
                ? "it leads out of the folder of this file; begin with / or ~/" : nil
        }
    }
}
