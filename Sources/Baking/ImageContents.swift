package import ImageFormat
package import Model
package import Ports

/// What is inside an image: its files as a process sees them, where each comes from, and its packages.
package struct ImageContents {
    /// Where a layer comes from.
    package enum Origin: Hashable, Sendable {
        case packages([String])
        /// What the packages' scripts would have done. Of one file: whose script, `nginx-common postinst` or, where it
        /// was run, `lighttpd traced`; known where this store baked the image. nil: what is made for the whole image, or it is not known.
        case effects(maker: String? = nil)
        /// Results of the recipe's build steps, by what those are called.
        case built([String])
        /// `files:` of the recipe.
        case recipe
        /// Somebody else made it.
        case unknown
    }

    package let image: Image
    package let packages: [InstalledPackage]
    package let distribution: ImageDistribution?
    /// One for each layer.
    package let origins: [Origin]
    let tree: FileTree
    let files: PathTable<ImageFile>
    private let built: BuildOrigin?
    private let makers: EffectMakers?
    /// The packages whose lists of files name a path.
    private let owners: [String: [String]]

    private enum Limit {
        /// A record of one package, and of all of them together.
        static let recordBytes = 1 << 20
        static let statusBytes = 64 << 20
    }

    /// Throws where the store's bytes are not the image's, or its records of packages cannot be read whole: a package
    /// that is left out without a word is one whose faults nobody looks for.
    package init(_ digest: Digest, store: any ImageStore) throws {
        let reader = LayeredImageReader(store: store)
        image = try reader.image(digest)
        let spoolFolder = try store.folder("spool")
        tree = try FileTree(
            layers: try reader.layers(image).map { layer, path in
                try LayeredImageReader.tar(of: layer, at: path, spoolFolder)
            })
        files = tree.files
        distribution = try ImageContents.distribution(tree)
        let records = try ImageContents.records(files)
        packages = records.map(\.package).sorted()
        owners = ImageContents.owners(files)
        let manifest = try OCIManifest(parsing: try reader.documents(digest).manifest)
        built = BuildOrigin(manifest)
        let below = ImageContents.layersBelow(manifest, store)
        var origins = ImageContents.origins(image.layers.count, records, below: below)
        for (place, layer) in image.layers.enumerated() {
            if let built, layer.digest == built.layer { origins[place] = .built(built.labels) }
        }
        self.origins = origins
        makers = zip(origins, image.layers).lazy.filter { $0.0 == .effects() }
            .compactMap { store.cached(EffectMakers.key($0.1.digest)) }.first
            .flatMap { EffectMakers(decoding: $0) }
    }

    // MARK: Packages

    private static let statusFolder = "var/lib/dpkg/status.d/"

    /// Each package with the layer that records it; nil where one record is for all.
    private static func records(
        _ files: PathTable<ImageFile>
    ) throws -> [(package: InstalledPackage, layer: Int?)] {
        var found: [(package: InstalledPackage, layer: Int?)] = []
        for (path, file) in files {
            let isOne = path.hasPrefix(statusFolder) && !path.hasSuffix(".md5sums")
            guard isOne && file.entry.kind != .directory || path == "var/lib/dpkg/status" else { continue }
            let place = "/" + path
            guard file.entry.kind == .file else { throw unreadable("it is no file", place) }
            let longest = isOne ? Limit.recordBytes : Limit.statusBytes
            guard file.content.count <= longest else {
                throw unreadable("it has more than \(longest) bytes", place)
            }
            let text = String(decoding: file.content, as: UTF8.self)
            do {
                for paragraph in try ControlParagraph.parse(text, place: place) {
                    guard let package = try paragraph.installedPackage(place) else { continue }
                    found.append((package, isOne ? file.layer : nil))
                }
            } catch let failure as Failure {
                throw unreadable(failure.message, failure.place ?? place)
            }
        }
        return found
    }

    private static func unreadable(_ why: String, _ place: String) -> Failure {
        Failure(
            .corruptArchive, "the image's record of its packages cannot be read: \(why)", at: place,
            suggestion: "mend the image that it comes from: nobody can tell what else is in it")
    }

    private static func distribution(_ tree: FileTree) throws -> ImageDistribution? {
        guard let file = try tree.file(at: "usr/lib/os-release") ?? tree.file(at: "etc/os-release"),
            file.content.count <= Limit.recordBytes
        else { return nil }
        var values: [String: String] = [:]
        for line in String(decoding: file.content, as: UTF8.self).split(separator: "\n") {
            let parts = line.split(separator: "=", maxSplits: 1)
            guard parts.count == 2 else { continue }
            values[String(parts[0])] = parts[1].filter { $0 != "\"" && $0 != "'" }
        }
        return values["ID"].map { ImageDistribution(id: $0, version: values["VERSION_ID"] ?? "") }
    }

    /// Throws `notFound` where nothing says of which distribution the packages are.
    package func billOfMaterials() throws -> BillOfMaterials {
        guard let distribution else {
            throw Failure(
                .notFound, "the image does not say of which distribution it is", at: "usr/lib/os-release",
                suggestion: "bake it from packages, `base-files` among them")
        }
        return BillOfMaterials(image: image.digest, packages: packages, distribution: distribution)
    }

    // MARK: Where things come from

    /// By the sums that each package keeps of its files.
    private static func owners(_ files: PathTable<ImageFile>) -> [String: [String]] {
        var owners: [String: [String]] = [:]
        for (path, file) in files where path.hasPrefix(statusFolder) && path.hasSuffix(".md5sums") {
            let name = String(path.dropFirst(statusFolder.count).dropLast(".md5sums".count))
            for line in String(decoding: file.content, as: UTF8.self).split(separator: "\n") {
                let parts = line.split(separator: " ", maxSplits: 1)
                guard parts.count == 2 else { continue }
                let listed = MergedUsr.path(ImagePath.normalized(String(parts[1].drop { $0 == " " })))
                owners[listed, default: []].append(name)
            }
        }
        return owners
    }

    /// Kiln puts packages first, then what their scripts would have done, then the recipe's own files.
    private static func origins(
        _ count: Int, _ records: [(package: InstalledPackage, layer: Int?)], below: Int?
    ) -> [Origin] {
        var names = [[String]](repeating: [], count: count)
        for (package, layer) in records { if let layer { names[layer].append(package.name) } }
        let last = names.lastIndex { !$0.isEmpty } ?? count
        return names.enumerated().map { place, names in
            if !names.isEmpty { return .packages(names.sorted()) }
            if let below, place < below { return .unknown }
            if last == count || below.map({ last < $0 }) ?? false { return below == nil ? .unknown : .recipe }
            return place == last + 1 ? .effects() : place > last ? .recipe : .unknown
        }
    }

    /// How many layers are those of an image that this one was built on, where that is known.
    private static func layersBelow(_ manifest: OCIManifest, _ store: any ImageStore) -> Int? {
        guard let name = manifest.annotations[FromImage.annotation], let digest = try? Digest(parsing: name),
            let bytes = try? store.read(digest, limit: OCIManifest.Limit.bytes),
            let below = try? OCIManifest(parsing: bytes), below.layers.count <= manifest.layers.count,
            zip(below.layers, manifest.layers).allSatisfy({ $0.digest == $1.digest })
        else { return nil }
        return below.layers.count
    }

    /// What put a file where it is. Throws `notFound` where there is none.
    package func why(_ path: String) throws -> (
        origin: Origin, packages: [String], layer: Int, detail: String
    ) {
        guard let (entry, _) = try tree.file(at: path) else {
            let place = ImagePath.normalized(path)
            let near = CloseNames.question(
                ImagePath.name(of: place), among: files.keys.map(ImagePath.name(of:)))
            throw Failure(.notFound, "the image has no /\(place)", suggestion: near)
        }
        let plain = try TarEntry.normalize(path)
        let path = files[plain] != nil ? plain : MergedUsr.path(plain)
        guard let file = files[path] ?? files[entry.path] else {
            throw Failure(.notFound, "the image has no /\(path)")
        }
        var origin = origins[file.layer]
        if case .built = origin, let label = built?.label(of: path) { origin = .built([label]) }
        if case .effects = origin { origin = .effects(maker: makers?.names[path]) }
        var packages = owners[path] ?? []
        if packages.isEmpty, case .packages(let names) = origin, names.count == 1 { packages = names }
        return (origin, packages.sorted(), file.layer, file.entry.summary)
    }
}

