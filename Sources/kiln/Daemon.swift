internal import Baking
internal import CommandLineTool
internal import Execution
internal import Foundation
internal import GateClient
internal import HostPlatform
internal import Logging
internal import Model
internal import Ports
internal import ServiceLifecycle
internal import Storage
internal import UnixSignals
internal import WebServer

/// The daemon: one per root folder.
enum Daemon {
    /// Runs until SIGTERM or SIGINT. What runs goes on running, unless the daemon is ephemeral.
    static func serve(_ settings: ServeSettings) async throws {
        guard geteuid() == 0 else {
            throw Failure(
                .notPermitted, "the daemon needs root: it makes mounts and network namespaces",
                suggestion: "sudo kiln serve")
        }
        let lock = try RootLock(settings.root)
        defer { lock.release() }
        var logger = Logger(label: "kiln") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = settings.isVerbose ? .debug : .info
        let store = try ContentStore(settings.root + "/store")
        try store.sweep()
        let database = try Database(settings.root + "/kiln.db")
        let ledger = try await LedgerService.open(settings, logger)
        do {
            try await serve(settings, store, database, ledger, logger)
            await ledger.close()
        } catch {
            await ledger.close()
            throw error
        }
    }

    private static func serve(
        _ settings: ServeSettings, _ store: ContentStore, _ database: Database, _ ledger: LedgerService,
        _ logger: Logger
    ) async throws {
        let gate = try await AdmissionGate(
            settings.root, store: store, ledger: ledger.ledger, logger: logger)
        let root = try HostRoot(settings.root)
        let platform = try await HostPlatform(
            root: root, reader: LayeredImageReader(store: store), log: logger
        ) { image, path in ImageOwners.owner(of: path, in: image, store) }
        let router = HAProxyRouter(root: root, watch: platform.watch)
        let gates = GateClient()
        var world = World(
            platform: platform, router: router, gates: gates, admission: gate.admission,
            ledger: ledger.ledger, store: database, clock: SystemClock(), logger: logger,
            keys: { try KeyFolder(path: settings.root + "/keys").ring() })
        if settings.watchTags != nil { world.images = settings.images(store) }
        let controller = Controller(world)
        let file = try BreakGlassFile(root: settings.root)
        let breakGlass = BreakGlass(
            controller, world: world, host: HostSessions(platform), daemonUser: geteuid(),
            policyFile: file.path, stated: { file.stated() })
        do {
            try await serve(settings, controller, breakGlass, ledger, logger)
            try await gates.close()
        } catch {
            try? await gates.close()
            throw error
        }
        if try await platform.observe().isEmpty { try await platform.tearDown() }
    }

    private static func serve(
        _ settings: ServeSettings, _ controller: Controller, _ breakGlass: BreakGlass,
        _ ledger: LedgerService, _ logger: Logger
    ) async throws {
        try await controller.recover()
        try await breakGlass.recover()

        unlink(settings.socket)
        defer { unlink(settings.socket) }
        var quiet = logger
        quiet.logLevel = settings.isVerbose ? .info : .warning
        let server = APIServer.make(
            controller, breakGlass: breakGlass, socket: settings.socket, isForOthers: breakGlass.isForOthers,
            logger: quiet)
        let group = ServiceGroup(
            configuration: .init(
                services: [
                    .init(service: ledger),
                    .init(service: ControlLoop(controller: controller, settings: settings)),
                    .init(service: SessionKeeper(breakGlass: breakGlass)),
                    .init(service: server),
                ],
                gracefulShutdownSignals: [.sigterm, .sigint], logger: quiet))
        logger.info("serving", metadata: ["root": "\(settings.root)", "socket": "\(settings.socket)"])
        try await group.run()
    }
}

/// The control loop as a service that ends with the daemon.
private struct ControlLoop: Service {
    let controller: Controller
    let settings: ServeSettings

    func run() async throws {
        await withTaskGroup { group in
            group.addTask { await controller.run() }
            group.addTask { await controller.keepHost() }
            if let interval = settings.watchTags {
                group.addTask { await controller.watchTags(every: interval) }
            }
            group.addTask {
                try? await gracefulShutdown()
                if settings.isEphemeral { await controller.retireAll() }
            }
            // Whichever ends first ends the other: a stopping daemon, or a cancelled loop.
            await group.next()
            group.cancelAll()
        }
    }
}

/// Keeps a second daemon from the same root, also after a crash: the kernel lets go of the lock with the
/// process.
private struct RootLock {
    private let file: Int32

    init(_ root: String) throws {
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        let path = root + "/daemon.lock"
        file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else {
            throw Failure(.notPermitted, "cannot open this: \(String(cString: strerror(errno)))", at: path)
        }
        guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
            close(file)
            // The lock proves that somebody lives; the lease says who.
            let lease = Lease.newest(in: root + "/kiln.db")
            let who = lease.map { "\($0.holder) has served this folder since \($0.since)" }
            throw Failure(
                .conflict, who ?? "another daemon serves this folder", at: root,
                suggestion: "use that one, stop it, or choose another folder with --root")
        }
    }

    func release() { close(file) }
}

/// Ends people's sessions before the loop that replaces their instances ends.
private struct SessionKeeper: Service {
    let breakGlass: BreakGlass

    func run() async throws {
        await cancelWhenGracefulShutdown { await breakGlass.watch() }
        await breakGlass.stop()
    }
}
