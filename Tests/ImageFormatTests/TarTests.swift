import Foundation
import ImageFormat
import Model
import Testing
import TestKit

@Suite struct TarTests {
    static let long = (0..<40).map { "folder-\($0)" }.joined(separator: "/")
    static let entries: [TarEntry] = [
        TarEntry(path: "", kind: .directory, mode: 0o755),
        TarEntry(path: "bin", kind: .symlink, mode: 0o777, link: "usr/bin"),
        TarEntry(path: "dev/null", kind: .characterDevice, mode: 0o666, deviceMajor: 1, deviceMinor: 3),
        TarEntry(path: "dev/sda", kind: .blockDevice, mode: 0o660, gid: 6, deviceMajor: 8),
        TarEntry(path: "run/pipe", kind: .fifo, mode: 0o600),
        TarEntry(path: "usr/bin/su", kind: .file, mode: 0o4755, modifiedAt: 1_700_000_000),
        TarEntry(path: "usr/bin/sudo", kind: .hardLink, link: "usr/bin/su"),
        TarEntry(path: String(repeating: "n", count: 100), kind: .file),
        TarEntry(path: "d/" + String(repeating: "n", count: 100), kind: .file),
        TarEntry(path: String(repeating: "n", count: 101), kind: .file),
        TarEntry(path: "d/" + String(repeating: "n", count: 99), kind: .directory),
        TarEntry(path: String(repeating: "p", count: 155) + "/name", kind: .file),
        TarEntry(path: String(repeating: "p", count: 156) + "/name", kind: .file),
        TarEntry(path: long, kind: .directory, mode: 0o700),
        TarEntry(path: long + "/link", kind: .symlink, link: long),
        TarEntry(path: "etc/Főtanúsítvány.crt", kind: .file, uid: 3_000_000, gid: 4_000_000_000),
        TarEntry(path: "old", kind: .file, modifiedAt: -5),
        TarEntry(
            path: "usr/bin/ping", kind: .file,
            attributes: ["security.capability": [1, 0, 0, 2, 0, 10, 61], "user.a": []]),
        TarEntry(
            path: "pax-length-turn", kind: .file, attributes: ["user.x": [UInt8](repeating: 10, count: 971)]),
    ]

    @Test(arguments: entries) func `what is written is read again`(_ entry: TarEntry) throws {
        let content = entry.kind == .file ? "some content" : ""
        let read = try readTar(tar([(entry, content)]))
        var expected = entry
        expected.size = content.utf8.count
        #expect(read.count == 1)
        #expect(read.first?.0 == expected)
        #expect(read.first?.1 == Array(content.utf8))
    }

    @Test(
        arguments: [
            (["user.a": 64 << 10], true), (["user.a": (64 << 10) + 1], false),
            (["user." + String(repeating: "n", count: 251): 1], false),
            (Dictionary(uniqueKeysWithValues: (0..<17).map { ("user.\($0)", 63 << 10) }), false),
        ] as [([String: Int], Bool)]) func `attributes are as large as a kernel takes them, and no larger`(
            sizes: [String: Int], isFine: Bool
        ) throws
    {
        let entry = TarEntry(
            path: "a", kind: .file, attributes: sizes.mapValues { [UInt8](repeating: 1, count: $0) })
        let bytes = tar([(entry, "")])
        if isFine {
            #expect(try readTar(bytes).count == 1)
        } else {
            #expect(code { _ = try readTar(bytes) } == .corruptArchive)
        }
    }

    @Test func `one global header does not fill the memory with its attributes for each member`() throws {
        // 1 MiB for each of a hundred members.
        let attributes = Dictionary(
            uniqueKeysWithValues: (0..<16).map { ("user.\($0)", [UInt8](repeating: 1, count: 62 << 10)) })
        var header = tar([(TarEntry(path: "a", kind: .file, attributes: attributes), "")])
        let type = 156
        #expect(header[type] == UInt8(ascii: "x"))
        header[type] = UInt8(ascii: "g")
        // The checksum: one letter less.
        let sum = Int(String(decoding: header[148..<154], as: UTF8.self), radix: 8)! - 17
        header.replaceSubrange(148..<154, with: Array(("000000" + String(sum, radix: 8)).suffix(6).utf8))
        let members = (0..<100).map { (TarEntry(path: "m\($0)", kind: .file), "") }
        let end = header.count - 1024 - 512
        let bytes = Array(header[..<end]) + tar(members)
        #expect(code { _ = try readTar(bytes) } == .corruptArchive)
    }

    @Test func `GNU tar lists what is written, and GNU and PAX archives of it are read`() throws {
        let folder = try TemporaryFolder()
        let members = TarTests.entries.map { ($0, $0.kind == .file ? "x" : "") }
        try write(tar(members), folder("a.tar"))
        let listing = try #require(try run("tar", "--numeric-owner", "-tf", folder("a.tar")))
        #expect(listing.split(separator: "\n").count == members.count)
        try FileManager.default.createDirectory(
            atPath: folder("in/" + TarTests.long), withIntermediateDirectories: true)
        try write([1, 2, 3], folder("in/" + TarTests.long + "/file"))
        for format in ["gnu", "pax", "ustar", "v7", "oldgnu"] {
            guard try run("tar", "-C", folder("in"), "--format=\(format)", "-cf", folder("b.tar"), ".") != nil
            else {
                continue
            }
            let read = try readTar(try contents(folder("b.tar")))
            if format == "gnu" || format == "pax" {
                #expect(read.last?.0.path == TarTests.long + "/file", "\(format)")
                #expect(read.last?.1 == [1, 2, 3])
            }
        }
    }