extension ControlParagraph {
    /// The package that a paragraph of dpkg's status records; nil where none of its files are there but settings. One
    /// that is half-configured or waits for triggers has all of them.
    fileprivate func installedPackage(_ place: String) throws -> InstalledPackage? {
        let state = words("Status").last ?? "installed"
        if ["not-installed", "config-files"].contains(state) { return nil }
        guard let name = self["Package"], let version = self["Version"] else {
            throw Failure(
                .corruptArchive, "a package lacks its name or version",
                at: "\(place):\(fields.first?.line ?? 1)")
        }
        var source: InstalledPackage.Source?
        if let text = self["Source"] {
            let parts = text.split { " ()".contains($0) }.map(String.init)
            if let first = parts.first {
                source = InstalledPackage.Source(name: first, version: parts.count > 1 ? parts[1] : version)
            }
        }
        return InstalledPackage(
            name: name, version: version, architecture: self["Architecture"] ?? "all", source: source)
    }
}

extension TarEntry {
    /// `file, 1.2 kB, mode 0644, owner 0:0`.
    var summary: String {
        var parts = [kind.rawValue]
        if kind == .file { parts.append("\(size) bytes") }
        if kind == .symlink { parts[0] = "link to \(link)" } else { parts.append("mode \(modeText)") }
        return (parts + ["owner \(uid):\(gid)"]).joined(separator: ", ")
    }

    var modeText: String {
        let digits = String(mode, radix: 8)
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }
}
