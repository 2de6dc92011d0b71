import ImageFormat
import Model
import Testing
import TestKit

@testable import Baking

struct DebArchiveTests {
    private func open(_ bytes: [UInt8]) throws -> (DebArchive, TemporaryFolder) {
        let folder = try TemporaryFolder()
        let path = try folder.write("x.deb", bytes)
        return (try DebArchive(MappedBytes(file: path), place: "x", spoolFolder: folder.path), folder)
    }

    private func content(_ maker: PackageMaker) throws -> [TarEntry] {
        let (deb, folder) = try open(maker.bytes)
        let data = try deb.unpackData(spoolFolder: folder.path)
        return try PackageContent(data, place: "x").items.map(\.entry)
    }

    @Test func `control fields, scripts and the date are read`() throws {
        var maker = PackageMaker("tool")
        maker.fields = ["Replaces: old (<< 2), other | third", "Depends: libc6"]
        maker.scripts["postinst"] = "#!/bin/sh\n"
        let (deb, _) = try open(maker.bytes)
        #expect(deb.control["package"] == "tool")
        #expect(deb.control.packageNames("Replaces") == ["old", "other", "third"])
        #expect(deb.text("postinst") == "#!/bin/sh\n")
        #expect(deb.modifiedAt == PackageMaker.date)
        #expect(
            deb.control.statusEntry.hasPrefix("Package: tool\nStatus: install ok installed\nVersion: 1.0\n"))
    }

    @Test func `paths are merged into usr, sorted, with their parents, folders without a time`() throws {
        var maker = PackageMaker("tool")
        maker.file("lib/x/b.so", "b")
        maker.file("bin/tool", "t", mode: 0o755)
        maker.link("lib64", to: "usr/lib64")
        maker.folder("usr/share")
        maker.link("bin/alias", to: "bin/tool", isHard: true)
        let entries = try content(maker)
        #expect(
            entries.map(\.path) == [
                "usr", "usr/bin", "usr/bin/alias", "usr/bin/tool", "usr/lib", "usr/lib/x", "usr/lib/x/b.so",
                "usr/share",
            ])
        #expect(entries.filter { $0.kind == .directory }.allSatisfy { $0.modifiedAt == 0 })
        // Of files that are one, the first by path has the content.
        #expect(entries[2].kind == .file && entries[2].size == 1 && entries[2].mode == 0o755)
        #expect(entries[3].kind == .hardLink && entries[3].link == "usr/bin/alias")
    }

    @Test func `a link from before the merge that would point at itself is dropped`() throws {
        var maker = PackageMaker("tool")
        maker.file("bin/which", "w", mode: 0o755)
        maker.link("usr/bin/which", to: "/bin/which")
        #expect(try content(maker).filter { $0.path == "usr/bin/which" }.map(\.kind) == [.file])
    }

    @Test func `hostile packages are refused`() async throws {
        var twice = PackageMaker("twice")
        twice.file("bin/x", "1")
        twice.file("usr/bin/x", "2")
        var outside = PackageMaker("outside")
        outside.link("etc/x", to: "../../etc/passwd", isHard: true)
        var absent = PackageMaker("absent")
        absent.link("etc/x", to: "etc/shadow", isHard: true)
        var below = PackageMaker("below")
        below.file("etc/x", "1")
        below.file("etc/x/y", "2")
        var throughLink = PackageMaker("through-link")
        throughLink.link("etc/x", to: "/")
        throughLink.file("etc/x/y", "2")
        var loop = PackageMaker("loop")
        loop.link("a", to: "b", isHard: true)
        loop.link("b", to: "a", isHard: true)
        for (maker, code) in [
            (twice, Failure.Code.conflict), (outside, .unsafePath), (absent, .unsafePath),
            (below, .unsafePath),
            (throughLink, .unsafePath), (loop, .unsafePath),
        ] {
            let found = await failures { _ = try content(maker) }
            #expect(found.map(\.code) == [code], "\(maker.name)")
        }
        var climbing = PackageMaker("climbing")
        var row = TarEntry(path: "../../tmp/out", kind: .file)
        row.size = 0
        climbing.rawData = PackageMaker.tar([(row, [])])
        #expect(await failures { _ = try content(climbing) }.map(\.code) == [.unsafePath])
    }

    @Test func `every cut of a package is refused and none crashes`() async throws {
        var maker = PackageMaker("tool")
        maker.file("bin/tool", "t")
        let bytes = maker.bytes
        for count in stride(from: 0, to: bytes.count - 600, by: 97) {
            let found = await failures {
                let (deb, folder) = try open(Array(bytes.prefix(count)))
                let data = try deb.unpackData(spoolFolder: folder.path)
                _ = try PackageContent(data, place: "x")
            }
            #expect(found.count == 1, "\(count)")
        }
    }

    @Test func `members that lie about their size are refused`() async {
        var bytes = PackageMaker("tool").bytes
        for text in ["9999999999", "-1        ", "x         "] {
            bytes.replaceSubrange(8 + 48..<8 + 58, with: Array(text.utf8))
            let damaged = bytes
            #expect(await failures { _ = try open(damaged) }.map(\.code) == [.corruptArchive])
        }
    }
}
