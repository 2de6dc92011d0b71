import ImageFormat

/// A file that programs look things up in, made from what several packages bring: dpkg's triggers ask a package's own
/// program for it. That program runs only where its package is traced; elsewhere the bake says what is missing.
struct SharedCache {
    /// The program that makes it.
    let tool: String
    /// What is missing without it.
    let what: String
    /// What that means for the programs of the image.
    let effect: String
    /// Where packages put what it is made from: folders below `usr`, `*` standing for one name.
    let folder: String
    /// Ends of the names of files that count; empty: every file.
    let suffixes: [String]

    static let table: [SharedCache] = [
        SharedCache(
            tool: "glib-compile-schemas", what: "the compiled settings schemas",
            effect: "programs that use GSettings end at once", folder: "usr/share/glib-2.0/schemas",
            suffixes: [".gschema.xml", ".gschema.override"]),
        SharedCache(
            tool: "gio-querymodules", what: "the list of GIO's modules",
            effect: "every module is loaded to see what it is for", folder: "usr/lib/*/gio/modules",
            suffixes: [".so"]),
        SharedCache(
            tool: "gdk-pixbuf-query-loaders", what: "the list of gdk-pixbuf's loaders",
            effect: "only its built-in image formats can be read",
            folder: "usr/lib/*/gdk-pixbuf-2.0/*/loaders", suffixes: [".so"]),
        SharedCache(
            tool: "update-mime-database", what: "the database of file types",
            effect: "files have no type by name or content", folder: "usr/share/mime/packages",
            suffixes: [".xml"]),
        SharedCache(
            tool: "fc-cache", what: "the list of fonts",
            effect: "each process that draws text reads all fonts first",
            folder: "usr/share/fonts", suffixes: []),
    ]

    static let tools = Set(table.map(\.tool))

    /// What to say of each that is not made, although packages bring something for it and one of them could make it.
    static func notes(_ packages: [PackageFragment], traced: Set<String>) -> [String] {
        table.compactMap { cache in
            let makers = packages.filter { package in
                package.scripts["postinst"]?.contains(cache.tool) == true
            }
            guard let maker = makers.first, makers.allSatisfy({ !traced.contains($0.name) }) else {
                return nil
            }
            let givers = packages.filter { package in
                package.name != BelowPackages.name && package.entries.contains(where: cache.isMade)
            }
            guard !givers.isEmpty else { return nil }
            let names = givers.map(\.name).sorted(by: TarEntry.precedes).joined(separator: ", ")
            return
                "\(maker.name): \(cache.what) of \(names), by \(cache.tool), is not made: \(cache.effect); "
                + "where that matters, write `base: essential` and `scripts: {\(maker.name): traced}`"
        }
    }

    /// Whether it is made from this member of a package.
    private func isMade(of entry: TarEntry) -> Bool {
        guard entry.kind != .directory, suffixes.isEmpty || suffixes.contains(where: entry.path.hasSuffix)
        else { return false }
        let place = folder.split(separator: "/")
        let path = entry.path.split(separator: "/")
        return path.count > place.count && zip(place, path).allSatisfy { $0 == "*" || $0 == $1 }
    }
}
