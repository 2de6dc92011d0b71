internal import Baking
internal import Foundation
internal import Model
internal import Ports

/// Locks and bakes for the verbs, telling how far it is.
struct BakeSession {
    let spec: Spec
    let folder: String
    let lockPath: String
    let store: any ImageStore

    /// The lock beside the spec, or a fresh one where there is none, which is written there.
    func lock() async throws -> (lock: Lock, wasMade: Bool) {
        if FileManager.default.fileExists(atPath: lockPath) {
            let lock = try LockFile.read(lockPath)
            try lock.expectFresh(for: spec.image, place: lockPath)
            return (lock, false)
        }
        Screen.tell("no kiln.lock yet: solving the packages first")
        return (try await makeLock(), true)
    }

    /// Solves the packages anew, all or some of them, and replaces the lock file.
    func makeLock(updating old: (lock: Lock, what: PackageSolver.Update)? = nil) async throws -> Lock {
        let lock = try await PackageSolver(store: store).lock(
            spec.image, updating: old, progress: BakeSession.show)
        try LockFile.write(lock, to: lockPath)
        return lock
    }

    /// The lock beside the spec as it stands, fresh or stale; nil where there is none.
    func lockThatIs() throws -> Lock? {
        FileManager.default.fileExists(atPath: lockPath) ? try LockFile.read(lockPath) : nil
    }

    func bake() async throws -> BakeResult {
        let lock = try await lock().lock
        let result = try await ImageBaker(store: store, clock: { Instant.fromClock }).bake(
            spec.image, specFolder: folder, lock: lock, service: spec.service, progress: BakeSession.show)
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
        Screen.progress("\(progress.phase.rawValue)\(drawn)\(counts)\(bytes)")
    }
}

extension Spec {
    /// What this spec becomes with an image.
    func release(of image: Digest) -> Release.Content {
        Release.Content(image: image, run: run, rollout: rollout, listen: listen)
    }
}
