internal import ArgumentParser
internal import Baking
internal import Model

struct LockVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lock",
        abstract: "Choose the exact packages and all else that an image is made of, and write kiln.lock.",
        discussion: """
            Solves the dependencies with apt itself in a private configuration, and checks the archives'
            signatures. Looks up what `from`, `url` and `git` name. Commit kiln.lock: the same lock gives the same image, byte for byte.

            Examples:
              kiln lock                          everything at its newest
              kiln lock --security               only what security updates changed
              kiln lock --update openssl libssl3 only these, and what they newly need
              kiln lock --check                  for CI: exit 1 where the lock is not the recipe's
            """)

    @OptionGroup var spec: SpecOptions
    @OptionGroup var root: RootOptions
    @OptionGroup var registry: RegistryOptions
    @OptionGroup var output: OutputOptions
    @Flag(help: "Change nothing: exit 1 where there is no lock, or one of another recipe.")
    var check = false
    @Flag(help: "Update only packages that the archive of security updates has newer.")
    var security = false
    @Option(parsing: .upToNextOption, help: "Update only these packages.")
    var update: [String] = []

    func validate() throws {
        guard [check, security, !update.isEmpty].filter({ $0 }).count <= 1 else {
            throw ValidationError("--check, --security and --update exclude each other")
        }
    }

    struct Answer: Encodable {
        var path: String; var packages: Int; var bytes: Int; var changes: LockChanges?
    }

    func run() async throws {
        var answers: [Answer] = []
        for session in BakeSession.all(
            try spec.reading(), root, store: try root.openStore(), registries: try registry.settings())
        {
            let (lock, old) = try await lock(session)
            answers.append(answer(lock, since: old, session))
        }
        guard output.output == .json else { return }
        if answers.count == 1 { try Screen.answer(answers[0]) } else { try Screen.answer(answers) }
    }

    private func lock(_ session: BakeSession) async throws -> (lock: Lock, old: Lock?) {
        if check { return (try verified(session), nil) }
        guard security || !update.isEmpty else {
            // One that cannot be read is replaced: that is what its error message asks for.
            let old = try? session.lockThatIs()
            return (try await session.makeLock(updating: old.map { ($0, .all) }), old)
        }
        let old = try session.lockThatIs()
        // Where there is none, reading it says so.
        let locked = try old ?? LockFile.read(session.lockPath)
        try expectLocked(update, in: locked, at: session.lockPath)
        let what: PackageSolver.Update = security ? .security : .only(update)
        return (try await session.makeLock(updating: (locked, what)), locked)
    }

    /// The lock, where it is the recipe's.
    private func verified(_ session: BakeSession) throws -> Lock {
        guard let lock = try session.lockThatIs() else {
            throw Failure(
                .lockStale, "the lock is stale: there is none", at: session.lockPath,
                suggestion: "run `kiln lock`")
        }
        try lock.expectFresh(for: session.spec.image, place: session.lockPath)
        return lock
    }

    private func expectLocked(_ names: [String], in lock: Lock, at path: String) throws {
        let packages = lock.packages + lock.builds.flatMap(\.packages)
        for name in names where !packages.contains(where: { $0.name == name }) {
            throw Failure(
                .invalidArgument, "\(name) is not in the lock", at: path,
                suggestion: CloseNames.question(name, among: packages.map(\.name))
                    ?? "add it to image.packages in \(spec.file)")
        }
    }

    /// Tells people at once; programs get all answers at the end.
    private func answer(_ lock: Lock, since old: Lock?, _ session: BakeSession) -> Answer {
        let path = session.lockPath
        let bytes = lock.packages.reduce(0) { $0 + $1.size }
        let changes = old.map { LockChanges(from: $0, to: lock) }
        let answer = Answer(path: path, packages: lock.packages.count, bytes: bytes, changes: changes)
        guard output.output == .text else { return answer }
        for change in changes?.changes ?? [] { Screen.answer("\(change)") }
        for line in lock.buildChanges(since: old, session.spec.image) { Screen.answer(line) }
        for source in check ? [] : lock.sources(since: old) { Screen.answer(source) }
        let size = ByteCount(bytes: bytes).readable
        let verb = check ? "fresh:" : changes?.isEmpty == true ? "unchanged:" : "locked"
        let others = Set(lock.builds.flatMap(\.packages).map(\.sha256)).subtracting(
            lock.packages.map(\.sha256))
        let ofBuilds = others.isEmpty ? "" : ", and \(others.count) for build steps,"
        Screen.answer("\(verb) \(lock.packages.count) packages (\(size))\(ofBuilds) in \(path)")
        return answer
    }
}

extension Lock {
    /// How the packages of build steps differ from those of an older lock, a line each.
    fileprivate func buildChanges(since old: Lock?, _ recipe: Recipe) -> [String] {
        guard let old else { return [] }
        return recipe.builds.enumerated().flatMap { index, step -> [String] in
            guard builds.indices.contains(index), old.builds.indices.contains(index) else { return [] }
            return LockChanges(from: old.builds[index], to: builds[index]).changes.map {
                "\(step.label(index)): \($0)"
            }
        }
    }

    /// What it takes from elsewhere besides packages and an older lock did not, a line each.
    fileprivate func sources(since old: Lock?) -> [String] {
        var lines: [String] = []
        if let from, old?.from != from { lines.append("on \(from.name), \(from.digest)") }
        for file in fetched where old?.fetched.contains(file) != true {
            var at = ""
            if case .git(_, let commit, _?, _) = file.origin { at = ", commit \(commit)" }
            lines.append("with \(file.name)\(at) (\(ByteCount(bytes: file.size).readable))")
        }
        return lines
    }
}
