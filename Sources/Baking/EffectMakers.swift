import ImageFormat
import Model

/// Whose scripts made what in the layer of effects: kept beside the store's layers for those who ask, and no part of an
/// image.
struct EffectMakers: Equatable {
    private(set) var names: [String: String]

    init(_ names: [String: String]) { self.names = names }

    static func key(_ layer: Digest) -> String { "makers/\(layer.hex)" }

    var encoded: [UInt8] {
        var writer = ByteWriter()
        writer.put(list: names.sorted { TarEntry.precedes($0.key, $1.key) }) {
            $0.put($1.key)
            $0.put($1.value)
        }
        return writer.bytes
    }

    /// nil for a record that is not as it was written.
    init?(decoding bytes: [UInt8]) {
        var reader = ByteReader(bytes)
        guard let rows = try? reader.list({ (try $0.text(), try $0.text()) }), reader.isAtEnd else {
            return nil
        }
        names = Dictionary(rows) { first, _ in first }
    }
}
