package import Model
package import Notary
package import Ports

/// The parts that only the executable knows, handed to the verbs.
package struct Adapters: Sendable {
    /// Opens the content store of a root folder.
    package var openStore: @Sendable (_ root: String) throws -> any CollectibleStore
    /// The images of the releases of a root folder that run, stand by or can be rolled back to.
    package var imagesInUse: @Sendable (_ root: String) throws -> Set<Digest>
    /// Opens the ledger of a root folder; to be read only, it has to be there.
    package var openLedger: @Sendable (_ root: String, _ toRead: Bool) throws -> any LedgerArchive
    /// Runs the daemon until it is asked to stop.
    package var serve: @Sendable (ServeSettings) async throws -> Void
    /// What this host has and lacks.
    package var examineHost: @Sendable () async -> [HostCheck]

    package init(
        openStore: @escaping @Sendable (_ root: String) throws -> any CollectibleStore,
        imagesInUse: @escaping @Sendable (_ root: String) throws -> Set<Digest>,
        openLedger: @escaping @Sendable (_ root: String, _ toRead: Bool) throws -> any LedgerArchive,
        serve: @escaping @Sendable (ServeSettings) async throws -> Void,
        examineHost: @escaping @Sendable () async -> [HostCheck]
    ) {
        self.openStore = openStore
        self.imagesInUse = imagesInUse
        self.openLedger = openLedger
        self.serve = serve
        self.examineHost = examineHost
    }

    @TaskLocal static var current: Adapters?

    static func require() throws -> Adapters {
        guard let current else { throw Failure(.internalError, "the verbs run without their parts") }
        return current
    }
}

package struct ServeSettings: Sendable {
    package var root: String
    package var socket: String
    /// Retire everything and leave nothing behind when the daemon stops.
    package var isEphemeral: Bool
    package var isVerbose: Bool
    /// What the ledger is called, where it has no name yet; nil for the host's name.
    package var ledgerName: String?
    /// Where the ledger's newest checkpoint is put, beside the root folder.
    package var checkpointFiles: [String]
    package var witnesses: [Witness]
    /// How often registries are asked for the tags of what runs; nil: never.
    package var watchTags: Span?
    /// What asks them.
    package var images: @Sendable (any ImageStore) -> any ImagePuller
}

/// One thing that a host needs.
package struct HostCheck: Sendable, Codable {
    package var name: String
    package var isFine: Bool
    package var found: String
    package var suggestion: String?

    package init(name: String, isFine: Bool, found: String, suggestion: String?) {
        self.name = name
        self.isFine = isFine
        self.found = found
        self.suggestion = suggestion
    }
}
