internal import CommandLineTool
internal import Execution
internal import Logging
internal import Model
internal import Notary
internal import ServiceLifecycle
internal import Storage

extension LedgerFile: LedgerArchive {}

/// The daemon's ledger: compared with its past before anything else is done, and signed for as long as the daemon runs.
struct LedgerService: Service {
    let ledger: LedgerFile
    private let client: WitnessClient
    private let keeper: LedgerKeeper

    /// Throws `logInconsistent` where the log is shorter than it was, or another.
    static func open(_ settings: ServeSettings, _ logger: Logger) async throws -> LedgerService {
        let clock = SystemClock()
        let ledger = try LedgerFile(settings.root + "/kiln.db")
        let key = try LedgerKey.ready(root: settings.root, at: clock.now)
        let client = WitnessClient()
        do {
            if let made = key.made { try await ledger.append([made]) }
            if let warning = key.warning {
                logger.warning("the ledger's key is not trusted now", metadata: ["why": "\(warning)"])
            }
            try DurableFile.makeFolder(settings.root + "/ledger")
            let notary = try await Notary(
                ledger: ledger, name: settings.ledgerName ?? LedgerKey.usualOrigin, key: key.key,
                known: key.known,
                files: ([settings.root + "/ledger/checkpoint"] + settings.checkpointFiles).map {
                    CheckpointFile($0)
                },
                witnesses: settings.witnesses, client: client)
            tell(try await notary.requirePast(at: clock.now), logger)
            let (size, verifier) = (try ledger.head().size, try notary.verifier)
            logger.info(
                "ledger begins with all known checkpoints",
                metadata: ["entries": "\(size)", "key": "\(verifier)"])
            let keeper = LedgerKeeper(notary, clock: clock) { notary in
                let key = try LedgerKey.ready(root: settings.root, at: clock.now)
                if let made = key.made { try await ledger.append([made]) }
                return notary.signing(with: key.key, known: key.known)
            } tell: { warnings, alarms in
                for alarm in alarms {
                    logger.critical("the ledger is not what others have seen", metadata: ["why": "\(alarm)"])
                }
                tell(warnings, logger)
            }
            return LedgerService(ledger: ledger, client: client, keeper: keeper)
        } catch {
            try? await client.close()
            throw error
        }
    }

    private static func tell(_ warnings: [Failure], _ logger: Logger) {
        for warning in warnings {
            logger.warning("a checkpoint is not where it should be", metadata: ["why": "\(warning)"])
        }
    }

    func run() async throws {
        // What the other services log while they end is signed too: this one ends last.
        await cancelWhenGracefulShutdown { await keeper.run() }
        await keeper.finish()
    }

    /// To be called once, at the end.
    func close() async { try? await client.close() }
}
