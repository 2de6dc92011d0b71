import ImageFormat
import Model

/// A Debian package file (deb(5)): an ar archive of two tars, read from a mapped file.
struct DebArchive {
    enum Limit {
        /// Members that the ar archive may have.
        static let members = 16
        /// Unpacked bytes of the control part and of one of its files.
        static let controlBytes = 16 << 20
        /// Unpacked bytes of the data part.
        static let dataBytes = 16 << 30
    }

    /// The control fields.
    let control: ControlParagraph
    /// Files of the control part by name: `postinst`, `conffiles`, `md5sums`, `triggers` …
    let controlFiles: [String: [UInt8]]
    /// When the control file was made, in seconds since 1970: the package's own date.
    let modifiedAt: Int
    private let file: MappedBytes
    private let data: Range<Int>
    private let place: String

    /// Reads the control part of a file. `place` names the package in failures.
    init(_ file: MappedBytes, place: String, spoolFolder: String) throws {
        self.place = place
        self.file = file
        let members = try DebArchive.members(file.bytes, place: place)
        guard let version = members.first, version.name == "debian-binary",
            file.bytes[version.content].starts(with: "2.".utf8)
        else { throw DebArchive.damaged("it is not a Debian package of format 2", place) }
        guard let control = members.first(where: { $0.name.hasPrefix("control.tar") }),
            let data = members.first(where: { $0.name.hasPrefix("data.tar") })
        else { throw DebArchive.damaged("it lacks its control or its data part", place) }
        self.data = data.content
        let unpacked = try DebArchive.locating(place) {
            try Decompressor.decompress(
                UnsafeRawBufferPointer(rebasing: file.bytes[control.content]), limit: Limit.controlBytes,
                spoolFolder: spoolFolder)
        }
        var files: [String: [UInt8]] = [:]
        var modifiedAt = 0
        try DebArchive.locating(place) {
            var reader = TarReader(unpacked.bytes)
            while let (entry, content) = try reader.next() {
                guard entry.kind == .file else { continue }
                files[entry.path] = Array(unpacked.bytes[content])
                if entry.path == "control" { modifiedAt = entry.modifiedAt }
            }
        }
        guard let text = files["control"],
            let paragraph = try ControlParagraph.parse(
                String(decoding: text, as: UTF8.self), place: "\(place) control"
            ).first
        else { throw DebArchive.damaged("it has no control file", place) }
        self.control = paragraph
        controlFiles = files
        self.modifiedAt = modifiedAt
    }

    /// Unpacks the data part: a tar whose paths and sizes nobody has checked yet.
    func unpackData(spoolFolder: String) throws -> MappedBytes {
        try DebArchive.locating(place) {
            try Decompressor.decompress(
                UnsafeRawBufferPointer(rebasing: file.bytes[data]), limit: Limit.dataBytes,
                spoolFolder: spoolFolder
            ) { file.forget(data.lowerBound..<data.lowerBound + $0) }
        }
    }

    /// A file of the control part as text; nil where it is absent.
    func text(_ name: String) -> String? {
        controlFiles[name].map { String(decoding: $0, as: UTF8.self) }
    }

    static func damaged(_ why: String, _ place: String) -> Failure {
        Failure(
            .corruptArchive, "the package is damaged: \(why)", at: place,
            suggestion: "use another mirror; a package of an archive is never like this")
    }

    /// Names the package in whatever fails inside.
    static func locating<Result>(_ place: String, _ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch let failure as Failure {
            throw failure.place.map { inner in
                var copy = failure
                copy.place = "\(place): \(inner)"
                return copy
            } ?? failure.at(place)
        }
    }

    /// The members of an ar archive (ar(5), the common subset), in their order.
    private static func members(
        _ bytes: UnsafeRawBufferPointer, place: String
    ) throws -> [(name: String, content: Range<Int>)] {
        guard bytes.starts(with: "!<arch>\n".utf8) else { throw damaged("it is not an ar archive", place) }
        var members: [(name: String, content: Range<Int>)] = []
        var offset = 8
        while offset < bytes.count {
            guard members.count < Limit.members else { throw damaged("it has too many members", place) }
            guard bytes.count - offset >= 60, bytes[offset + 58] == 0x60, bytes[offset + 59] == 0x0a else {
                throw damaged("a member has no header", place)
            }
            func field(_ range: Range<Int>) -> String {
                let text = bytes[(offset + range.lowerBound)..<(offset + range.upperBound)]
                return String(decoding: text.reversed().drop { $0 == 0x20 }.reversed(), as: UTF8.self)
            }
            var name = field(0..<16)
            if name.hasSuffix("/") { name.removeLast() }
            guard let size = Int(field(48..<58)), size >= 0, size <= bytes.count - offset - 60 else {
                throw damaged("the member \(name) is cut off", place)
            }
            members.append((name, offset + 60..<offset + 60 + size))
            offset += 60 + size + size % 2
        }
        return members
    }
}
