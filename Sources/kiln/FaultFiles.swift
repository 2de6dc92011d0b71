internal import Baking
internal import CommandLineTool
internal import Execution
internal import Foundation
internal import Model
internal import Ports
internal import Storage
internal import Synchronization
internal import Threads
internal import Trust

/// What is known of an image's faults: its packages by its own records, and the feeds in files.
final class FaultFiles: FaultSource {
    private let store: ContentStore
    private let feeds = FeedFiles()
    /// What this process read itself out of layers that are what the images name: an image never changes, and to read
    /// one takes seconds. What lies in the store's cache is not asked, since others can write there.
    private let held = Mutex<[Digest: Held]>([:])

    private enum Limit {
        static let images = 64
    }

    private struct Held: Sendable {
        var distribution: ImageDistribution?
        var packages: [InstalledPackage]
    }

    init(store: ContentStore) { self.store = store }

    func known(of image: Digest, _ paths: [String]) async -> KnownFaults {
        do {
            let held = try await contents(of: image)
            return KnownFaults(
                packages: held.packages,
                feeds: feeds.readings(paths, packages: held.packages, distribution: held.distribution))
        } catch {
            let failure = Failure.list(error)[0]
            return KnownFaults(
                packages: [],
                feeds: Dictionary(
                    paths.map { ($0, .packagesUnknown(failure)) }, uniquingKeysWith: { $1 }))
        }
    }

    private func contents(of image: Digest) async throws -> Held {
        if let known = held.withLock({ $0[image] }) { return known }
        let store = store
        let read = try await Blocking.run {
            let inventory = try ImageInventory.read(image, in: store)
            return Held(distribution: inventory.distribution, packages: inventory.packages)
        }
        held.withLock { held in
            if held.count >= Limit.images { held.removeAll() }
            held[image] = read
        }
        return read
    }
}
