internal import Baking
internal import Foundation
internal import Model
internal import Ports
internal import RegistryClient

/// Locks and bakes for the verbs, telling how far it is.
struct BakeSession {
    let reading: SpecReading
    /// The spec with the recipe for one machine type.
    let spec: Spec
    let lockPath: String
    let store: any ImageStore
    /// Whose ledger is told of what is baked.
    let root: RootOptions
    /// How registries are spoken to, for images to build on.
    var registries = RegistrySettings()

    /// One for each machine type that a spec is for, that of this machine last.
    static func all(
        _ reading: SpecReading, _ root: RootOptions, store: any ImageStore,
        registries: RegistrySettings = RegistrySettings()
    ) -> [BakeSession] {
        reading.spec.image.byArchitecture.map { recipe in
            var spec = reading.spec
            spec.image = recipe
            return BakeSession(
                reading: reading, spec: spec,
                lockPath: reading.folder + "/" + SpecReading.lockName(recipe), store: store, root: root,
                registries: registries)
        }
    }

    /// The folder that `files:` are relative to.
    var folder: String { reading.folder }

    /// The one whose image this machine can run.
    static func native(
        _ reading: SpecReading, _ root: RootOptions, store: any ImageStore, registries: RegistrySettings
    ) throws -> BakeSession {
        let all = all(reading, root, store: store, registries: registries)
        guard let session = all.last(where: { $0.spec.image.architecture == .native }) else {
            let names = reading.spec.image.architectures.map(\.rawValue).joined(separator: ", ")
            throw Failure(
                .invalidArgument, "the recipe is for \(names), and this machine is not",
                at: "image.architecture",
                suggestion: "add \(Architecture.native.rawValue) to it")
        }
        return session
    }

    /// The lock beside the spec, or a fresh one where there is none, which is written there.
    func lock() async throws -> (lock: Lock, wasMade: Bool) {
        if FileManager.default.fileExists(atPath: lockPath) {
            let lock = try LockFile.read(lockPath)
            try lock.expectFresh(for: spec.image, place: lockPath)
            return (lock, false)
        }
        Screen.tell("no \(lockPath.split(separator: "/").last ?? "kiln.lock") yet: making it first")
        return (try await makeLock(), true)
    }

    /// Solves the packages anew, all or some of them, fetches them, and replaces the lock file. What an old lock has
    /// of layers and account numbers stays.
    /// Programs that it runs end with it when somebody stops it.
    func makeLock(updating old: (lock: Lock, what: PackageSolver.Update)? = nil) async throws -> Lock {
        try await Interruption.cancelling { try await makeLockToTheEnd(updating: old) }
    }

    private func makeLockToTheEnd(
        updating old: (lock: Lock, what: PackageSolver.Update)?
    ) async throws -> Lock {
        try await store.inUse {
            // What comes from elsewhere first: packages may lie on it.
            var sources = Lock.withoutPackages(spec.image)
            try await baker.lockSources(
                &sources, spec.image, keeping: old?.what == .all ? nil : old?.lock)
            var lock = sources
            if spec.image.distribution != nil {
                lock = try await PackageSolver(store: store).lock(
                    spec.image, updating: old, installed: try await baker.statusBelow(sources, spec.image),
                    progress: BakeSession.show)
                (lock.from, lock.fetched) = (sources.from, sources.fetched)
            }
            try await baker.settle(&lock, spec.image, keeping: old?.lock, progress: BakeSession.show)
            try await baker.lockBuilds(&lock, spec.image, updating: old, progress: BakeSession.show)
            try LockFile.write(lock, to: lockPath)
            return lock
        }
    }

    private var baker: ImageBaker {
        ImageBaker(
            store: store, puller: BaseImagePuller(store: store, folder: folder, settings: registries),
            clock: { Instant.fromClock })
    }

    /// The lock beside the spec as it stands, fresh or stale; nil where there is none.
    func lockThatIs() throws -> Lock? {
        FileManager.default.fileExists(atPath: lockPath) ? try LockFile.read(lockPath) : nil
    }

    /// Bakes, and has it in the ledger.
    func bake() async throws -> BakeResult {
        let lock = try await lock().lock
        // What a build step or a script left half-made is taken back when somebody stops it.
        let result = try await Interruption.cancelling {
            try await store.inUse {
                try await baker.bake(
                    spec.image, specFolder: folder, lock: lock, service: spec.service,
                    progress: BakeSession.show)
            }
        }
        await root.logBake(result, of: self)
        for warning in result.warnings { Screen.warn(warning) }
        for note in result.notes { Screen.note(note) }
        return result
    }

    /// A moving line for people.
    @Sendable static func show(_ progress: BakeProgress) {
        let share = progress.total > 0 ? progress.done * 20 / progress.total : 0
        let bar = String(repeating: "█", count: share) + String(repeating: "░", count: 20 - share)
        let counts = progress.packages > 0 ? " \(progress.packagesDone)/\(progress.packages) packages" : ""
        let bytes =
            progress.phase == .fetching
            ? " \(ByteCount(bytes: progress.done).readable) of \(ByteCount(bytes: progress.total).readable)"
            : ""
        let drawn = progress.total > 0 ? " \(bar)" : ""
        let subject = progress.subject.isEmpty ? "" : " \(progress.subject)"
        Screen.progress("\(progress.phase.rawValue)\(subject)\(drawn)\(counts)\(bytes)")
    }
}

extension Spec {
    /// What this spec becomes with an image.
    ///
    /// - Parameter folder: the spec's, where the keys of its policy are read
    func release(of image: Digest, in folder: String) throws -> Release.Content {
        Release.Content(
            image: image, run: run, rollout: rollout, listen: listen,
            policy: try policy.map { try PolicyReader.service($0, folder: folder) }, drift: drift,
            repave: repave)
    }
}
