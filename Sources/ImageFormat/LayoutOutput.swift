import Glibc
import Model

/// Where an image layout is written: a folder, or a tar of the same names.
protocol LayoutOutput {
    func folder(_ name: String) throws
    func file(_ name: String, _ content: UnsafeRawBufferPointer) throws
}

extension LayoutOutput {
    func file(_ name: String, _ content: [UInt8]) throws {
        try content.withUnsafeBytes { try file(name, $0) }
    }
}

/// A layout as a folder.
struct LayoutFolder: LayoutOutput {
    private let path: String

    init(_ path: String) throws {
        self.path = path
        try LayoutFolder.make(path)
    }

    func folder(_ name: String) throws { try LayoutFolder.make(path + "/" + name) }

    func file(_ name: String, _ content: UnsafeRawBufferPointer) throws {
        var file = try NewFile(path: path + "/" + name)
        try file.write(content)
        try file.finish()
    }

    private static func make(_ path: String) throws {
        guard mkdir(path, 0o755) == 0 else {
            throw Failure.system(errno, "the folder cannot be made", at: path)
        }
    }

    /// Removes a half-made layout, folder or file.
    static func remove(_ path: String) {
        if unlink(path) == 0 { return }
        for name in ["index.json", "oci-layout"] { unlink(path + "/" + name) }
        let blobs = path + "/blobs/sha256"
        if let stream = opendir(blobs) {
            while let entry = readdir(stream) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                unlink(blobs + "/" + name)
            }
            closedir(stream)
        }
        for folder in ["/blobs/sha256", "/blobs", ""] { rmdir(path + folder) }
    }
}

/// A layout as a tar whose bytes depend on its content alone.
final class LayoutArchive: LayoutOutput {
    private var output: NewFile

    init(_ path: String) throws { output = try NewFile(path: path) }

    func folder(_ name: String) throws {
        try output.write(TarWriter.header(for: TarEntry(path: name, kind: .directory, mode: 0o755)))
    }

    func file(_ name: String, _ content: UnsafeRawBufferPointer) throws {
        try output.write(TarWriter.header(for: TarEntry(path: name, kind: .file, size: content.count)))
        try output.write(content)
        try output.write(TarWriter.padding(after: content.count))
    }

    func finish() throws {
        try output.write(TarWriter.trailer)
        try output.finish()
    }
}
