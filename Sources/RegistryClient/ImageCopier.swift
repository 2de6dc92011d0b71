internal import Foundation
internal import ImageFormat
package import Model

/// What a copy did.
package struct CopyReport: Hashable, Sendable, Codable {
    package var digest: Digest
    package var mediaType: String
    package var blobs: Int
    package var blobsMoved: Int
    package var bytesMoved: Int
}

/// Copies images byte for byte: nothing is packed or written anew, so every digest stays.
package struct ImageCopier: Sendable {
    package enum Limit {
        /// Blobs on their way at the same time.
        package static let blobsAtOnce = 4
    }

    private let source: any ImageSource
    private let sink: any ImageSink
    private let meter: Meter

    package init(from source: any ImageSource, to sink: any ImageSink, meter: Meter = Meter()) {
        self.source = source
        self.sink = sink
        self.meter = meter
    }

    /// Moves what is missing. Where it throws, the image is not there under its name; what was there before is
    /// as it was.
    package func run(_ plan: CopyPlan) async throws -> CopyReport {
        var report = CopyReport(
            digest: plan.root.digest, mediaType: plan.root.mediaType, blobs: plan.blobs.count, blobsMoved: 0,
            bytesMoved: 0)
        do {
            if try await !sink.holds(document: plan.root.digest) {
                let moved = try await move(plan.blobs)
                report.blobsMoved = moved.count
                report.bytesMoved = moved.reduce(0, +)
                for document in plan.documents { try await sink.put(document, isRoot: false) }
            }
            try Task.checkCancellation()
            try await sink.put(plan.root, isRoot: true)
            try await sink.finish()
        } catch {
            sink.discard()
            throw error
        }
        return report
    }

    /// The bytes that moved for each blob that was missing.
    private func move(_ blobs: [OCIDescriptor]) async throws -> [Int] {
        meter.expect(blobs: blobs.count, bytes: blobs.reduce(0) { $0 + $1.size })
        var moved: [Int] = []
        try await withThrowingTaskGroup(of: Int?.self) { group in
            var rest = blobs[...]
            for blob in rest.prefix(Limit.blobsAtOnce) { group.addTask { try await move(blob) } }
            rest = rest.dropFirst(Limit.blobsAtOnce)
            while let done = try await group.next() {
                meter.finishBlob()
                if let done { moved.append(done) }
                if let blob = rest.popFirst() { group.addTask { try await move(blob) } }
            }
        }
        return moved
    }

    /// How many bytes moved; nil where the blob was there already.
    private func move(_ blob: OCIDescriptor) async throws -> Int? {
        if try await sink.holds(blob: blob) {
            meter.advance(blob.size)
            return nil
        }
        if let bytes = try source.local(blob) {
            guard bytes.count == blob.size else { throw BlobDamage.failure(blob, source.place) }
            try await sink.take(bytes, blob, meter: meter)
            return blob.size
        }
        let path = try sink.temporaryPath()
        do {
            let moved = try await source.fetch(blob, held: sink.held(blob), to: path, meter: meter)
            try await sink.take(file: path, blob, meter: meter)
            return moved
        } catch {
            unlink(path)
            throw error
        }
    }
}
