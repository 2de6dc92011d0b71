internal import Foundation
package import ImageFormat
package import Model
internal import Synchronization

/// A folder in the OCI image layout. It may hold other images: this one is added, or takes its name over.
package final class LayoutFolderSink: ImageSink {
    private let folder: String
    private let tag: String?
    private let root = Mutex<OCIDescriptor?>(nil)
    /// Whether the folder was made for this image, and goes again if nothing comes of it.
    private let wasMade: Bool
    package let place: String

    package init(folder: String, tag: String?) throws {
        self.folder = folder
        self.tag = tag
        place = "oci:\(folder)" + (tag.map { ":\($0)" } ?? "")
        let files = FileManager.default
        wasMade = !files.fileExists(atPath: folder)
        if !wasMade, !files.fileExists(atPath: "\(folder)/oci-layout"),
            try !files.contentsOfDirectory(atPath: folder).isEmpty
        {
            throw Failure(
                .conflict, "this exists and is no image layout", at: folder, suggestion: "choose a new folder"
            )
        }
        do {
            try files.createDirectory(atPath: "\(folder)/blobs/sha256", withIntermediateDirectories: true)
        } catch {
            throw Failure(.notPermitted, "the folder cannot be made", at: folder, cause: error)
        }
    }

    private func path(_ digest: Digest) -> String { "\(folder)/blobs/sha256/\(digest.hex)" }

    package func holds(document: Digest) async throws -> Bool { false }

    package func holds(blob: OCIDescriptor) async throws -> Bool { access(path(blob.digest), R_OK) == 0 }

    package func temporaryPath() throws -> String {
        "\(folder)/blobs/.kiln-\(getpid())-\(UInt64.random(in: 0 ... .max))"
    }

    package func take(file: String, _ blob: OCIDescriptor, meter: Meter) async throws {
        try FileTrouble.move(file, to: path(blob.digest))
    }

    package func take(_ bytes: BlobBytes, _ blob: OCIDescriptor, meter: Meter) async throws {
        let temporary = try temporaryPath()
        do {
            try CheckedCopy.write(bytes, blob, to: temporary, meter: meter, place: place)
            try FileTrouble.move(temporary, to: path(blob.digest))
        } catch {
            unlink(temporary)
            throw error
        }
    }

    package func put(_ document: ImageDocument, isRoot: Bool) async throws {
        try write(document.bytes, to: path(document.digest))
        if isRoot { root.withLock { $0 = document.descriptor } }
    }

    package func finish() async throws {
        guard let root = root.withLock({ $0 }) else { return }
        let entry = LayoutContent(root: root, tag: tag, documents: []).entry
        let path = "\(folder)/index.json"
        var index = OCIIndex(manifests: [])
        if FileManager.default.fileExists(atPath: path) {
            index = try OCIIndex(parsing: FolderFiles(place: folder).document("index.json"))
        }
        index.manifests.removeAll { $0.annotations[LayoutContent.tagAnnotation] == tag }
        index.manifests.append(entry)
        try write(LayoutContent.mark, to: "\(folder)/oci-layout")
        try write(index.bytes, to: path)
    }

    private func write(_ bytes: [UInt8], to path: String) throws {
        let temporary = try temporaryPath()
        let file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw FileTrouble.failure("cannot be made", temporary) }
        do {
            defer { close(file) }
            try bytes.withUnsafeBytes { try FileTrouble.write($0, to: file, temporary) }
        } catch {
            unlink(temporary)
            throw error
        }
        try FileTrouble.move(temporary, to: path)
    }

    package func discard() {
        if wasMade { try? FileManager.default.removeItem(atPath: folder) }
    }
}

/// An archive, OCI's or Docker's: written in one go when everything is there, whole or not at all.
package final class ArchiveSink: ImageSink {
    private struct Gathered {
        var documents: [ImageDocument] = []
        var blobs: [Digest: BlobBytes] = [:]
        var root: ImageDocument?
    }

    private let file: String
    private let name: String?
    private let isDocker: Bool
    private let gathered = Mutex(Gathered())
    package let place: String

    /// - Parameter name: the tag of an OCI archive, or the name in a Docker archive
    package init(file: String, name: String?, isDocker: Bool) {
        self.file = file
        self.name = name
        self.isDocker = isDocker
        place = (isDocker ? "docker-archive:" : "oci-archive:") + file
    }

    package func holds(document: Digest) async throws -> Bool { false }
    package func holds(blob: OCIDescriptor) async throws -> Bool { false }

    package func temporaryPath() throws -> String {
        "\(file).blob-\(getpid())-\(UInt64.random(in: 0 ... .max))"
    }

    package func take(file path: String, _ blob: OCIDescriptor, meter: Meter) async throws {
        let bytes = try BlobBytes(file: path)
        // Mapped it stays until the archive is written, and nothing is left behind however this ends.
        unlink(path)
        gathered.withLock { $0.blobs[blob.digest] = bytes }
    }

    package func take(_ bytes: BlobBytes, _ blob: OCIDescriptor, meter: Meter) async throws {
        gathered.withLock { $0.blobs[blob.digest] = bytes }
        meter.advance(blob.size)
    }

    package func put(_ document: ImageDocument, isRoot: Bool) async throws {
        gathered.withLock {
            $0.documents.append(document)
            if isRoot { $0.root = document }
        }
    }

    package func finish() async throws {
        let all = gathered.withLock { $0 }
        guard let root = all.root else { return }
        if isDocker { return try writeDocker(root, all.blobs) }
        var content = LayoutContent(
            root: root.descriptor, tag: name, documents: all.documents.map(\.bytes))
        content.blobs = all.blobs
        try ImageExport.export(content, format: .ociArchive, to: file)
    }

    private func writeDocker(_ root: ImageDocument, _ blobs: [Digest: BlobBytes]) throws {
        guard case .manifest(let entries) = root.content, let config = entries.first,
            let bytes = blobs[config.digest], bytes.count <= ImageDocument.Limit.bytes
        else {
            throw Failure(.invalidArgument, "an archive of Docker's holds one image, and no index", at: place)
        }
        _ = try OCIManifest(parsing: root.bytes)
        let text = bytes.withBytes { Array($0) }
        let stated = try JSONValue(parsing: text)["rootfs"]?["diff_ids"]?.elements ?? []
        guard stated.count == entries.count - 1 else {
            throw Failure(.corruptArchive, "the config lists other layers than the manifest", at: place)
        }
        let layers = try zip(entries.dropFirst(), stated).map { entry, diffID in
            guard let blob = blobs[entry.digest], let text = diffID.text else {
                throw Failure(.corruptArchive, "a layer is missing", at: place)
            }
            return (try Digest(parsing: text), blob)
        }
        try ImageExport.exportDocker(config: text, layers: layers, name: name ?? "image:latest", to: file)
    }
}

extension FileTrouble {
    /// Puts a finished file in its place; its content and its name are on disk afterwards.
    static func move(_ source: String, to path: String) throws {
        let folder = String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
        for (name, isFirst) in [(source, true), (folder.isEmpty ? "/" : folder, false)] {
            if !isFirst, rename(source, path) != 0 { throw failure("cannot take its place", path) }
            let file = open(name, O_RDONLY | O_CLOEXEC)
            guard file >= 0 else { throw failure("cannot be opened", name) }
            defer { close(file) }
            guard fsync(file) == 0 else { throw failure("cannot be flushed", name) }
        }
    }
}
