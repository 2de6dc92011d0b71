internal import ArgumentParser
internal import Baking
internal import Model

struct LockVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lock",
        abstract: "Choose the exact packages and write kiln.lock.",
        discussion: """
            Solves the dependencies with apt itself in a private configuration, and checks the archives'
            signatures. Commit kiln.lock: the same lock gives the same image, byte for byte.

            Examples:
              kiln lock                          everything at its newest
              kiln lock --security               only what security updates changed
              kiln lock --update openssl libssl3 only these, and what they newly need
              kiln lock --check                  for CI: exit 1 where the lock is not the recipe's
            """)

    @OptionGroup var spec: SpecOptions
    @OptionGroup var root: RootOptions
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
        let session = BakeSession(
            spec: try spec.read(), folder: spec.folder, lockPath: spec.lockPath, store: try root.openStore())
        if check { return try answer(try verified(session), since: nil) }
        let old = try session.lockThatIs()
        guard security || !update.isEmpty else { return try answer(try await session.makeLock(), since: old) }
        // Where there is none, reading it says so.
        let locked = try old ?? LockFile.read(spec.lockPath)
        try expectLocked(update, in: locked)
        let what: PackageSolver.Update = security ? .security : .only(update)
        try answer(try await session.makeLock(updating: (locked, what)), since: locked)
    }

    /// The lock, where it is the recipe's.
    private func verified(_ session: BakeSession) throws -> Lock {
        guard let lock = try session.lockThatIs() else {
            throw Failure(
                .lockStale, "the lock is stale: there is none", at: spec.lockPath,
                suggestion: "run `kiln lock`")
        }
        try lock.expectFresh(for: session.spec.image, place: spec.lockPath)
        return lock
    }

    private func expectLocked(_ names: [String], in lock: Lock) throws {
        for name in names where !lock.packages.contains(where: { $0.name == name }) {
            throw Failure(
                .invalidArgument, "\(name) is not in the lock", at: spec.lockPath,
                suggestion: CloseNames.question(name, among: lock.packages.map(\.name))
                    ?? "add it to image.packages in \(spec.file)")
        }
    }

    private func answer(_ lock: Lock, since old: Lock?) throws {
        let bytes = lock.packages.reduce(0) { $0 + $1.size }
        let changes = old.map { LockChanges(from: $0, to: lock) }
        if output.output == .json {
            return try Screen.answer(
                Answer(path: spec.lockPath, packages: lock.packages.count, bytes: bytes, changes: changes))
        }
        for change in changes?.changes ?? [] { Screen.answer("\(change)") }
        let size = ByteCount(bytes: bytes).readable
        let verb = check ? "fresh:" : changes?.isEmpty == true ? "unchanged:" : "locked"
        Screen.answer("\(verb) \(lock.packages.count) packages (\(size)) in \(spec.lockPath)")
    }
}
