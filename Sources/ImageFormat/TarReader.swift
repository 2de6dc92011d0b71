import Model

/// Walks over a whole tar archive in memory: ustar, GNU long names, PAX. The bytes must outlive the reader.
///
/// Every damage throws `corruptArchive`, every path that could leave the archive `unsafePath`; nothing is
/// read beyond the given bytes, and nothing allocated beyond `Limit`.
package struct TarReader {
    package enum Limit {
        /// Bytes of one PAX header or one GNU long name.
        package static let extensionBytes = 1 << 20
        /// Members of one archive.
        package static let entries = 2_000_000
        /// Extended attributes of all members, names and values.
        package static let attributeBytes = 64 << 20
        /// PAX and long-name headers in front of one member.
        package static let extensionsInARow = 16
    }

    private let bytes: UnsafeRawBufferPointer
    private var offset = 0
    private var entries = 0
    private var attributeBytes = 0
    private var global = PaxRecords()

    package init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// The next member and where its content lies in the archive; nil at the end.
    package mutating func next() throws -> (entry: TarEntry, content: Range<Int>)? {
        var pax: PaxRecords?
        var longName: String?
        var longLink: String?
        for _ in 0...Limit.extensionsInARow {
            guard let block = try nextBlock() else {
                guard pax == nil, longName == nil, longLink == nil else {
                    throw damaged("it ends after an extended header")
                }
                return nil
            }
            let type = block[TarHeader.type]
            switch type {
            case UInt8(ascii: "x"):
                var records = global
                try records.read(try take(extensionOf: block))
                pax = records
            case UInt8(ascii: "g"):
                try global.read(try take(extensionOf: block))
            case UInt8(ascii: "L"):
                longName = try text(try take(extensionOf: block))
            case UInt8(ascii: "K"):
                longLink = try text(try take(extensionOf: block))
            case UInt8(ascii: "V"):
                continue
            default:
                entries += 1
                if entries > Limit.entries { throw damaged("it has more than \(Limit.entries) members") }
                attributeBytes += (pax ?? global).attributeBytes
                if attributeBytes > Limit.attributeBytes { throw PaxRecords.tooLarge.at("byte \(offset)") }
                return try member(block, type, pax ?? global, longName, longLink)
            }
        }
        throw damaged("it has too many extended headers in a row")
    }

    private func damaged(_ why: String) -> Failure {
        Failure(
            .corruptArchive, "the tar archive is damaged: \(why)", at: "byte \(offset)",
            suggestion: "fetch or make the archive again")
    }

    /// The next header with a right checksum; nil at the end marker or the end of the bytes.
    private mutating func nextBlock() throws -> UnsafeRawBufferPointer? {
        if offset == bytes.count { return nil }
        guard bytes.count - offset >= TarHeader.blockSize else { throw damaged("it is cut off in a header") }
        let block = UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + TarHeader.blockSize])
        if block[0] == 0, block.allSatisfy({ $0 == 0 }) { return nil }
        let stated = try number(block, TarHeader.checksum)
        let sum = TarHeader.sum(block)
        if stated != sum {
            // Some old tars summed signed bytes.
            let highBytes = block.enumerated().count {
                !TarHeader.checksum.contains($0.offset) && $0.element >= 128
            }
            guard stated == sum - 256 * highBytes else { throw damaged("a header has a wrong checksum") }
        }
        offset += TarHeader.blockSize
        return block
    }

    /// The content of an extended header, at most `Limit.extensionBytes`.
    private mutating func take(
        extensionOf block: UnsafeRawBufferPointer
    ) throws -> UnsafeRawBufferPointer {
        let size = try number(block, TarHeader.size)
        guard size >= 0, size <= Limit.extensionBytes else {
            throw damaged("an extended header of \(size) bytes is out of bounds")
        }
        return UnsafeRawBufferPointer(rebasing: bytes[try take(size)])
    }

    /// Steps over content and its padding.
    private mutating func take(_ size: Int) throws -> Range<Int> {
        guard size >= 0, size <= bytes.count - offset else { throw damaged("it is cut off in a member") }
        let range = offset..<offset + size
        // Some tools, umoci among them, end a layer with the last byte of its last file.
        if range.upperBound == bytes.count {
            offset = bytes.count
            return range
        }
        let padding = TarHeader.padding(after: size)
        guard padding <= bytes.count - range.upperBound else { throw damaged("it is cut off after a member") }
        offset = range.upperBound + padding
        return range
    }

    private mutating func member(
        _ block: UnsafeRawBufferPointer, _ type: UInt8, _ pax: PaxRecords, _ longName: String?,
        _ longLink: String?
    ) throws -> (entry: TarEntry, content: Range<Int>) {
        func field(_ range: Range<Int>) -> UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(rebasing: block[range])
        }
        if pax.isSparse || type == UInt8(ascii: "S") { throw unsupported("a sparse file") }
        let rawPath: String
        if let path = pax.path ?? longName {
            rawPath = path
        } else {
            let name = try text(field(TarHeader.name))
            // Only POSIX ("ustar", NUL) has a prefix here; GNU keeps times in its place.
            let hasPrefix = field(TarHeader.magic).prefix(6).elementsEqual("ustar\0".utf8)
            let prefix = hasPrefix ? try text(field(TarHeader.prefix)) : ""
            rawPath = prefix.isEmpty ? name : prefix + "/" + name
        }
        let path = try TarEntry.normalize(rawPath)
        let kind: TarEntry.Kind
        switch type {
        case 0, UInt8(ascii: "0"), UInt8(ascii: "7"):
            kind = rawPath.utf8.last == UInt8(ascii: "/") ? .directory : .file
        case UInt8(ascii: "1"): kind = .hardLink
        case UInt8(ascii: "2"): kind = .symlink
        case UInt8(ascii: "3"): kind = .characterDevice
        case UInt8(ascii: "4"): kind = .blockDevice
        case UInt8(ascii: "5"): kind = .directory
        case UInt8(ascii: "6"): kind = .fifo
        default: throw unsupported("a member of type \(type)").at(path)
        }
        guard !path.isEmpty || kind == .directory else {
            throw Failure(.unsafePath, "a \(kind.rawValue) takes the place of the archive's root")
        }
        var entry = TarEntry(
            path: path, kind: kind, mode: try number(block, TarHeader.mode) & 0o7777,
            uid: try pax.uid ?? number(block, TarHeader.uid),
            gid: try pax.gid ?? number(block, TarHeader.gid),
            modifiedAt: try pax.modifiedAt ?? number(block, TarHeader.modifiedAt), attributes: pax.attributes)
        guard (0...Int(UInt32.max)).contains(entry.uid), (0...Int(UInt32.max)).contains(entry.gid) else {
            throw damaged("an owner is out of bounds")
        }
        switch kind {
        case .file:
            entry.size = try pax.size ?? number(block, TarHeader.size)
        case .symlink, .hardLink:
            let link = try pax.link ?? longLink ?? text(field(TarHeader.link))
            entry.link = try kind == .hardLink ? TarEntry.normalize(link) : link
            guard !entry.link.isEmpty, entry.link.utf8.count <= TarEntry.Limit.pathBytes,
                !entry.link.utf8.contains(0)
            else { throw damaged("a link has no fit target") }
        case .characterDevice, .blockDevice:
            entry.deviceMajor = try number(block, TarHeader.deviceMajor)
            entry.deviceMinor = try number(block, TarHeader.deviceMinor)
            guard (0...0xfff).contains(entry.deviceMajor), (0...0xf_ffff).contains(entry.deviceMinor) else {
                throw damaged("a device number is out of bounds")
            }
        case .directory, .fifo: break
        }
        return (entry, try take(entry.size))
    }

    private func unsupported(_ what: String) -> Failure {
        Failure(
            .corruptArchive, "the tar archive holds \(what), which is not read", at: "byte \(offset)",
            suggestion: "make the archive again with `tar --format=pax`")
    }

    /// Text up to the first NUL.
    private func text(_ field: UnsafeRawBufferPointer) throws -> String {
        guard let text = String(validating: field.prefix { $0 != 0 }, as: UTF8.self) else {
            throw Failure(
                .unsafePath, "a name is not UTF-8", at: "byte \(offset)",
                suggestion: "rename the file before it is archived")
        }
        return text
    }

    /// A number in octal, or in GNU's base 256 where its first bit is set.
    private func number(_ block: UnsafeRawBufferPointer, _ range: Range<Int>) throws -> Int {
        let field = block[range]
        guard let first = field.first else { return 0 }
        if first & 0x80 != 0 {
            var value = first & 0x40 != 0 ? Int(first) - 256 : Int(first & 0x3f)
            for byte in field.dropFirst() {
                let (product, overflows) = value.multipliedReportingOverflow(by: 256)
                if overflows { throw damaged("a number is too large") }
                value = product | Int(byte)
            }
            return value
        }
        var value = 0
        var digits = field.drop { $0 == 0x20 || $0 == 0 }[...]
        while let digit = digits.first, (0x30...0x37).contains(digit) {
            value = value << 3 | Int(digit - 0x30)
            digits.removeFirst()
        }
        guard digits.allSatisfy({ $0 == 0x20 || $0 == 0 }) else { throw damaged("a number is not octal") }
        return value
    }
}
