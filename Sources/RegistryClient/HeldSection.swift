package import ImageFormat
internal import Model
internal import Ports

/// Bytes of a blob that this machine has already, within another blob.
package struct HeldSection: Sendable {
    /// Where they belong in the blob.
    package var range: Range<Int>
    package var bytes: BlobBytes

    package init(range: Range<Int>, bytes: BlobBytes) {
        self.range = range
        self.bytes = bytes
    }

    private enum Limit {
        /// A run of fewer bytes is fetched with what is around it: a further request costs more.
        static let leastRun = 32 << 10
        /// Requests for one blob.
        static let runs = 256
    }

    /// Those that save more than they cost: runs of neighbours that are long enough, the longest ones where there are
    /// too many. In the order of their places.
    static func worthUsing(_ sections: [HeldSection]) -> [HeldSection] {
        var runs: [[HeldSection]] = []
        for section in sections.sorted(by: { $0.range.lowerBound < $1.range.lowerBound })
        where !section.range.isEmpty {
            if let last = runs.last?.last, last.range.upperBound == section.range.lowerBound {
                runs[runs.count - 1].append(section)
            } else {
                runs.append([section])
            }
        }
        func size(_ run: [HeldSection]) -> Int { run.reduce(0) { $0 + $1.range.count } }
        return runs.filter { size($0) >= Limit.leastRun }.sorted { size($0) > size($1) }.prefix(Limit.runs)
            .flatMap(\.self).sorted { $0.range.lowerBound < $1.range.lowerBound }
    }
}

/// Where the sections of the layers in a store lie.
struct SectionIndex: Sendable {
    private struct Place: Sendable {
        var layer: Digest
        var range: Range<Int>
    }

    private var places: [Digest: Place] = [:]

    /// Reads the manifests of all images of the store; what is damaged there holds nothing.
    init(_ store: any ImageStore) {
        for record in (try? store.images()) ?? [] {
            guard let bytes = try? store.read(record.digest, limit: OCIManifest.Limit.bytes),
                let manifest = try? OCIManifest(parsing: bytes)
            else { continue }
            for layer in manifest.layers where store.path(of: layer.digest) != nil {
                for (section, range) in LayerSections.placed(in: layer) {
                    places[section.digest] = Place(layer: layer.digest, range: range)
                }
            }
        }
    }

    /// What the store holds of a layer that it lacks. Every byte is checked: a damaged section is not held.
    func held(_ layer: OCIDescriptor, in store: any ImageStore) -> [HeldSection] {
        var held: [HeldSection] = []
        var files: [Digest: MappedBytes] = [:]
        for (section, range) in LayerSections.placed(in: layer) {
            guard let place = places[section.digest], place.range.count == section.size,
                let path = store.path(of: place.layer),
                let file = files[place.layer] ?? (try? MappedBytes(file: path)),
                file.count >= place.range.upperBound
            else { continue }
            files[place.layer] = file
            let bytes = BlobBytes(file, place.range)
            guard bytes.digest == section.digest else { continue }
            held.append(HeldSection(range: range, bytes: bytes))
        }
        return held
    }
}
