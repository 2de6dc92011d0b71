import Glibc
import ImageFormat
import Model

/// The files that `files:` rules name: those beside the spec, never from outside its folder, no link followed; and what
/// was fetched for the other rules.
struct SiteFiles: Sendable {
    struct Item: Hashable, Sendable {
        /// Where it goes, in the form of `TarEntry.path`, links of the image not yet followed.
        var path: String
        /// Where it is, below `folder`, or in what was fetched.
        var source: String
        /// Where `source` begins, from the spec's folder.
        var folder = ""
        /// The bytes of something fetched.
        var held: Held?
        var kind: TarEntry.Kind
        var mode: Int
        var owner: String?
        var size = 0
        var digest: Digest?
        var link = ""
        /// Which rule brought it.
        var rule: Int
        /// Where that rule stands, where it is none of `files`.
        var stated: String?

        var place: String { stated ?? SiteFiles.place(rule) }

        /// Whether both put the same into an image.
        func isSame(as other: Item) -> Bool {
            kind == other.kind && mode == other.mode && owner == other.owner && digest == other.digest
                && link == other.link
        }
    }

    /// A part of one of `archives`.
    struct Held: Hashable, Sendable {
        var archive: Int
        var range: Range<Int>
    }

    static func place(_ rule: Int) -> String { "image.files[\(rule)]" }

    enum Limit {
        static let files = 200_000
        static let depth = 128
        static let fileBytes = 8 << 30
        /// What is in memory of a file.
        static let piece = 4 << 20
    }

    /// Sorted by path, each once: of two rules the later wins.
    private(set) var items: [Item] = []
    /// What was fetched, unpacked where it was packed.
    private var archives: [MappedBytes] = []
    private let folder: String

    /// Reads and hashes everything beside the spec that the rules name. Throws all problems at once.
    init(_ rules: [FileRule], folder: String) throws {
        self.folder = folder
        var found = PathTable<Item>()
        var failures: [Failure] = []
        for (index, rule) in rules.enumerated() {
            guard case .local(let path, let folder) = rule.source else { continue }
            do {
                let scan = SiteScan(root: self.folder, folder: folder, rule: rule, index: index)
                for item in try scan.items(path) { found[item.path] = item }
            } catch {
                failures += Failure.list(error)
            }
        }
        if !failures.isEmpty { throw Failures(failures) }
        items = found.values.sorted { TarEntry.precedes($0.path, $1.path) }
    }

    /// Adds what one rule had fetched: `archive` holds the bytes that `items` speak of, as `Held` of archive 0.
    mutating func add(_ added: [Item], of archive: MappedBytes) {
        var found = PathTable<Item>(minimumCapacity: items.count + added.count)
        for item in items { found[item.path] = item }
        for var item in added {
            item.held?.archive = archives.count
            if let old = found[item.path], old.rule > item.rule { continue }
            found[item.path] = item
        }
        archives.append(archive)
        items = found.values.sorted { TarEntry.precedes($0.path, $1.path) }
    }

    /// A digest of everything beside the spec that the layer of these files depends on.
    var digest: Digest {
        var writer = ByteWriter()
        writer.put(list: items) { writer, item in
            writer.put(item.path)
            writer.put(item.kind.rawValue)
            writer.put(item.mode)
            writer.put(item.owner ?? "")
            writer.put(item.digest?.hex ?? item.link)
        }
        return .sha256(writer.bytes)
    }

    /// Gives the content of a file in pieces, and throws at its end where it is no longer the one that was hashed.
    func read(_ item: Item, take: (UnsafeRawBufferPointer) throws -> Void) throws {
        var digest = RunningDigest()
        func pass(_ bytes: UnsafeRawBufferPointer) throws {
            digest.update(bytes)
            try take(bytes)
        }
        if let held = item.held {
            let archive = archives[held.archive]
            for start in stride(from: held.range.lowerBound, to: held.range.upperBound, by: Limit.piece) {
                let part = start..<min(start + Limit.piece, held.range.upperBound)
                try archive.withBytes { try pass(UnsafeRawBufferPointer(rebasing: $0[part])) }
                archive.forget(part)
            }
            guard digest.digest() == item.digest else {
                throw Failure(
                    .storeDamaged, "what was fetched has changed in the store", at: item.source,
                    suggestion: "`kiln store check --repair` removes it, and the next bake fetches it again")
            }
            return
        }
        let file = BelowFolder(root: folder, folder: item.folder)
        let descriptor = try file.open(item.source, place: item.place)
        defer { close(descriptor) }
        try HostFiles.readPieces(descriptor, limit: Limit.fileBytes, at: item.source, take: pass)
        guard digest.digest() == item.digest else {
            throw Failure(
                .conflict, "the file changed while it was baked", at: item.source, suggestion: "bake again")
        }
    }

    /// The content of a small file, which must still be the one that was hashed.
    func content(_ item: Item) throws -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(item.size)
        try read(item) { bytes.append(contentsOf: $0) }
        return bytes
    }
}
