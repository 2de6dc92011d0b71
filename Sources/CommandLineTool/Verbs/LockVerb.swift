internal import ArgumentParser
internal import Model

struct LockVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lock",
        abstract: "Choose the exact packages and write kiln.lock.",
        discussion: """
            Solves the dependencies with apt itself in a private configuration, and checks the archives'
            signatures. Commit kiln.lock: the same lock gives the same image, byte for byte.

            Examples:
              kiln lock
              kiln lock --file services/api/kiln.yaml
            """)

    @OptionGroup var spec: SpecOptions
    @OptionGroup var root: RootOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let session = BakeSession(
            spec: try spec.read(), folder: spec.folder, lockPath: spec.lockPath, store: try root.openStore())
        let lock = try await session.makeLock()
        switch output.output {
        case .json: try Screen.answer(lock)
        case .text:
            let size = ByteCount(bytes: lock.packages.reduce(0) { $0 + $1.size }).readable
            Screen.answer("locked \(lock.packages.count) packages (\(size)) in \(spec.lockPath)")
        }
    }
}
