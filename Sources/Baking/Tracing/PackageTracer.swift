import Glibc
import ImageFormat
import Model
import Ports

/// Runs the scripts of packages in sandboxes and turns what they changed into records, which the store remembers: a
/// script runs once for what it is and what it ran against.
final class PackageTracer {
    private let store: any ImageStore
    private let spoolFolder: String
    private let lock: Lock
    private let packages: [PackageFragment]
    private let tree: ImageTree
    private let contents: FragmentContents
    private let limits: Sandbox.Limits
    /// The packages without effects; made when it is first asked for.
    private var layers: FileTree?

    /// Names of other inputs than packages; changes with whatever makes the same lock give another image.
    private let key: String

    /// The image at the moment in which a package is configured.
    struct World {
        /// With all that is made for the whole image, and owners as numbers.
        var tree: EffectTree
        var accounts: Accounts
    }

    init(
        _ packages: [PackageFragment], lock: Lock, tree: ImageTree, contents: FragmentContents,
        store: any ImageStore, spoolFolder: String, key: String, limits: Sandbox.Limits = .ofScripts
    ) {
        (self.packages, self.lock, self.tree, self.contents) = (packages, lock, tree, contents)
        (self.store, self.spoolFolder, self.key, self.limits) = (store, spoolFolder, key, limits)
    }

    /// What the scripts of a package do. Throws where they fail, take too much, leave what no image may hold, or do
    /// not do the same twice.
    func record(of package: PackageFragment, rule: ScriptRule, world: () throws -> World) throws
        -> TraceRecord
    {
        guard let locked = lock.packages.first(where: { $0.name == package.name }) else {
            throw Failure(.internalError, "the lock lacks \(package.name)", at: package.name)
        }
        var writer = ByteWriter()
        writer.put(TraceRecord.version)
        writer.put(key)
        writer.put(locked.sha256)
        writer.put(list: rule.allow.sorted()) { $0.put($1) }
        let key = "trace/" + Digest.sha256(writer.bytes).hex
        if let bytes = store.cached(key), let record = try? TraceRecord(decoding: bytes) { return record }
        let trace = Trace(package: package, rule: rule, limits: limits)
        let record: TraceRecord
        do {
            guard lock.from == nil else { throw trace.needsOwnBase }
            guard lock.base == .essential else { throw trace.needsEssential }
            guard lock.architecture == .native else { throw trace.needsMachine(lock.architecture) }
            record = try twice(trace, locked, try world())
        } catch {
            // Every failure names the package whose scripts it is about, and how to do without them.
            throw Failures(Failure.list(error).map(trace.blame))
        }
        try store.cache(key, record.encoded())
        return record
    }

    /// Runs the scripts two times from the same beginning.
    private func twice(_ trace: Trace, _ locked: Lock.Package, _ world: World) throws -> TraceRecord {
        guard let deb = store.path(of: locked.sha256) else {
            throw Failure(
                .notFound, "the package is not in the store", at: locked.path,
                suggestion: "run the bake again: it fetches what is missing")
        }
        let files = try DebArchive(
            try store.proven(locked.sha256, at: deb), place: locked.name, spoolFolder: spoolFolder
        ).controlFiles
        let root = TracedRoot(
            package: trace.package, controlFiles: files, packages: packages, layers: try packageLayers(),
            tree: tree, contents: contents, effects: world.tree)
        func run() throws -> TraceRecord {
            try Task.checkCancellation()
            let folder = try store.temporaryPath()
            guard mkdir(folder, 0o700) == 0 else {
                throw HostFiles.failure(errno, "the folder cannot be made", at: folder)
            }
            defer { FolderWalk.remove(folder) }
            return try trace.run(root, world, in: folder)
        }
        var record = try run()
        let firewall = StateFirewall(allowed: trace.rule.allow)
        let all = record.differences(from: try run())
        let differences = all.filter { !firewall.allows(ImagePath.normalized($0)) }
        guard differences.isEmpty else {
            let list = differences.prefix(5).joined(separator: ", ")
            let paths = differences.filter { $0.hasPrefix("/") }.joined(separator: ", ")
            let name = trace.package.name
            throw Failure(
                .conflict, "the result of its scripts is not the same twice: \(list)",
                suggestion: "do without running them: `scripts: {\(name): effects}`"
                    + (paths.isEmpty
                        ? ""
                        : "; or keep what one run makes, a secret perhaps, for everyone who has the image: "
                            + "`scripts: {\(name): {mode: traced, allow: [\(paths)]}}`"))
        }
        record.notes += all.map {
            "\(trace.package.name): \($0) is not the same twice and kept, since the recipe allows it; another host "
                + "makes another one"
        }
        return record
    }

    private func packageLayers() throws -> FileTree {
        if let layers { return layers }
        var made = FileTree()
        for package in packages {
            for entry in package.entries
            where max(entry.uid, entry.gid) >= Sandbox.Owners.count || min(entry.uid, entry.gid) < 0 {
                throw Failure(.unsafePath, "its owner's number is beyond 65535", at: "/" + entry.path)
            }
            try made.add(try contents.unpack(package).tar)
        }
        layers = made
        return made
    }
}

extension Sandbox.Limits {
    /// What the scripts of one package may use up.
    static let ofScripts = Sandbox.Limits()
}
