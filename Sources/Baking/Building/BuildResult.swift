import Glibc
import ImageFormat
import Model

/// What a build step left at the paths that were asked for, as a tar. Nothing runs in the step's root any more, and
/// nothing in it is trusted: links lead anywhere, names may be no text.
struct BuildResult {
    private enum Limit {
        /// Bytes of all files together.
        static let bytes = 8 << 30
        /// Each is held in memory while it is looked through; a file of holes costs the command nothing.
        static let fileBytes = 2 << 30
        static let pathBytes = TarEntry.Limit.pathBytes
    }

    /// The root on this host.
    let root: String
    let firstOwner: Int
    let secrets: [BuildSecret]

    /// Writes the tar. `paths` are in the form of `TarEntry.path`, none inside another. Links on the way to them are
    /// followed as in the root; those inside a folder that is asked for must stay in it.
    func write(_ paths: [String], to file: String) throws {
        let descriptor = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw HostFiles.failure(errno, "the result cannot be kept", at: file) }
        defer { close(descriptor) }
        var total = 0
        func append(_ entry: TarEntry, _ content: [UInt8] = []) throws {
            total += content.count
            guard total <= Limit.bytes else {
                throw Failure(.commandFailed, "its results hold more than \(ByteCount(bytes: Limit.bytes))")
            }
            try HostFiles.write(
                TarWriter.header(for: entry) + content + TarWriter.padding(after: content.count),
                to: descriptor, at: file)
        }
        for path in paths {
            let real = try place(of: path)
            var status = stat()
            guard lstat(real, &status) == 0 else { throw missing(path) }
            switch status.st_mode & S_IFMT {
            case S_IFREG:
                let content = try content(real, path)
                try append(entry(path, .file, Int(status.st_mode), content.count), content)
            case S_IFDIR:
                try append(entry(path, .directory, 0o755))
                try appendFolder(real, path, append)
            default: throw refusal(path, "neither a file nor a folder")
            }
        }
        try HostFiles.write(TarWriter.trailer, to: descriptor, at: file)
        guard fsync(descriptor) == 0 else {
            throw HostFiles.failure(errno, "the result cannot be kept", at: file)
        }
    }

    private func appendFolder(
        _ real: String, _ path: String, _ append: (TarEntry, [UInt8]) throws -> Void
    ) throws {
        let scan: TreeScan
        do {
            scan = try TreeScan(real, firstOwner: firstOwner)
        } catch let failure as Failure {
            throw refusal(path + (failure.place ?? ""), failure.message)
        }
        for (name, row) in scan.rows.sorted(by: { TarEntry.precedes($0.key, $1.key) }) {
            let inner = path + "/" + name
            switch row.kind {
            case .file:
                let content = try content(real + "/" + name, inner)
                try append(entry(inner, .file, row.mode, content.count), content)
            case .directory: try append(entry(inner, .directory, 0o755), [])
            case .symlink:
                var entry = entry(inner, .symlink, 0o777)
                entry.link = try scan.link(name)
                guard !ImagePath.leaves(entry.link, depth: ImagePath.parents(of: name).count) else {
                    throw refusal(inner, "a link to \(entry.link), outside of /\(path)")
                }
                try append(entry, [])
            default: throw refusal(inner, "neither a file, a folder nor a link")
            }
        }
    }

    /// Owners, times and set-id bits are not kept: the recipe says owners and modes, and content decides about times.
    private func entry(_ path: String, _ kind: TarEntry.Kind, _ mode: Int, _ size: Int = 0) -> TarEntry {
        TarEntry(
            path: path, kind: kind, mode: kind == .file ? (mode & 0o100 != 0 ? 0o755 : 0o644) : mode,
            size: size)
    }

    private func content(_ real: String, _ path: String) throws -> [UInt8] {
        let descriptor = open(real, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { throw HostFiles.failure(errno, "it cannot be read", at: "/" + path) }
        defer { close(descriptor) }
        let bytes = try HostFiles.read(descriptor, limit: Limit.fileBytes, at: "/" + path)
        for secret in secrets where secret.isIn(bytes) {
            throw Failure(
                .notPermitted, "its result /\(path) holds the secret \(secret.target)",
                suggestion: "let the command leave it out: an image is no place for secrets")
        }
        return bytes
    }

    /// Where a path of the root is on this host, links resolved as inside.
    private func place(of path: String) throws -> String {
        let resolved = ImagePath.resolve(path, followLast: true) { inner in
            var buffer = [UInt8](repeating: 0, count: Limit.pathBytes + 1)
            let count = buffer.withUnsafeMutableBytes {
                readlink(root + "/" + inner, $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count)
            }
            guard count > 0, let link = String(validating: buffer[..<count], as: UTF8.self) else {
                return nil
            }
            return TarEntry(path: inner, kind: .symlink, link: link)
        }
        guard let resolved else { throw refusal(path, "a circle of links") }
        return resolved.isEmpty ? root : root + "/" + resolved
    }

    private func refusal(_ path: String, _ what: String) -> Failure {
        Failure(
            .unsafePath, "its result /\(path) cannot be taken: it is \(what)",
            suggestion: "let the command leave files, folders and links between them")
    }

    private func missing(_ path: String) -> Failure {
        let folder = try? place(of: ImagePath.parent(of: path))
        return Failure(
            .fileMissing, "the command left no /\(path)",
            suggestion: folder.flatMap {
                CloseNames.question(ImagePath.name(of: path), among: HostFiles.names(in: $0))
            } ?? "mend `from`, or let the command write it there")
    }
}
