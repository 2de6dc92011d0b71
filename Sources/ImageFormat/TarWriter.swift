/// Writes tar members so that equal entries give equal bytes: ustar where it fits, a PAX header in front
/// where not.
package struct TarWriter {
    /// What ends an archive: two blocks of zeros.
    package static let trailer = [UInt8](repeating: 0, count: 2 * TarHeader.blockSize)

    /// The zeros that follow content of `size` bytes.
    package static func padding(after size: Int) -> [UInt8] {
        [UInt8](repeating: 0, count: TarHeader.padding(after: size))
    }

    /// All header blocks of a member; its content and `padding(after:)` follow. Owner names stay empty.
    package static func header(for entry: TarEntry) -> [UInt8] {
        var pax: [(key: String, value: [UInt8])] = []
        var block = [UInt8](repeating: 0, count: TarHeader.blockSize)
        func put(_ text: some Collection<UInt8>, _ range: Range<Int>) {
            for (position, byte) in zip(range, text) { block[position] = byte }
        }
        func put(_ value: Int, _ range: Range<Int>, orPax key: String) {
            let digits = range.count - 1
            let fits = value >= 0 && value < 1 << (3 * digits)
            if !fits { pax.append((key, Array(String(value).utf8))) }
            put(octal(fits ? value : 0, digits), range)
        }

        var path = entry.path.isEmpty ? "." : entry.path
        if entry.kind == .directory { path += "/" }
        let bytes = Array(path.utf8)
        if bytes.allSatisfy({ $0 < 0x80 }), let split = split(bytes) {
            put(bytes[split.name], TarHeader.name)
            put(bytes[split.prefix], TarHeader.prefix)
        } else {
            pax.append(("path", bytes))
            put(bytes, TarHeader.name)
        }
        let link = Array(entry.link.utf8)
        if link.count > TarHeader.link.count || !link.allSatisfy({ $0 < 0x80 }) {
            pax.append(("linkpath", link))
        }
        put(link, TarHeader.link)
        put(octal(entry.mode & 0o7777, 7), TarHeader.mode)
        put(entry.uid, TarHeader.uid, orPax: "uid")
        put(entry.gid, TarHeader.gid, orPax: "gid")
        put(entry.kind == .file ? entry.size : 0, TarHeader.size, orPax: "size")
        put(entry.modifiedAt, TarHeader.modifiedAt, orPax: "mtime")
        block[TarHeader.type] = type(of: entry.kind)
        put("ustar\u{0}00".utf8, TarHeader.magic)
        put(octal(entry.deviceMajor, 7), TarHeader.deviceMajor)
        put(octal(entry.deviceMinor, 7), TarHeader.deviceMinor)
        seal(&block)
        for (name, value) in entry.attributes { pax.append((PaxRecords.attributePrefix + name, value)) }
        return pax.isEmpty ? block : extended(pax) + block
    }

    /// A PAX header of these records, sorted by key.
    private static func extended(_ records: [(key: String, value: [UInt8])]) -> [UInt8] {
        var content: [UInt8] = []
        for (key, value) in records.sorted(by: { TarEntry.precedes($0.key, $1.key) }) {
            let body = [0x20] + Array(key.utf8) + [0x3d] + value + [0x0a]
            // The length counts its own digits.
            var length = body.count + String(body.count).utf8.count
            if String(length).utf8.count > String(body.count).utf8.count { length += 1 }
            content += Array(String(length).utf8) + body
        }
        var block = [UInt8](repeating: 0, count: TarHeader.blockSize)
        func put(_ text: some Collection<UInt8>, _ range: Range<Int>) {
            for (position, byte) in zip(range, text) { block[position] = byte }
        }
        put("././@PaxHeader".utf8, TarHeader.name)
        put(octal(0o644, 7), TarHeader.mode)
        put(octal(0, 7), TarHeader.uid)
        put(octal(0, 7), TarHeader.gid)
        put(octal(content.count, 11), TarHeader.size)
        put(octal(0, 11), TarHeader.modifiedAt)
        block[TarHeader.type] = UInt8(ascii: "x")
        put("ustar\u{0}00".utf8, TarHeader.magic)
        put(octal(0, 7), TarHeader.deviceMajor)
        put(octal(0, 7), TarHeader.deviceMinor)
        seal(&block)
        return block + content + padding(after: content.count)
    }

    private static func seal(_ block: inout [UInt8]) {
        let sum = octal(block.withUnsafeBytes { TarHeader.sum($0) }, 6) + [0, 0x20]
        block.replaceSubrange(TarHeader.checksum, with: sum)
    }

    private static func octal(_ value: Int, _ digits: Int) -> [UInt8] {
        (0..<digits).reversed().map { UInt8(0x30 + (value >> (3 * $0)) & 7) }
    }

    /// Where a path is cut into ustar's prefix and name: as late as the prefix allows to be short; nil where
    /// it does not fit.
    private static func split(_ path: [UInt8]) -> (prefix: Range<Int>, name: Range<Int>)? {
        if path.count <= TarHeader.name.count { return (0..<0, 0..<path.count) }
        let earliest = path.count - TarHeader.name.count - 1
        guard earliest <= TarHeader.prefix.count,
            let slash = path[earliest..<path.count - 1].firstIndex(of: UInt8(ascii: "/")),
            (1...TarHeader.prefix.count).contains(slash)
        else { return nil }
        return (0..<slash, slash + 1..<path.count)
    }

    private static func type(of kind: TarEntry.Kind) -> UInt8 {
        switch kind {
        case .file: UInt8(ascii: "0")
        case .hardLink: UInt8(ascii: "1")
        case .symlink: UInt8(ascii: "2")
        case .characterDevice: UInt8(ascii: "3")
        case .blockDevice: UInt8(ascii: "4")
        case .directory: UInt8(ascii: "5")
        case .fifo: UInt8(ascii: "6")
        }
    }
}
