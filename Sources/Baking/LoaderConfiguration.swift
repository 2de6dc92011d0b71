import ImageFormat
import Model

/// The folders that the dynamic loader's cache covers, and the cache made of them.
enum LoaderConfiguration {
    private enum Limit {
        static let includes = 64
    }

    /// The folders of /etc/ld.so.conf and what it includes, in their order, then the built-in ones.
    static func folders(_ text: (String) -> String?, names: (String) -> [String], multiarch: String)
        -> [String]
    {
        var folders: [String] = []
        var read = 0
        func add(_ file: String) {
            read += 1
            guard read <= Limit.includes else { return }
            for line in (text(file) ?? "").split(separator: "\n") {
                let words = line.prefix { $0 != "#" }.split {
                    $0 == " " || $0 == "\t" || $0 == "," || $0 == ":"
                }
                if words.first == "include", words.count == 2 {
                    let pattern = ImagePath.normalized(String(words[1]))
                    let name = ImagePath.name(of: pattern)
                    names(ImagePath.parent(of: pattern)).filter {
                        ShellPattern.matches(name, ImagePath.name(of: $0))
                    }.forEach(add)
                } else {
                    folders += words.filter { $0.hasPrefix("/") }.map { ImagePath.normalized(String($0)) }
                }
            }
        }
        add("etc/ld.so.conf")
        folders += ["lib/\(multiarch)", "usr/lib/\(multiarch)", "lib", "usr/lib"]
        var seen: Set<String> = []
        return folders.map(MergedUsr.path).filter { seen.insert($0).inserted }
    }

    /// The cache of every library that lies directly in one of the folders, named by its own SONAME.
    static func cache(
        folders: [String], libraries: [String: String], architecture: Architecture
    ) -> [UInt8] {
        let byFolder = Dictionary(grouping: libraries.keys, by: ImagePath.parent)
        var rows: [(soname: String, path: String)] = []
        for folder in folders {
            for path in (byFolder[folder] ?? []).sorted(by: TarEntry.precedes) {
                guard let soname = libraries[path] else { continue }
                let row = (soname: soname, path: "/\(visible(folder))/\(soname)")
                if !rows.contains(where: { $0.soname == row.soname && $0.path == row.path }) {
                    rows.append(row)
                }
            }
        }
        return LoaderCache.build(libraries: rows, architecture: architecture)
    }

    /// ldconfig knows `/usr/lib/x86_64-linux-gnu` as `/lib/x86_64-linux-gnu` on a merged /usr.
    private static func visible(_ folder: String) -> String {
        folder.hasPrefix("usr/lib") ? String(folder.dropFirst(4)) : folder
    }
}
