import Model

/// What PAX extended headers say about a member (POSIX.1-2001, plus star's `SCHILY.xattr.`).
struct PaxRecords {
    var path: String?
    var link: String?
    var size: Int?
    var uid: Int?
    var gid: Int?
    var modifiedAt: Int?
    var attributes: [String: [UInt8]] = [:]
    var isSparse = false

    static let attributePrefix = "SCHILY.xattr."

    enum Limit {
        /// The kernel's own bounds of one attribute (XATTR_NAME_MAX, XATTR_SIZE_MAX).
        static let nameBytes = 255
        static let valueBytes = 64 << 10
        /// Attributes of one member, names and values.
        static let memberBytes = 1 << 20
    }

    /// Bytes of all attributes, names and values.
    private(set) var attributeBytes = 0

    private static let damage = Failure(
        .corruptArchive, "the tar archive is damaged: an extended header cannot be read",
        suggestion: "fetch or make the archive again")

    static let tooLarge = Failure(
        .corruptArchive,
        "the tar archive holds attributes that are larger than a kernel takes, or too many of them",
        suggestion: "make the archive again without extended attributes: `tar --no-xattrs`")

    /// Adds the records of one header: `<length> <key>=<value>\n`, the length covering the whole record.
    mutating func read(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            guard let space = rest.firstIndex(of: 0x20), space - rest.startIndex <= 10,
                let length = Int(String(decoding: rest[..<space], as: UTF8.self)), length > 0,
                length <= rest.count, space < rest.startIndex + length - 1,
                rest[rest.startIndex + length - 1] == 0x0a
            else { throw PaxRecords.damage }
            let record = rest[space + 1..<rest.startIndex + length - 1]
            guard let equals = record.firstIndex(of: 0x3d), equals > record.startIndex,
                let key = String(validating: record[..<equals], as: UTF8.self)
            else { throw PaxRecords.damage }
            try set(key, Array(record[(equals + 1)...]))
            rest = rest[(rest.startIndex + length)...]
        }
    }

    /// An empty value takes the header's own field again.
    private mutating func set(_ key: String, _ value: [UInt8]) throws {
        switch key {
        case "path": path = try value.isEmpty ? nil : text(value)
        case "linkpath": link = try value.isEmpty ? nil : text(value)
        case "size": size = try value.isEmpty ? nil : number(value)
        case "uid": uid = try value.isEmpty ? nil : number(value)
        case "gid": gid = try value.isEmpty ? nil : number(value)
        case "mtime": modifiedAt = try value.isEmpty ? nil : seconds(value)
        default:
            if key.hasPrefix(PaxRecords.attributePrefix) {
                let name = String(key.dropFirst(PaxRecords.attributePrefix.count))
                guard !name.isEmpty, !name.utf8.contains(0) else { throw PaxRecords.damage }
                let old = attributes[name].map { name.utf8.count + $0.count } ?? 0
                attributeBytes += name.utf8.count + value.count - old
                guard name.utf8.count <= Limit.nameBytes, value.count <= Limit.valueBytes,
                    attributeBytes <= Limit.memberBytes
                else { throw PaxRecords.tooLarge }
                attributes[name] = value
            } else if key.hasPrefix("GNU.sparse.") {
                isSparse = true
            }
        }
    }

    private func text(_ value: [UInt8]) throws -> String {
        guard let text = String(validating: value, as: UTF8.self), !value.contains(0) else {
            throw Failure(
                .unsafePath, "a name is not UTF-8 or holds a NUL byte",
                suggestion: "rename the file before it is archived")
        }
        return text
    }

    private func number(_ value: [UInt8]) throws -> Int {
        guard let number = Int(String(decoding: value, as: UTF8.self)), number >= 0 else {
            throw PaxRecords.damage
        }
        return number
    }

    /// Whole seconds, rounded down, of a decimal with a fraction.
    private func seconds(_ value: [UInt8]) throws -> Int {
        let parts = value.split(separator: UInt8(ascii: "."), maxSplits: 1, omittingEmptySubsequences: false)
        guard let whole = Int(String(decoding: parts[0], as: UTF8.self)), whole > Int.min else {
            throw PaxRecords.damage
        }
        let fraction = parts.count > 1 ? parts[1] : []
        guard fraction.allSatisfy({ (0x30...0x39).contains($0) }) else { throw PaxRecords.damage }
        let isBelow = value.first == UInt8(ascii: "-") && fraction.contains { $0 != 0x30 }
        return isBelow ? whole - 1 : whole
    }
}
