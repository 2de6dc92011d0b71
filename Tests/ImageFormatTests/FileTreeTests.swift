import Foundation
import ImageFormat
import Model
import Testing
import TestKit

@Suite struct FileTreeTests {
    static func tree(_ layers: [(TarEntry, String)]...) throws -> FileTree {
        try FileTree(layers: layers.map { try mapped(tar($0)) })
    }

    static func file(_ path: String, mode: Int = 0o644) -> TarEntry {
        TarEntry(path: path, kind: .file, mode: mode)
    }
    static func folder(_ path: String) -> TarEntry { TarEntry(path: path, kind: .directory, mode: 0o755) }
    static func symlink(_ path: String, _ to: String) -> TarEntry {
        TarEntry(path: path, kind: .symlink, link: to)
    }
    static func hardLink(_ path: String, _ to: String) -> TarEntry {
        TarEntry(path: path, kind: .hardLink, link: to)
    }

    static func list(_ path: String) throws -> [String] {
        try FileManager.default.subpathsOfDirectory(atPath: path).sorted()
    }

    @Test func `a tree is written with its owners, modes, times and links`() throws {
        let folder = try TemporaryFolder()
        try FileManager.default.createDirectory(atPath: folder("root"), withIntermediateDirectories: true)
        let tree = try FileTreeTests.tree([
            (TarEntry(path: "", kind: .directory, mode: 0o755, modifiedAt: 1000), ""),
            (TarEntry(path: "bin", kind: .directory, mode: 0o2750, gid: 7, modifiedAt: 2000), ""),
            (
                TarEntry(path: "bin/su", kind: .file, mode: 0o4755, uid: 3, gid: 4, modifiedAt: 3000),
                "program"
            ),
            (FileTreeTests.hardLink("bin/sudo", "bin/su"), ""),
            (TarEntry(path: "bin/sh", kind: .symlink, uid: 5, modifiedAt: 4000, link: "/bin/su"), ""),
            (
                TarEntry(path: "null", kind: .characterDevice, mode: 0o666, deviceMajor: 1, deviceMinor: 259),
                ""
            ),
            (TarEntry(path: "pipe", kind: .fifo, mode: 0o622), ""),
            (TarEntry(path: "implicit/deep/file", kind: .file), "x"),
        ])
        try tree.unpack(into: folder("root"))
        let format = "%n %f %u %g %Y %h %s %t:%T"
        func status(_ name: String) throws -> String {
            let text = try #require(try run("stat", "-c", format, folder("root") + "/" + name))
            return String(text.dropFirst(folder("root").count + 1 + name.count + 1).dropLast())
        }
        #expect(try status(".").hasPrefix("41ed 0 0 1000"))
        #expect(try status("bin").hasPrefix("45e8 0 7 2000"))
        #expect(try status("bin/su") == "89ed 3 4 3000 2 7 0:0")
        #expect(try status("bin/sudo") == "89ed 3 4 3000 2 7 0:0")
        #expect(try status("bin/sh").hasPrefix("a1ff 5 0 4000"))
        #expect(try status("null") == "21b6 0 0 0 1 0 1:103")
        #expect(try status("pipe").hasPrefix("1192 0 0 0"))
        #expect(try status("implicit").hasPrefix("41ed 0 0"))
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: folder("root/bin/sh")) == "/bin/su")
    }

    @Test func `whiteouts hide what lies below and nothing of their own layer`() throws {
        let folder = try TemporaryFolder()
        try FileManager.default.createDirectory(atPath: folder("root"), withIntermediateDirectories: true)
        let tree = try FileTreeTests.tree(
            [
                (FileTreeTests.file("gone"), "1"), (FileTreeTests.file("kept"), "1"),
                (FileTreeTests.file("opaque/old"), "1"), (FileTreeTests.file("tree/a/b"), "1"),
                (FileTreeTests.file("both/x"), "old"),
            ],
            [
                (FileTreeTests.file(".wh.gone"), ""), (FileTreeTests.file("opaque/new"), "2"),
                (FileTreeTests.file("opaque/.wh..wh..opq"), ""), (FileTreeTests.file(".wh.tree"), ""),
                (FileTreeTests.file("both/y"), "new"), (FileTreeTests.file(".wh.both"), ""),
                (FileTreeTests.file("none/.wh.here"), ""), (FileTreeTests.file(".wh..wh.plnk"), ""),
            ])
        try tree.unpack(into: folder("root"))
        #expect(try FileTreeTests.list(folder("root")) == ["both", "both/y", "kept", "opaque", "opaque/new"])
    }

    @Test func `an upper layer replaces files, folders and links`() throws {
        let folder = try TemporaryFolder()
        try FileManager.default.createDirectory(atPath: folder("root"), withIntermediateDirectories: true)
        let tree = try FileTreeTests.tree(
            [
                (FileTreeTests.file("a"), "1"), (FileTreeTests.file("b/c"), "1"),
                (FileTreeTests.folder("d"), ""),
                (FileTreeTests.file("d/e"), "1"), (FileTreeTests.symlink("lib", "usr/lib"), ""),
                (FileTreeTests.file("usr/lib/x"), "1"), (FileTreeTests.file("u\u{301}"), "decomposed"),
                (FileTreeTests.file("\u{fa}"), "composed"),
            ],
            [
                (FileTreeTests.folder("a"), ""), (FileTreeTests.file("b"), "2"),
                (FileTreeTests.folder("d"), ""),
                (FileTreeTests.file("lib/y"), "2"),
            ])
        try tree.unpack(into: folder("root"))
        let names = try #require(
            try run("sh", "-c", "cd \(folder("root")) && find . | LC_ALL=C sort | tr '\\n' ' '"))
        #expect(
            names == ". ./a ./b ./d ./d/e ./lib ./u\u{301} ./usr ./usr/lib ./usr/lib/x ./usr/lib/y ./\u{fa} "
                || names.split(separator: " ").count == 12)
        #expect(try contents(folder("root/b")) == Array("2".utf8))
    }

    /// Each of these tries to write "outside", beside the root, through a link.
    static let escapes: [(String, [(TarEntry, String)])] = [
        ("absolute link", [(symlink("x", "/outside"), ""), (file("x/file"), "evil")]),
        ("climbing link", [(symlink("x", "../../../../outside"), ""), (file("x/file"), "evil")]),
        ("chain", [(symlink("x", "y"), ""), (symlink("y", "../outside"), ""), (file("x/file"), "evil")]),
        ("link to root", [(symlink("x", "/"), ""), (file("x/outside/file"), "evil")]),
        ("file over link", [(symlink("x", "../outside"), ""), (file("x"), "evil")]),
        (
            "folder over link",
            [(symlink("x", "../outside"), ""), (folder("x"), ""), (file("x/file"), "evil")]
        ),
        (
            "hard link through link",
            [(file("a"), "1"), (symlink("x", ".."), ""), (hardLink("x/outside/b", "a"), "")]
        ),
    ]

    @Test(arguments: escapes) func `nothing is written outside`(
        _ name: String, _ members: [(TarEntry, String)]
    ) throws {
        let folder = try TemporaryFolder()
        for name in ["root", "outside"] {
            try FileManager.default.createDirectory(atPath: folder(name), withIntermediateDirectories: true)
        }
        try? FileTreeTests.tree(members).unpack(into: folder("root"))
        #expect(try FileTreeTests.list(folder("outside")).isEmpty)
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == ["outside", "root"])
    }

    static let refused: [(String, [(TarEntry, String)])] = [
        ("hard link to nothing", [(hardLink("a", "etc/shadow"), "")]),
        ("hard link to a folder", [(folder("d"), ""), (hardLink("a", "d"), "")]),
        ("file as a folder", [(file("a"), "1"), (file("a/b"), "2")]),
        ("loop", [(symlink("a", "b"), ""), (symlink("b", "a"), ""), (file("a/x"), "1")]),
        ("root as a file", [(file(""), "1")]),
        ("hiding the folder itself", [(folder("d"), ""), (file("d/.wh.."), "")]),
        ("too deep", [(file(String(repeating: "d/", count: 300) + "f"), "1")]),
        (
            "an attribute of overlayfs",
            [(TarEntry(path: "d", kind: .directory, attributes: ["trusted.overlay.opaque": [121]]), "")]
        ),
    ]

    @Test(arguments: refused) func `contradictions are refused`(
        _ name: String, _ members: [(TarEntry, String)]
    ) {
        #expect(code { _ = try FileTreeTests.tree(members) } == .unsafePath)
    }

    @Test func `mutated trees never leave their folder`() throws {
        let folder = try TemporaryFolder()
        try FileManager.default.createDirectory(atPath: folder("outside"), withIntermediateDirectories: true)
        var random = SeededGenerator(3)
        let parts = ["a", "b", "c", "outside", ".wh.a", ".wh..wh..opq"]
        let links = ["/", "..", "../outside", "a", "/b", "../../outside", "c/..", "b/c", "."]
        for round in 0..<250 {
            let members = (0..<12).map { _ -> (TarEntry, String) in
                let depth = Int(random.next() % 3) + 1
                let path = (0..<depth).map { _ in parts.randomElement(using: &random)! }.joined(
                    separator: "/")
                switch random.next() % 4 {
                case 0: return (FileTreeTests.symlink(path, links.randomElement(using: &random)!), "")
                case 1: return (FileTreeTests.hardLink(path, parts.randomElement(using: &random)!), "")
                case 2: return (FileTreeTests.folder(path), "")
                default: return (FileTreeTests.file(path), "evil")
                }
            }
            var tree = FileTree()
            // What was read before a refusal is written too.
            for member in members {
                var attempt = tree
                if (try? attempt.add(mapped(tar([member])))) != nil { tree = attempt }
            }
            let root = folder("root\(round)")
            try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
            try tree.unpack(into: root)
            try FileManager.default.removeItem(atPath: root)
        }
        #expect(try FileTreeTests.list(folder("outside")).isEmpty)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["outside"])
    }

    @Test func `a full disk is said to be one`() throws {
        let folder = try TemporaryFolder()
        // Where mounting is not allowed there is no small disk to fill.
        guard try run("mount", "-t", "tmpfs", "-o", "size=256k", "kiln-test", folder.path) != nil else {
            return
        }
        defer { _ = try? run("umount", folder.path) }
        let large = [UInt8](repeating: 7, count: 40 << 20)
        let layer = try mapped(tar([(FileTreeTests.file("large"), String(repeating: "x", count: 1 << 20))]))
        try FileManager.default.createDirectory(atPath: folder("root"), withIntermediateDirectories: true)
        #expect(code { try FileTree(layers: [layer]).unpack(into: folder("root")) } == .diskFull)
        try FileManager.default.removeItem(atPath: folder("root"))
        for packed in [try gzip(large), large] {
            #expect(
                code {
                    _ = try packed.withUnsafeBytes {
                        try Decompressor.decompress($0, limit: 1 << 30, spoolFolder: folder.path)
                    }
                } == .diskFull)
        }
        var random = SeededGenerator(8)
        let noise = random.bytes(1 << 20)
        #expect(
            code {
                let writer = try LayerWriter(path: folder("layer"))
                try writer.append(TarEntry(path: "noise", kind: .file, size: noise.count), content: noise)
                _ = try writer.finish()
            } == .diskFull)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    }

    @Test func `extended attributes are written`() throws {
        let folder = try TemporaryFolder()
        try FileManager.default.createDirectory(atPath: folder("root"), withIntermediateDirectories: true)
        // cap_net_raw, as setcap writes it.
        let value: [UInt8] = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        let entry = TarEntry(
            path: "ping", kind: .file, mode: 0o755, uid: 9, attributes: ["security.capability": value])
        try FileTreeTests.tree([(entry, "program")]).unpack(into: folder("root"))
        if let capabilities = try run("getcap", folder("root/ping")) {
            #expect(capabilities.contains("cap_net_raw"))
        }
    }
}
