import ImageFormat
import Model

/// Writes values into a flat run of bytes: numbers as LEB128, texts and byte strings with their length in front.
/// What the store's cache holds is in this form; a change of what is written needs a new cache key.
struct ByteWriter {
    private(set) var bytes: [UInt8] = []

    mutating func put(_ number: Int) {
        var rest = UInt64(bitPattern: Int64(number << 1 ^ number >> 63))
        while rest >= 0x80 {
            bytes.append(UInt8(rest & 0x7f) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    mutating func put(_ text: String) {
        put(text.utf8.count)
        bytes += text.utf8
    }

    mutating func put(_ content: [UInt8]) {
        put(content.count)
        bytes += content
    }

    mutating func put(_ digest: Digest) { put(digest.hex) }

    mutating func put(_ layer: ImageLayer) {
        put(layer.digest)
        put(layer.size)
        put(layer.diffID)
        put(list: layer.sections) {
            $0.put($1.size)
            $0.put($1.digest)
        }
    }

    mutating func put(_ section: LayerSection) {
        put(section.offset)
        put(section.digest)
        put(list: section.members) {
            $0.put($1.packed)
            $0.put($1.unpacked)
        }
    }

    mutating func put<Element>(list: [Element], _ body: (inout ByteWriter, Element) -> Void) {
        put(list.count)
        for element in list { body(&self, element) }
    }

    mutating func put(_ entry: TarEntry) {
        put(entry.path)
        put(TarEntry.Kind.allCases.firstIndex(of: entry.kind)!)
        for number in [
            entry.mode, entry.uid, entry.gid, entry.size, entry.modifiedAt, entry.deviceMajor,
            entry.deviceMinor,
        ] {
            put(number)
        }
        put(entry.link)
        put(list: entry.attributes.sorted { TarEntry.precedes($0.key, $1.key) }) {
            $0.put($1.key)
            $0.put($1.value)
        }
    }
}

/// Reads what `ByteWriter` wrote. Damage throws: the caller then makes the value anew.
struct ByteReader {
    private let bytes: [UInt8]
    private var offset = 0

    struct Damage: Error {}

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { offset == bytes.count }

    mutating func number() throws -> Int {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while offset < bytes.count, shift < 64 {
            let byte = bytes[offset]
            offset += 1
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return Int(bitPattern: UInt(value >> 1)) ^ -Int(value & 1) }
            shift += 7
        }
        throw Damage()
    }

    private mutating func take() throws -> ArraySlice<UInt8> {
        let count = try number()
        guard count >= 0, count <= bytes.count - offset else { throw Damage() }
        offset += count
        return bytes[offset - count..<offset]
    }

    mutating func text() throws -> String { String(decoding: try take(), as: UTF8.self) }
    mutating func content() throws -> [UInt8] { Array(try take()) }
    mutating func digest() throws -> Digest { try Digest(hex: text()) }

    mutating func layer() throws -> ImageLayer {
        ImageLayer(
            digest: try digest(), size: try number(), diffID: try digest(),
            sections: try list { ImageLayer.Section(size: try $0.number(), digest: try $0.digest()) })
    }

    mutating func section() throws -> LayerSection {
        let (offset, digest) = (try number(), try digest())
        return LayerSection(
            offset: offset,
            members: try list {
                LayerSection.Member(packed: try $0.number(), unpacked: try $0.number())
            }, digest: digest)
    }

    mutating func list<Element>(_ body: (inout ByteReader) throws -> Element) throws -> [Element] {
        let count = try number()
        guard count >= 0, count <= bytes.count - offset else { throw Damage() }
        var list: [Element] = []
        list.reserveCapacity(count)
        for _ in 0..<count { list.append(try body(&self)) }
        return list
    }

    mutating func entry() throws -> TarEntry {
        let path = try text()
        let kind = try number()
        guard TarEntry.Kind.allCases.indices.contains(kind) else { throw Damage() }
        var entry = TarEntry(path: path, kind: TarEntry.Kind.allCases[kind])
        entry.mode = try number()
        entry.uid = try number()
        entry.gid = try number()
        entry.size = try number()
        entry.modifiedAt = try number()
        entry.deviceMajor = try number()
        entry.deviceMinor = try number()
        entry.link = try text()
        for (name, value) in try list({ (try $0.text(), try $0.content()) }) {
            entry.attributes[name] = value
        }
        return entry
    }
}
