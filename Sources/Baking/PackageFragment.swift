import ImageFormat
import Model

/// What one package adds to an image: a layer in the store, and all that baking needs to know of it without opening
/// the package again.
struct PackageFragment: Sendable {
    var name: String
    var version: String
    /// The package's own date, in seconds since 1970.
    var modifiedAt: Int
    /// A layer of this package alone: its folders, then `files`.
    var layer: ImageLayer
    /// Everything but the folders, as other layers take it over.
    var files: LayerSection
    /// Every entry of the layer, sorted by path.
    var entries: [TarEntry]
    var control: ControlParagraph
    /// `preinst`, `postinst` and debconf's `templates`, where the package has them.
    var scripts: [String: String]
    /// The names that shared libraries in the package say they have, by path.
    var libraries: [String: String]
    /// Files of the package that effects are made from, by path.
    var kept: [String: [UInt8]]

    /// Changes whenever what is made of a package changes: old fragments are then made anew.
    static let version = 2

    /// The key that a fragment of this package is cached by.
    static func key(_ deb: Digest) -> String { "fragment/\(version)-\(deb.hex)" }

    func encoded() -> [UInt8] {
        var writer = ByteWriter()
        writer.put(name)
        writer.put(version)
        writer.put(modifiedAt)
        writer.put(layer)
        writer.put(files)
        writer.put(list: entries) { $0.put($1) }
        writer.put(list: control.fields) {
            $0.put($1.name)
            $0.put($1.value)
            $0.put($1.line)
        }
        writer.put(list: scripts.sorted { $0.key < $1.key }) {
            $0.put($1.key)
            $0.put($1.value)
        }
        writer.put(list: libraries.sorted { TarEntry.precedes($0.key, $1.key) }) {
            $0.put($1.key)
            $0.put($1.value)
        }
        writer.put(list: kept.sorted { TarEntry.precedes($0.key, $1.key) }) {
            $0.put($1.key)
            $0.put($1.value)
        }
        return writer.bytes
    }

    init(decoding bytes: [UInt8]) throws {
        var reader = ByteReader(bytes)
        name = try reader.text()
        version = try reader.text()
        modifiedAt = try reader.number()
        layer = try reader.layer()
        files = try reader.section()
        entries = try reader.list { try $0.entry() }
        control = ControlParagraph(
            fields: try reader.list {
                ControlParagraph.Field(name: try $0.text(), value: try $0.text(), line: try $0.number())
            })
        func texts(_ reader: inout ByteReader) throws -> [String: String] {
            Dictionary(try reader.list { (try $0.text(), try $0.text()) }) { first, _ in first }
        }
        scripts = try texts(&reader)
        libraries = try texts(&reader)
        kept = Dictionary(try reader.list { (try $0.text(), try $0.content()) }) { first, _ in first }
        guard reader.isAtEnd else { throw ByteReader.Damage() }
    }

    init(
        name: String, version: String, modifiedAt: Int, layer: ImageLayer, files: LayerSection,
        entries: [TarEntry], control: ControlParagraph, scripts: [String: String] = [:],
        libraries: [String: String] = [:],
        kept: [String: [UInt8]] = [:]
    ) {
        self.name = name
        self.version = version
        self.modifiedAt = modifiedAt
        self.layer = layer
        self.files = files
        self.entries = entries
        self.control = control
        self.scripts = scripts
        self.libraries = libraries
        self.kept = kept
    }
}
