import Glibc
import ImageFormat
import Model
import Ports

/// Makes the fragment of one package: unpacks it once, writes its layer, and notes what effects will ask for.
struct FragmentBuilder: Sendable {
    let store: any ImageStore
    let spoolFolder: String

    private enum Limit {
        /// Files up to this size are kept for effects where a script mentions them.
        static let keptBytes = 256 << 10
    }

    /// Takes the cached fragment where there is one and its layer is still in the store.
    func fragment(of package: Lock.Package) throws -> PackageFragment {
        if let fragment = cached(package) { return fragment }
        guard let path = store.path(of: package.sha256) else {
            throw Failure(
                .notFound, "the package \(package.name) is not in the store", at: package.path,
                suggestion: "run the bake again: it fetches what is missing")
        }
        let place = "\(package.name) \(package.version)"
        let deb = try DebArchive(
            try store.proven(package.sha256, at: path), place: place, spoolFolder: spoolFolder)
        guard deb.control["Package"] == package.name else {
            throw DebArchive.damaged("it says that it is \(deb.control["Package"] ?? "nothing")", place)
        }
        let fragment = try DebArchive.locating(place) { try build(deb, package, place: place) }
        try store.cache(PackageFragment.key(package.sha256), fragment.encoded())
        return fragment
    }

    func cached(_ package: Lock.Package) -> PackageFragment? {
        guard let bytes = store.cached(PackageFragment.key(package.sha256)),
            let fragment = try? PackageFragment(decoding: bytes), store.path(of: fragment.layer.digest) != nil
        else { return nil }
        return fragment
    }

    /// Where the bytes of an entry are: in the unpacked data part, or made by us.
    private enum Content {
        case data(Range<Int>)
        case bytes([UInt8])
    }

    private func build(
        _ deb: DebArchive, _ package: Lock.Package, place: String
    ) throws -> PackageFragment {
        let data = try deb.unpackData(spoolFolder: spoolFolder)
        var scripts = ["preinst", "postinst", "templates"].reduce(into: [String: String]()) { scripts, name in
            scripts[name] = deb.text(name)
        }
        scripts["templates"] = scripts["templates"].map(Debconf.essence)
        let mentioned = FragmentBuilder.mentionedPaths(
            (scripts["preinst"] ?? "") + "\n" + (scripts["postinst"] ?? ""))
        var libraries: [String: String] = [:]
        var kept: [String: [UInt8]] = [:]
        var rows = PathTable<(entry: TarEntry, content: Content)>()
        for item in try PackageContent(data, place: place).items {
            let path = item.entry.path
            rows[path] = (item.entry, .data(item.content))
            guard item.entry.kind == .file else { continue }
            let bytes = UnsafeRawBufferPointer(rebasing: data.bytes[item.content])
            if FragmentBuilder.mayBeLibrary(path), let name = ELFObject(bytes)?.soname {
                libraries[path] = name
            }
            defer { data.forget(item.content) }
            let isMentioned = mentioned.contains(path) && bytes.count <= Limit.keptBytes
            if isMentioned || FragmentBuilder.isAlwaysKept(path) { kept[path] = Array(bytes) }
        }
        for (entry, bytes) in FragmentBuilder.statusEntries(deb, package.name)
        where entry.kind == .file || rows[entry.path] == nil {
            rows[entry.path] = (entry, .bytes(bytes))
        }
        let sorted = rows.values.sorted { TarEntry.precedes($0.entry.path, $1.entry.path) }
        var files = LayerSection(offset: 0, members: [], digest: .sha256([]))
        let layer = try store.addLayer { writer in
            for (entry, _) in sorted where entry.kind == .directory { try writer.append(entry) }
            try writer.endSection()
            for (entry, content) in sorted where entry.kind != .directory {
                switch content {
                case .data(let range): try writer.append(entry, content: data, range)
                case .bytes(let bytes): try writer.append(entry, content: bytes)
                }
            }
            files = try writer.endSection()
        }
        return PackageFragment(
            name: package.name, version: package.version, modifiedAt: deb.modifiedAt, layer: layer,
            files: files,
            entries: sorted.map(\.entry), control: deb.control, scripts: scripts, libraries: libraries,
            kept: kept)
    }

    /// What scanners find the package by: its control paragraph, and the sums of its files.
    private static func statusEntries(_ deb: DebArchive, _ name: String) -> [(TarEntry, [UInt8])] {
        let folder = "var/lib/dpkg/status.d"
        var entries: [(TarEntry, [UInt8])] = (ImagePath.parents(of: folder) + [folder]).map {
            (TarEntry(path: $0, kind: .directory, mode: 0o755), [])
        }
        func add(_ path: String, _ bytes: [UInt8]) {
            entries.append(
                (
                    TarEntry(
                        path: path, kind: .file, mode: 0o644, size: bytes.count, modifiedAt: deb.modifiedAt),
                    bytes
                ))
        }
        add("\(folder)/\(name)", Array(deb.control.statusEntry.utf8))
        if let sums = deb.controlFiles["md5sums"] { add("\(folder)/\(name).md5sums", sums) }
        return entries
    }

    /// Whether the dynamic loader could be asked for this file by name.
    static func mayBeLibrary(_ path: String) -> Bool {
        let name = ImagePath.name(of: path)
        return (name.hasPrefix("lib") || name.hasPrefix("ld-")) && name.contains(".so")
    }

    private static let keptFolders = [
        "etc/ld.so.conf.d/", "usr/lib/sysusers.d/", "usr/share/base-files/", "usr/share/base-passwd/",
        "usr/share/ca-certificates/",
    ]
    private static let keptFiles: Set<String> = [
        "etc/ca-certificates.conf", "etc/ld.so.conf", "etc/nsswitch.conf", "usr/share/libc-bin/nsswitch.conf",
    ]

    static func isAlwaysKept(_ path: String) -> Bool {
        keptFiles.contains(path) || keptFolders.contains { path.hasPrefix($0) }
    }

    /// Every word of a script that looks like a path of the image.
    private static func mentionedPaths(_ script: String) -> Set<String> {
        var paths: Set<String> = []
        for word in script.split(whereSeparator: { " \t\n\"'`;=()|&<>".contains($0) }) {
            guard let slash = word.firstIndex(of: "/"), word.count > 4 else { continue }
            paths.insert(MergedUsr.path(ImagePath.normalized(String(word[slash...]))))
        }
        return paths
    }
}

extension ImageStore {
    /// Writes a layer and puts it into the store; nothing is left behind where `body` throws.
    func addLayer(_ body: (LayerWriter) throws -> Void) throws -> ImageLayer {
        let path = try temporaryPath()
        do {
            let writer = try LayerWriter(path: path)
            try body(writer)
            let layer = try writer.finish()
            try adopt(path, as: layer.digest)
            return layer
        } catch {
            unlink(path)
            throw error
        }
    }
}
