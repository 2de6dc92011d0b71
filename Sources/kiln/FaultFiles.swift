internal import Baking
internal import CommandLineTool
internal import Execution
internal import Foundation
internal import Model
internal import Ports
internal import Storage
internal import Trust

/// What is known of an image's faults: its packages by its own records, and the feeds in files.
struct FaultFiles: FaultSource {
    private let store: ContentStore
    private let feeds = FeedFiles()

    init(store: ContentStore) { self.store = store }

    func known(of image: Digest, _ paths: [String]) async -> KnownFaults {
        do {
            let held = try ImageInventory.of(image, in: store)
            return KnownFaults(
                packages: held.packages,
                feeds: feeds.readings(paths, packages: held.packages, distribution: held.distribution))
        } catch {
            // What the image holds cannot be told, so nothing can be told of its faults.
            let failure = Failure.list(error)[0]
            return KnownFaults(
                packages: [],
                feeds: Dictionary(paths.map { ($0, .unreadable(failure)) }, uniquingKeysWith: { $1 }))
        }
    }
}
