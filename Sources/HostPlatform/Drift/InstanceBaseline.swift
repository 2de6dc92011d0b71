internal import FoundationEssentials
internal import Crypto
internal import Glibc
internal import Model

/// What an instance looked like right after its launch: taken from what is really there, and kept in its folder, so
/// that a daemon that comes later compares with the same.
struct InstanceBaseline: Hashable, Sendable, Codable {
    /// The first process; a baseline of another one means nothing.
    var process: LiveProcess
    /// The file system that all its programs come from.
    var device: UInt64
    var confinement: ProcessConfinement
    var mounts: MountList
    var limits: GroupLimits
    var network: NetworkView
    /// SHA-256 of the bundle's config.json.
    var configuration: Model.Digest?

    private enum Limit {
        static let bytes = 1 << 20
    }

    /// nil where the instance ended meanwhile.
    init?(
        of process: LiveProcess, view: ProcessView, device: UInt64, groups: [String], network: NetworkView,
        bundle: String
    ) {
        guard let confinement = ProcessConfinement(of: view),
            let table = ProcessFile.read(view.pid, "mountinfo"),
            !table.isEmpty
        else { return nil }
        self.process = process
        self.device = device
        self.confinement = confinement
        self.network = network
        mounts = MountList(table)
        limits = GroupLimits(of: groups)
        configuration = InstanceBaseline.digest(of: bundle)
    }

    /// nil where none was written, or one of another process.
    static func read(_ folder: InstanceFolder, of process: LiveProcess) -> InstanceBaseline? {
        guard let bytes = Files.read(folder.baselineFile, limit: Limit.bytes),
            let baseline = try? JSONDecoder().decode(InstanceBaseline.self, from: Data(bytes)),
            baseline.process == process
        else { return nil }
        return baseline
    }

    func write(to folder: InstanceFolder) throws {
        try Files.replace(
            folder.baselineFile, with: Array(JSONEncoder().encode(self)), durably: false, mode: 0o600)
    }

    static func digest(of bundle: String) -> Model.Digest? {
        Files.read(bundle + "/config.json", limit: Limit.bytes).map {
            Model.Digest(bytes: SHA256.hash(data: $0))
        }
    }

    /// The environment that the bundle gives to the first process.
    static func environment(of bundle: String) -> GivenEnvironment? {
        guard let bytes = Files.read(bundle + "/config.json", limit: Limit.bytes),
            let json = try? JSONValue(parsing: bytes), let entries = json["process"]?["env"]?.elements
        else { return nil }
        return GivenEnvironment(entries.compactMap(\.text))
    }
}
