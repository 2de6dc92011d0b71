import ImageFormat
import Model

/// The part of an image that comes from packages and their effects: everything but the user's own files.
struct BaseImage: Sendable {
    var layers: [ImageLayer]
    var passwd: String
    var group: String
    /// Numbers of accounts that no package names itself, by name.
    var givenIDs: [String: Int]
    /// Steps of scripts that were not understood.
    var warnings: [String]
    /// Steps that no image may hold the result of.
    var notes: [String]
    /// Packages whose scripts were run in a sandbox.
    var traced: [String]
    /// Folders, links and programs of the image, sorted by path: what files are put into and commands are found by.
    var entries: [TarEntry]

    var accounts: Accounts { Accounts(passwd: passwd, group: group) }

    /// Whether an entry is one that is kept in `entries`.
    static func isKept(_ entry: TarEntry) -> Bool {
        entry.kind == .directory || entry.kind == .symlink || entry.mode & 0o111 != 0
    }

    func encoded() -> [UInt8] {
        var writer = ByteWriter()
        writer.put(list: layers) { $0.put($1) }
        writer.put(passwd)
        writer.put(group)
        writer.put(list: givenIDs.sorted { $0.key < $1.key }) {
            $0.put($1.key)
            $0.put($1.value)
        }
        writer.put(list: warnings) { $0.put($1) }
        writer.put(list: notes) { $0.put($1) }
        writer.put(list: traced) { $0.put($1) }
        writer.put(list: entries) { $0.put($1) }
        return writer.bytes
    }

    init(
        layers: [ImageLayer], accounts: Accounts, givenIDs: [String: Int], warnings: [String],
        notes: [String], traced: [String], entries: [TarEntry]
    ) {
        self.layers = layers
        self.givenIDs = givenIDs
        passwd = accounts.passwd
        group = accounts.groupFile
        self.warnings = warnings
        self.notes = notes
        self.traced = traced
        self.entries = entries
    }

    init(decoding bytes: [UInt8]) throws {
        var reader = ByteReader(bytes)
        layers = try reader.list { try $0.layer() }
        passwd = try reader.text()
        group = try reader.text()
        givenIDs = Dictionary(try reader.list { (try $0.text(), try $0.number()) }) { first, _ in first }
        warnings = try reader.list { try $0.text() }
        notes = try reader.list { try $0.text() }
        traced = try reader.list { try $0.text() }
        entries = try reader.list { try $0.entry() }
        guard reader.isAtEnd else { throw ByteReader.Damage() }
    }
}

/// Looks paths up in an image as a process inside would: links are followed, and never lead out.
struct ImageLookup {
    private var entries: PathTable<TarEntry>

    init(_ entries: [TarEntry]) {
        self.entries = PathTable(minimumCapacity: entries.count)
        for entry in entries { self.entries[entry.path] = entry }
    }

    mutating func add(_ entry: TarEntry) { entries[entry.path] = entry }

    subscript(path: String) -> TarEntry? {
        path.isEmpty ? TarEntry(path: "", kind: .directory, mode: 0o755) : entries[path]
    }

    /// Where a path leads; parts that do not exist are taken as they stand. Nil for a loop of links.
    func resolve(_ path: String, followLast: Bool = true) -> String? {
        ImagePath.resolve(path, followLast: followLast) { entries[$0] }
    }

    /// Whether a path leads to a file that may be run.
    func isProgram(_ path: String) -> Bool {
        guard let place = resolve(path), let entry = entries[place] else { return false }
        return (entry.kind == .file || entry.kind == .hardLink) && entry.mode & 0o111 != 0
    }

    /// The names of all programs in a folder.
    func programs(in folder: String) -> [String] {
        guard let place = resolve(folder) else { return [] }
        return entries.keys.filter { ImagePath.parent(of: $0) == place && isProgram($0) }.map(ImagePath.name)
    }
}
