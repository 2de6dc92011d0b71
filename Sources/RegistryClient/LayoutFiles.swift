internal import Foundation
internal import ImageFormat
internal import Model

/// The files of a layout, wherever they lie.
protocol LayoutFiles: Sendable {
    var place: String { get }
    /// nil where there is no such file.
    func bytes(_ name: String) throws -> BlobBytes?
}

extension LayoutFiles {
    /// A whole small file; throws where it is missing or too large.
    func document(_ name: String) throws -> [UInt8] {
        guard let file = try bytes(name) else {
            throw Failure(
                .invalidArgument, "this holds no image: it lacks \(name)", at: place,
                suggestion: "name a folder or file that an image was written to")
        }
        guard file.count <= ImageDocument.Limit.bytes else {
            throw Failure(.corruptArchive, "\(name) is larger than any honest one", at: place)
        }
        return file.withBytes { Array($0) }
    }
}

/// A layout in a folder.
struct FolderFiles: LayoutFiles {
    let place: String

    func bytes(_ name: String) throws -> BlobBytes? {
        do {
            return try BlobBytes(file: "\(place)/\(name)")
        } catch let failure as Failure where failure.code == .fileMissing {
            return nil
        }
    }
}

/// A layout in a tar, which may be packed. The tar stays mapped, and nothing of it is unpacked.
struct TarFiles: LayoutFiles {
    let place: String
    private let archive: MappedBytes
    private var members: [String: Range<Int>] = [:]
    private var links: [String: String] = [:]

    enum Limit {
        static let unpacked = 64 << 30
        /// Links to links.
        static let hops = 8
    }

    init(_ path: String) throws {
        place = path
        let file = try MappedBytes(file: path)
        if file.withBytes({ Decompressor.format(of: $0) }) == .none {
            archive = file
        } else {
            archive = try file.withBytes {
                try Decompressor.decompress($0, limit: Limit.unpacked, spoolFolder: NSTemporaryDirectory())
            }
        }
        do {
            try archive.withBytes { bytes in
                var reader = TarReader(bytes)
                while let (entry, content) = try reader.next() {
                    switch entry.kind {
                    case .file: members[entry.path] = content
                    // Older tools write a layer once and link to it.
                    case .symlink: links[entry.path] = TarFiles.resolve(entry.link, beside: entry.path)
                    case .hardLink: links[entry.path] = entry.link
                    default: continue
                    }
                }
            }
        } catch let failure as Failure {
            throw Failure(
                failure.code, "this is no archive of an image: \(failure.message)", at: path,
                suggestion: failure.suggestion)
        }
    }

    func bytes(_ name: String) throws -> BlobBytes? {
        var name = name
        for _ in 0..<Limit.hops {
            if let range = members[name] { return BlobBytes(archive, range) }
            guard let next = links[name] else { return nil }
            name = next
        }
        return nil
    }

    /// Within the archive only: it names a member, never a file of this machine.
    private static func resolve(_ link: String, beside path: String) -> String {
        var parts = link.hasPrefix("/") ? [] : Array(path.split(separator: "/").dropLast())
        for part in link.split(separator: "/") {
            switch part {
            case ".": continue
            case "..": _ = parts.popLast()
            default: parts.append(part)
            }
        }
        return parts.joined(separator: "/")
    }
}
