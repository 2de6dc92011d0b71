import ImageFormat
import Model
package import Ports

/// Reads a whole store and says what is not as it was written.
package struct StoreCheck: Sendable {
    package struct Finding: Hashable, Sendable, Codable {
        package enum Kind: String, Hashable, Sendable, Codable {
            /// A blob whose bytes are not those that it is named by.
            case damagedBlob = "damaged-blob"
            /// A record of an image that cannot be read.
            case damagedRecord = "damaged-record"
            /// An image lacks a part.
            case incompleteImage = "incomplete-image"
        }

        package var kind: Kind
        package var place: String
        package var what: String
    }

    package struct Report: Sendable {
        package var findings: [Finding] = []
        package var blobs = 0
        package var bytes = 0
        package var images = 0
        /// What processes that ended left half-made; no damage, and gone at the next `kiln store gc`.
        package var leftovers = 0
    }

    private enum Limit {
        static let parallel = 4
    }

    private let store: any CollectibleStore

    package init(_ store: any CollectibleStore) { self.store = store }

    /// Reads everything. With `repairing`, damaged blobs and records are removed, so that the next bake or pull makes
    /// them anew. `progress` gets the share that is done.
    package func run(
        repairing: Bool, progress: @escaping @Sendable (Double) -> Void = { _ in }
    ) async throws -> Report {
        var report = Report()
        let blobs = try store.blobs().sorted { $0.size > $1.size }
        report.blobs = blobs.count
        report.bytes = blobs.reduce(0) { $0 + $1.size }
        report.leftovers = try store.leftovers().count
        for path in try store.damagedRecords() {
            report.findings.append(
                Finding(kind: .damagedRecord, place: path, what: "the record of an image cannot be read"))
            if repairing { try store.remove(record: path) }
        }
        for blob in try await damaged(blobs, progress) {
            report.findings.append(
                Finding(
                    kind: .damagedBlob, place: store.path(of: blob) ?? "\(blob)",
                    what: "its bytes are not those that it is named by"))
            if repairing { try store.remove(blob: blob) }
        }
        let damagedRecords = Set(report.findings.filter { $0.kind == .damagedRecord }.map(\.place))
        let images = damagedRecords.isEmpty || repairing ? try store.images() : []
        report.images = images.count
        for image in images {
            guard let why = incompleteness(of: image) else { continue }
            report.findings.append(
                Finding(kind: .incompleteImage, place: "\(image.digest)", what: why))
        }
        return report
    }

    private func incompleteness(of image: ImageRecord) -> String? {
        do {
            let missing = try ImageParts(store).of(image.digest).filter { store.path(of: $0) == nil }
            guard let part = missing.min() else { return nil }
            let again = image.service == nil ? "pull" : "bake"
            return "it lacks \(part), and \(missing.count - 1) others: \(again) it again"
        } catch {
            return "\(error)"
        }
    }

    private func damaged(
        _ blobs: [StoredFile<Digest>], _ progress: @escaping @Sendable (Double) -> Void
    ) async throws -> [Digest] {
        let total = max(1, blobs.reduce(0) { $0 + $1.size })
        var done = 0
        let whole = try await inParallel(
            blobs, width: Limit.parallel,
            ended: { blob, _ in
                done += blob.size
                progress(Double(done) / Double(total))
            }
        ) { isWhole($0.name) }
        return zip(blobs, whole).filter { !$0.1 }.map(\.0.name).sorted()
    }

    /// One that is gone meanwhile is no damage.
    private func isWhole(_ blob: Digest) -> Bool {
        guard let path = store.path(of: blob), let file = try? MappedBytes(file: path) else {
            return store.path(of: blob) == nil
        }
        return file.digest() == blob
    }
}
