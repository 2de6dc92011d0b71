import Model

/// One member of a tar archive: everything about a file except its bytes.
package struct TarEntry: Hashable, Sendable, Codable {
    package enum Kind: String, Hashable, Sendable, Codable, CaseIterable {
        case file, directory, symlink, hardLink, characterDevice, blockDevice, fifo
    }

    /// Relative, without leading `./` or `/` or a trailing `/`, no component empty, `.` or `..`; the root is
    /// "".
    package var path: String
    package var kind: Kind
    /// Permission, set-id and sticky bits, `0o7777` at most.
    package var mode: Int
    package var uid: Int
    package var gid: Int
    /// Bytes of content; 0 for all but files.
    package var size: Int
    /// Seconds since 1970.
    package var modifiedAt: Int
    /// A symlink's target as it is, a hard link's as a path in the form of `path`; else "".
    package var link: String
    package var deviceMajor: Int
    package var deviceMinor: Int
    /// Extended attributes by full name, such as `security.capability`.
    package var attributes: [String: [UInt8]]

    package init(
        path: String, kind: Kind, mode: Int = 0o644, uid: Int = 0, gid: Int = 0, size: Int = 0,
        modifiedAt: Int = 0, link: String = "", deviceMajor: Int = 0, deviceMinor: Int = 0,
        attributes: [String: [UInt8]] = [:]
    ) {
        self.path = path
        self.kind = kind
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.size = size
        self.modifiedAt = modifiedAt
        self.link = link
        self.deviceMajor = deviceMajor
        self.deviceMinor = deviceMinor
        self.attributes = attributes
    }

    /// The bounds of Linux: longer names could never be written to a disk.
    package enum Limit {
        package static let pathBytes = 4095
        package static let componentBytes = 255
    }

    /// Brings a path of an archive into the form of `path`: leading slashes and `.` go, as tar does it.
    /// Throws `unsafePath` for `..`, NUL bytes and names that Linux cannot hold.
    package static func normalize(_ path: String) throws -> String {
        func refuse(_ why: String) -> Failure {
            Failure(
                .unsafePath, "the path \(why)", at: String(path.prefix(200)),
                suggestion: "do not use this archive: an honest one has no such path")
        }
        var isClean = !path.utf8.isEmpty
        var componentLength = 0
        var dots = 0
        for byte in path.utf8 {
            if byte == 0 { throw refuse("holds a NUL byte") }
            if byte == UInt8(ascii: "/") {
                if componentLength == dots, dots <= 2 { isClean = false }
                if componentLength > Limit.componentBytes { throw refuse("has a component over 255 bytes") }
                componentLength = 0
                dots = 0
            } else {
                componentLength += 1
                if byte == UInt8(ascii: ".") { dots += 1 }
            }
        }
        if componentLength == dots, dots <= 2 { isClean = false }
        if componentLength > Limit.componentBytes { throw refuse("has a component over 255 bytes") }
        if path.utf8.count > Limit.pathBytes { throw refuse("is longer than 4095 bytes") }
        if isClean { return path }
        let parts = path.utf8.split(separator: UInt8(ascii: "/")).filter { !$0.elementsEqual(".".utf8) }
        if parts.contains(where: { $0.elementsEqual("..".utf8) }) {
            throw refuse("climbs out of the archive by \"..\"")
        }
        return parts.map { String(Substring($0)) }.joined(separator: "/")
    }

    /// The order that layers are written in: by the bytes of the path, so that a folder precedes what it
    /// holds. Unlike `<` on strings, it does not depend on Unicode tables.
    package static func precedes(_ left: String, _ right: String) -> Bool {
        left.utf8.lexicographicallyPrecedes(right.utf8)
    }
}
