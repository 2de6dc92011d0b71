internal import FoundationEssentials
internal import Model

/// What is written before anything of an instance is made: so that every half-made thing has an owner.
struct InstanceRecord: Codable, Sendable {
    var id: InstanceID
    var key: ServiceKey
    var release: ReleaseNumber
    var image: Digest
    /// Its place in the root's network.
    var number: Int
    var address: String
    var startedAt: Instant
    /// nil: it serves.
    var isTask: Bool?
    /// What the daemon's own commands in this instance carry, so that a later daemon knows them for its own as well.
    var mark: String?
    /// What its release asked for beyond the usual.
    @OrEmpty var allow: [Allowance]

    /// Not flushed to the disk: all that it owns ends with the host, so a crash of this process is what it has to
    /// survive, and a rename does.
    func write(to folder: InstanceFolder) throws {
        try Files.makeFolder(folder.path, mode: 0o700)
        try Files.replace(folder.launchFile, with: Array(JSONEncoder().encode(self)), durably: false)
    }

    /// 128 random bits.
    static func newMark() -> String {
        let (high, low) = (UInt64.random(in: 0 ... .max), UInt64.random(in: 0 ... .max))
        return String(high, radix: 16) + "-" + String(low, radix: 16)
    }

    static func read(_ folder: InstanceFolder) -> InstanceRecord? {
        Files.read(folder.launchFile).flatMap {
            try? JSONDecoder().decode(InstanceRecord.self, from: Data($0))
        }
    }
}

/// The processes of an instance whose launch succeeded.
struct RunningRecord: Codable, Sendable {
    var process: LiveProcess
    /// nil where the monitor was gone already.
    var monitor: LiveProcess?
    /// Process numbers mean nothing after a reboot.
    var boot: String

    func write(to folder: InstanceFolder) throws {
        try Files.replace(folder.runningFile, with: Array(JSONEncoder().encode(self)), durably: false)
    }

    static func read(_ folder: InstanceFolder) -> RunningRecord? {
        Files.read(folder.runningFile).flatMap {
            try? JSONDecoder().decode(RunningRecord.self, from: Data($0))
        }
    }

    var isRunning: Bool { boot == Boot.id && process.isAlive }
    var isMonitored: Bool { boot == Boot.id && monitor?.isAlive ?? false }
}
