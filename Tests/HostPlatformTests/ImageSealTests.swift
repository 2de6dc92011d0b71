import Foundation
import Model
import Testing

@testable import HostPlatform

@Suite final class ImageSealTests {
    private let folder = NSTemporaryDirectory() + "kiln-seal-\(UInt32.random(in: 0 ... .max))"

    init() throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    @Test func `a seal is of the bytes and of the file`() throws {
        let (file, kept) = (folder + "/image", folder + "/image.seal")
        try Data(repeating: 7, count: 3_000_000).write(to: URL(fileURLWithPath: file))
        let seal = try ImageSeal(of: file)
        try seal.write(to: kept)
        #expect(ImageSeal(reading: kept) == seal)
        let before = FileIdentity(file)
        #expect(before?.inode == seal.inode && before == FileIdentity(file))
        let handle = try #require(FileHandle(forUpdatingAtPath: file))
        try handle.seek(toOffset: 2_999_999)
        try handle.write(contentsOf: [8])
        try handle.close()
        #expect(FileIdentity(file) != before)
        #expect(try ImageSeal(of: file).root != seal.root)
    }

    @Test func `the first block that differs is named, also where one is missing or too many`() throws {
        let file = folder + "/image"
        func seal(_ bytes: Data) throws -> ImageSeal {
            try bytes.write(to: URL(fileURLWithPath: file))
            return try ImageSeal(of: file)
        }
        let whole = Data(repeating: 7, count: 200_000)
        let first = try seal(whole)
        #expect(first.firstDifference(from: first) == nil)
        var bent = whole
        bent[70_000] = 8
        #expect(try seal(bent).firstDifference(from: first) == 1)
        #expect(try seal(whole.prefix(131_072)).firstDifference(from: first) == 2)
        #expect(try seal(whole + Data(repeating: 7, count: 100_000)).firstDifference(from: first) == 3)
    }

    @Test func `a seal without its hashes, or with others, is none`() throws {
        let (file, kept) = (folder + "/image", folder + "/image.seal")
        try Data(repeating: 7, count: 200_000).write(to: URL(fileURLWithPath: file))
        let seal = try ImageSeal(of: file)
        #expect(seal.tree.count == 4)
        try seal.write(to: kept)
        var leaves = seal.tree.leaves
        for place in [0, 64, 127] {
            leaves[place] ^= 1
            try Data(leaves).write(to: URL(fileURLWithPath: ImageSeal.leaves(of: kept)))
            #expect(ImageSeal(reading: kept) == nil)
            leaves[place] ^= 1
        }
        ImageSeal.remove(kept)
        #expect(!ImageSeal.exists(kept))
    }

    @Test func `the seal of an earlier Kiln is renewed where the file is as it was, and gone where not`()
        throws
    {
        let (file, kept) = (folder + "/image", folder + "/image.seal")
        try Data("kiln".utf8).write(to: URL(fileURLWithPath: file))
        let inode = try #require(FileIdentity(file)?.inode)
        let old = { (digest: String) in #"{"inode":\#(inode),"sha256":"\#(digest)"}"# }
        // SHA-256 of the four bytes.
        let sum = try ProcessRunner().runNow(Command("sha256sum", [file]), limit: .seconds(300)).output
            .prefix(
                64)
        try old(String(sum)).write(toFile: kept, atomically: true, encoding: .utf8)
        #expect(ImageSeal(reading: kept) == nil)
        try ImageSeal.renew(kept, of: file)
        #expect(ImageSeal(reading: kept) == (try ImageSeal(of: file)))
        ImageSeal.remove(kept)
        try old(String(repeating: "0", count: 64)).write(toFile: kept, atomically: true, encoding: .utf8)
        try ImageSeal.renew(kept, of: file)
        #expect(!Files.exists(kept))
    }

    @Test(arguments: [
        "", "{}", "[]", #"{"sha256":"00","inode":1}"#, #"{"inode":1}"#,
        #"{"sha256":"0000000000000000000000000000000000000000000000000000000000000000","inode":-1}"#,
        #"{"sha256":"0000000000000000000000000000000000000000000000000000000000000000"}"#,
    ]) func `what is no seal is none`(text: String) throws {
        try text.write(toFile: folder + "/seal", atomically: true, encoding: .utf8)
        #expect(ImageSeal(reading: folder + "/seal") == nil)
        #expect(ImageSeal(reading: folder + "/none") == nil)
    }

    @Test func `the newest mount of a folder counts, whatever its path is written with`() {
        let table = """
            22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
            90 22 0:70 / /r/images/ab ro,nodev shared:9 - erofs /r/images/ab.erofs ro
            91 22 0:71 / /r/a\\040b ro - erofs /r/a\\040b.erofs ro
            92 22 0:72 / /r/images/cd ro - erofs /r/images/cd.erofs ro
            93 22 0:73 / /r/images/cd rw - tmpfs tmpfs rw
            broken line
            """
        #expect(MountTable.source(of: "/r/images/ab", in: table) == "/r/images/ab.erofs")
        #expect(MountTable.source(of: "/r/a b", in: table) == "/r/a b.erofs")
        #expect(MountTable.source(of: "/r/images/cd", in: table) == nil, "something was mounted over it")
        #expect(MountTable.source(of: "/r/images/none", in: table) == nil)
    }
}
