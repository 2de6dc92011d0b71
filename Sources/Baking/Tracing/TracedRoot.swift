import Glibc
import ImageFormat
import Model

/// The image as it stands when a package is configured, as a tree that its scripts can run in.
struct TracedRoot {
    let package: PackageFragment
    /// Control files of the package, of which scripts see some.
    let controlFiles: [String: [UInt8]]
    /// All packages of the image.
    let packages: [PackageFragment]
    /// The layers of the packages laid over each other, without effects.
    let layers: FileTree
    let tree: ImageTree
    let contents: FragmentContents
    /// What was made so far, with everything that is made at the end for the whole image.
    let effects: EffectTree

    /// The tree, ready to be written to a disk. `spool`: a file that it keeps the rest of its content in.
    func made(spool: String) throws -> FileTree {
        var rows = try EffectRows(effects, over: self.tree, contents)
        addDatabase(to: &rows)
        var tar: [UInt8] = []
        for row in rows.sorted {
            tar +=
                TarWriter.header(for: row.entry) + row.content + TarWriter.padding(after: row.content.count)
        }
        try HostFiles.put(spool, tar + TarWriter.trailer)
        var tree = layers
        try tree.add(try MappedBytes(file: spool))
        return tree
    }

    private static let folder = "var/lib/dpkg"

    /// The files by which dpkg's programs know what is installed.
    private func addDatabase(to rows: inout EffectRows) {
        func add(_ name: String, _ bytes: [UInt8], mode: Int = 0o644) {
            rows.put(TarEntry(path: "\(TracedRoot.folder)/\(name)", kind: .file, mode: mode), bytes)
        }
        for name in ["", "/alternatives", "/info", "/triggers", "/updates"] {
            rows.put(TarEntry(path: TracedRoot.folder + name, kind: .directory, mode: 0o755), [])
        }
        for name in ["diversions", "statoverride", "available"] { add(name, []) }
        let status = packages.sorted { TarEntry.precedes($0.name, $1.name) }.map { package in
            let text = package.control.statusEntry
            return package.name == self.package.name
                ? text.replacing(
                    "Status: install ok installed\n", with: "Status: install ok half-configured\n")
                : text
        }
        add("status", Array((status.joined(separator: "\n") + "\n").utf8))
        for package in packages {
            let paths = package.entries.map(\.path).filter { !$0.hasPrefix("var/lib/dpkg/status.d") }
            // Programs of other packages ask debconf too, such as ucf.
            if let text = package.scripts["templates"] {
                add("info/\(package.name).templates", Array(text.utf8))
            }
            add("info/\(package.name).list", Array(("/.\n" + paths.map { "/\($0)\n" }.joined()).utf8))
        }
        for name in ["preinst", "postinst", "config", "templates", "conffiles", "md5sums"] {
            guard let bytes = controlFiles[name] else { continue }
            let isScript = name != "templates" && name != "conffiles" && name != "md5sums"
            add("info/\(package.name).\(name)", bytes, mode: isScript ? 0o755 : 0o644)
        }
    }
}
