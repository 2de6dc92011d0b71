import ImageFormat
import Model
import Ports

/// An image below packages: what is installed there, and its files as if one more package held them.
///
/// New packages lie above it, so of a path that both hold theirs is seen, as it is where dpkg installs over a file that
/// no package owns.
struct BelowPackages {
    /// The name that stands for the image among packages: none of Debian's can have it.
    static let name = "(the image below)"

    private enum Limit {
        static let statusBytes = 64 << 20
        /// Files that effects are made from.
        static let keptBytes = 4 << 20
    }

    let image: FromImage
    private let tree: FileTree
    private let files: PathTable<ImageFile>

    init(_ image: FromImage, store: any ImageStore) throws {
        self.image = image
        tree = try FileTree(layers: try FromImage.tars(image.base.layers, store))
        files = tree.files
    }

    /// dpkg's word on every package that is installed, as one status file.
    ///
    /// Throws where the image is none that Debian packages can be put on.
    func status() throws -> String {
        for folder in MergedUsr.always where files[folder]?.entry.kind == .directory {
            throw Failure(
                .conflict,
                "the image below has a /\(folder) of its own; Kiln's packages need it to be a link into /usr",
                at: "image.from",
                suggestion: "build on a newer release: Debian 12 and Ubuntu 20.04 have such links")
        }
        let paths = files.keys.filter {
            $0 == "var/lib/dpkg/status" || $0.hasPrefix("var/lib/dpkg/status.d/") && !$0.hasSuffix(".md5sums")
        }.sorted(by: TarEntry.precedes)
        let paragraphs = try paths.flatMap { path -> [ControlParagraph] in
            guard let file = files[path], file.entry.kind == .file, file.content.count <= Limit.statusBytes
            else { return [] }
            return try ControlParagraph.parse(
                String(decoding: file.content, as: UTF8.self), place: "/" + path)
        }.filter { paragraph in
            // Names go into apt's preferences, where others would mean more than themselves.
            paragraph["Package"].map(BelowPackages.isName) ?? false
                && paragraph["Version"] != nil && paragraph["Status"]?.hasSuffix(" installed") ?? true
        }
        guard !paragraphs.isEmpty else {
            throw Failure(
                .conflict, "the image below does not say which packages it has", at: "image.from",
                suggestion: "build on an image of Debian or Ubuntu, or leave `packages` out")
        }
        return paragraphs.map(\.statusEntry).joined(separator: "\n") + "\n"
    }

    private static func isName(_ text: String) -> Bool {
        (try? Recipe.PackageRequest(parsing: text))?.name == text
    }

    /// The image among the packages that lie on it.
    func fragment(below packages: [PackageFragment]) -> PackageFragment {
        let covered = Set(packages.lazy.flatMap(\.entries).lazy.filter { $0.kind != .directory }.map(\.path))
        var kept: [String: [UInt8]] = [:]
        var libraries: [String: String] = [:]
        for (path, file) in files where file.entry.kind == .file && !covered.contains(path) {
            if FragmentBuilder.isAlwaysKept(path), file.content.count <= Limit.keptBytes {
                kept[path] = Array(file.content)
            }
            if FragmentBuilder.mayBeLibrary(path), let name = ELFObject(file.content)?.soname {
                libraries[path] = name
            }
        }
        return PackageFragment(
            name: BelowPackages.name, version: "", modifiedAt: .max,
            layer: ImageLayer(digest: .sha256([]), size: 0, diffID: .sha256([])),
            files: LayerSection(offset: 0, members: [], digest: .sha256([])),
            entries: files.values.map(\.entry).sorted { TarEntry.precedes($0.path, $1.path) },
            control: ControlParagraph(fields: []), libraries: libraries, kept: kept)
    }

    /// The users and groups that are there.
    var accounts: Accounts { image.base.accounts }

    func bytes(_ path: String) -> [UInt8] { files[path].map { Array($0.content) } ?? [] }

    /// Whether a choice of update-alternatives that the image has made goes before another.
    func keepsAlternative(_ name: String, against priority: Int) -> Bool {
        AlternativeRecord(String(decoding: bytes("var/lib/dpkg/alternatives/" + name), as: UTF8.self))
            .map { $0.isManual || $0.priority >= priority } ?? false
    }
}

/// What update-alternatives(1) has written down of one name.
struct AlternativeRecord: Equatable {
    var isManual: Bool
    /// The highest of all choices.
    var priority: Int

    /// The file: `auto` or `manual`, the link, pairs of slaves, an empty line; then of each choice its path, its
    /// priority and a line for each slave.
    init?(_ text: String) {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        guard let mode = lines.first, mode == "auto" || mode == "manual",
            let end = lines.dropFirst(2).firstIndex(of: "")
        else { return nil }
        let slaves = (end - 2) / 2
        var priorities: [Int] = []
        var index = end + 1
        while index + 1 < lines.count, !lines[index].isEmpty, let priority = Int(lines[index + 1]) {
            priorities.append(priority)
            index += 2 + slaves
        }
        guard let highest = priorities.max() else { return nil }
        isManual = mode == "manual"
        priority = highest
    }
}