    static let hostile: [(String, Failure.Code)] = [
        ("../etc/passwd", .unsafePath), ("a/../../b", .unsafePath), ("a/..", .unsafePath),
        ("..", .unsafePath),
        ("/../x", .unsafePath), ("a/" + String(repeating: "x", count: 256), .unsafePath),
        (String(repeating: "x/", count: 2100), .unsafePath), ("a\0b", .unsafePath),
    ]

    @Test(arguments: hostile) func `a path that could leave the archive is refused`(
        _ path: String, _ expected: Failure.Code
    ) {
        #expect(code { _ = try TarEntry.normalize(path) } == expected)
        if !path.contains("\0") {
            #expect(code { _ = try readTar(tar([(TarEntry(path: path, kind: .file), "")])) } == expected)
        }
        let link = TarEntry(path: "x", kind: .hardLink, link: path)
        if !path.contains("\0") { #expect(code { _ = try readTar(tar([(link, "")])) } == expected) }
    }

    @Test(arguments: [
        ("/etc/passwd", "etc/passwd"), ("./a/./b/", "a/b"), ("//x", "x"), (".", ""), ("./", ""), ("", ""),
        ("/", ""),
        ("...", "..."), (".a/..b", ".a/..b"), ("a//b", "a/b"),
    ])
    func `harmless spellings come into one form`(_ path: String, _ normal: String) throws {
        #expect(try TarEntry.normalize(path) == normal)
    }

    static func damaged(_ change: (inout [UInt8]) -> Void, sealed: Bool = true) -> [UInt8] {
        var bytes = tar([(TarEntry(path: "file", kind: .file), "some content")])
        change(&bytes)
        if sealed {
            for index in 148..<156 { bytes[index] = 0x20 }
            let sum = bytes[..<512].reduce(0) { $0 + Int($1) }
            let text = Array(
                (String(repeating: "0", count: 6 - String(sum, radix: 8).count) + String(sum, radix: 8)).utf8)
            bytes.replaceSubrange(148..<156, with: text + [0, 0x20])
        }
        return bytes
    }

    static let damages: [(String, [UInt8])] = [
        ("bad checksum", damaged({ $0[0] = 1 }, sealed: false)),
        ("cut in a header", Array(damaged { _ in }[..<300])),
        ("cut in content", Array(damaged { _ in }[..<515])),
        ("cut in padding", Array(damaged { _ in }[..<600])),
        ("huge octal size", damaged { $0.replaceSubrange(124..<136, with: Array("77777777777\0".utf8)) }),
        (
            "huge binary size",
            damaged { $0.replaceSubrange(124..<136, with: [0x80] + [UInt8](repeating: 255, count: 11)) }
        ),
        (
            "negative size",
            damaged { $0.replaceSubrange(124..<136, with: [UInt8](repeating: 255, count: 12)) }
        ),
        ("size of letters", damaged { $0.replaceSubrange(124..<136, with: Array("12x45678901\0".utf8)) }),
        ("unknown type", damaged { $0[156] = UInt8(ascii: "Z") }),
        ("sparse", damaged { $0[156] = UInt8(ascii: "S") }),
        ("symlink without target", damaged { $0[156] = UInt8(ascii: "2") }),
        ("PAX of nonsense", damaged { $0[156] = UInt8(ascii: "x") }),
        ("PAX at the end", Array(TarWriter.header(for: TarEntry(path: "ü", kind: .file))[..<1024])),
        (
            "endless PAX",
            (0..<40).flatMap { _ in TarWriter.header(for: TarEntry(path: "ü", kind: .file))[..<1024] }
        ),
    ]

    @Test func `a last file may lack the bytes that fill its block, as some tools leave them out`() throws {
        #expect(try readTar(Array(TarTests.damaged { _ in }[..<524])).count == 1)
    }

    @Test(arguments: damages) func `damage is refused`(_ name: String, _ bytes: [UInt8]) {
        #expect(code { _ = try readTar(bytes) } == .corruptArchive)
    }

    @Test func `no mutation crashes the reader or makes it look outside`() throws {
        let original = tar(TarTests.entries.prefix(12).map { ($0, $0.kind == .file ? "content" : "") })
        var random = SeededGenerator(1)
        for _ in 0..<2000 {
            var bytes = original
            for _ in 0...Int(random.next() % 3) {
                let block = Int(random.next() % UInt64(bytes.count / 512)) * 512
                bytes[block + Int(random.next() % 512)] = UInt8(truncatingIfNeeded: random.next())
                // Half of the time the checksum fits again, so that the fields behind it are reached.
                if random.next() % 2 == 0 {
                    for index in 148..<156 { bytes[block + index] = 0x20 }
                    let sum = bytes[block..<block + 512].reduce(0) { $0 + Int($1) }
                    let digits = String(sum, radix: 8)
                    let text = String(repeating: "0", count: 6 - digits.count) + digits + "\0 "
                    bytes.replaceSubrange(block + 148..<block + 156, with: Array(text.utf8))
                }
            }
            if random.next() % 8 == 0 { bytes.removeLast(Int(random.next() % UInt64(bytes.count))) }
            guard let members = try? readTar(bytes) else { continue }
            for (entry, _) in members {
                #expect(!entry.path.split(separator: "/").contains(".."))
                #expect(!entry.path.hasPrefix("/"))
            }
        }
    }
}
