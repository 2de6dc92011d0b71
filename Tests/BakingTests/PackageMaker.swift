import ImageFormat
import Model
import TestKit

@testable import Baking

/// Makes Debian packages and folders that serve them, byte for byte as a test wants them.
struct PackageMaker {
    var name: String
    var version = "1.0"
    /// Further control fields, each a whole line.
    var fields: [String] = []
    var scripts: [String: String] = [:]
    var entries: [(entry: TarEntry, content: [UInt8])] = []
    /// Raw bytes in the place of the data part.
    var rawData: [UInt8]?

    init(_ name: String) { self.name = name }

    static let date = 1_600_000_000

    mutating func file(_ path: String, _ text: String, mode: Int = 0o644) {
        let bytes = Array(text.utf8)
        entries.append(
            (
                TarEntry(
                    path: path, kind: .file, mode: mode, size: bytes.count, modifiedAt: PackageMaker.date),
                bytes
            ))
    }

    mutating func folder(_ path: String, mode: Int = 0o755) {
        entries.append((TarEntry(path: path, kind: .directory, mode: mode, modifiedAt: 7), []))
    }

    mutating func link(_ path: String, to target: String, isHard: Bool = false) {
        entries.append(
            (TarEntry(path: path, kind: isHard ? .hardLink : .symlink, modifiedAt: 7, link: target), []))
    }

    /// A package `tools`: busybox of this host, under these names. Throws where busybox is not installed.
    static func tools(_ names: [String]) throws -> PackageMaker {
        var tools = PackageMaker("tools")
        let program = try HostFiles.read("/bin/busybox", limit: 64 << 20)
        tools.entries.append(
            (
                TarEntry(
                    path: "bin/busybox", kind: .file, mode: 0o755, size: program.count,
                    modifiedAt: PackageMaker.date), program
            ))
        for name in names { tools.link("bin/\(name)", to: "busybox") }
        return tools
    }

    /// The bytes of the `.deb`.
    var bytes: [UInt8] {
        var control = "Package: \(name)\nVersion: \(version)\nArchitecture: all\n"
        control += fields.map { $0 + "\n" }.joined() + "Description: a test\n"
        let files = [("control", control)] + scripts.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        let rows = files.map { name, text in
            (
                TarEntry(
                    path: name, kind: .file, size: text.utf8.count, modifiedAt: PackageMaker.date),
                Array(text.utf8)
            )
        }
        return PackageMaker.archive([
            ("debian-binary", Array("2.0\n".utf8)), ("control.tar", PackageMaker.tar(rows)),
            ("data.tar", rawData ?? PackageMaker.tar(entries)),
        ])
    }

    static func tar(_ rows: [(entry: TarEntry, content: [UInt8])]) -> [UInt8] {
        rows.flatMap {
            TarWriter.header(for: $0.entry) + $0.content + TarWriter.padding(after: $0.content.count)
        }
            + TarWriter.trailer
    }

    /// An ar archive of these members.
    static func archive(_ members: [(name: String, content: [UInt8])]) -> [UInt8] {
        var bytes = Array("!<arch>\n".utf8)
        for (name, content) in members {
            func field(_ text: String, _ width: Int) -> [UInt8] {
                Array((text + String(repeating: " ", count: width - text.utf8.count)).utf8)
            }
            bytes += field(name, 16) + field("0", 12) + field("0", 6) + field("0", 6) + field("100644", 8)
            bytes += field(String(content.count), 10) + [0x60, 0x0a] + content
            if !content.count.isMultiple(of: 2) { bytes.append(0x0a) }
        }
        return bytes
    }

    /// The row of a lock that names these bytes.
    var locked: Lock.Package {
        let bytes = bytes
        return Lock.Package(
            name: name, version: version, architecture: "all", archive: "debian", path: "pool/\(name).deb",
            size: bytes.count, sha256: .sha256(bytes))
    }

    /// Puts packages into a folder that serves them as a `file:` mirror; returns its address.
    static func serve(_ packages: [PackageMaker], in folder: TemporaryFolder) throws -> String {
        for package in packages { try folder.write("debian/pool/\(package.name).deb", package.bytes) }
        return "file:\(folder.path)/debian"
    }

    /// A lock of exactly these packages.
    static func lock(_ packages: [PackageMaker], requested: [String] = []) throws -> Lock {
        var lock = Lock(
            distribution: try Recipe.Distribution(parsing: "debian/bookworm"), architecture: .native,
            base: .minimal,
            requested: try requested.map { try Recipe.PackageRequest(parsing: $0) }, archives: [],
            packages: packages.map(\.locked).sorted { $0.name < $1.name }, layers: [],
            tools: BaseImageBuilder.tools)
        lock.planLayers(budget: Recipe.defaultLayerBudget)
        return lock
    }

    /// Packages that make a whole small image: accounts, a program, a service with a user.
    static var small: [PackageMaker] {
        var files = PackageMaker("base-files")
        for path in ["bin", "etc", "usr", "usr/share", "var", "var/lib", "tmp"] { files.folder(path) }
        files.file("etc/debian_version", "12\n")
        var accounts = PackageMaker("base-passwd")
        accounts.file(
            "usr/share/base-passwd/passwd.master",
            "root:*:0:0:root:/root:/bin/sh\nwww-data:*:33:33:www-data:/var/www:/usr/sbin/nologin\n")
        accounts.file(
            "usr/share/base-passwd/group.master", "root:*:0:\nadm:*:4:\nwww-data:*:33:\nshadow:*:42:\n")
        var program = PackageMaker("server")
        program.file("bin/server", "#!/bin/true\n", mode: 0o755)
        program.file("etc/server.conf", "port 80\n")
        program.scripts["postinst"] = """
            #!/bin/sh
            set -e
            if [ "$1" = configure ]; then
                adduser --system --group --quiet --home /var/lib/server server
                install -d -o server -g adm -m 2750 /var/lib/server
            fi
            """
        return [files, accounts, program]
    }
}
