import Glibc
import ImageFormat
import Model
import Testing
import TestKit

@testable import Baking

struct SiteFilesTests {
    private func scan(_ folder: TemporaryFolder, _ rules: FileRule...) throws -> SiteFiles {
        try SiteFiles(rules, folder: folder.path)
    }

    @Test(arguments: ["site", "site/", "./site"])
    func `a folder goes whole, its content into the target`(from: String) throws {
        let folder = try TemporaryFolder()
        try folder.write("site/index.html", "a")
        try folder.write("site/deep/run.sh", "b", mode: 0o700)
        try folder.link("site/latest", to: "deep/run.sh")
        let files = try scan(folder, FileRule(from: from, to: "/srv/www"))
        #expect(
            files.items.map(\.path) == [
                "srv/www", "srv/www/deep", "srv/www/deep/run.sh", "srv/www/index.html", "srv/www/latest",
            ])
        #expect(files.items.map(\.mode) == [0o755, 0o755, 0o755, 0o644, 0o777])
    }

    @Test func `a file goes to its path, or into a folder that ends in a slash`() throws {
        let folder = try TemporaryFolder()
        try folder.write("a.conf", "a", mode: 0o666)
        let files = try scan(
            folder, FileRule(from: "a.conf", to: "/etc/b.conf"),
            FileRule(from: "a.conf", to: "/opt/", mode: 0o600))
        #expect(files.items.map(\.path) == ["etc/b.conf", "opt/a.conf"])
        #expect(files.items.map(\.mode) == [0o644, 0o600])
    }

    @Test func `nothing outside the folder is ever read`() async throws {
        let folder = try TemporaryFolder()
        try folder.write("secret", "s")
        try folder.write("spec/site/a", "a")
        try folder.link("spec/out", to: "../secret")
        try folder.link("spec/folder", to: "..")
        try folder.link("spec/bad/link", to: "../../secret")
        try folder.link("spec/bad2/link", to: "/etc/passwd")
        try folder.link("spec/bad3/link", to: "x/../../up")
        mkfifo(folder.path + "/spec/bad4", 0o600)
        for from in [
            "../secret", "/etc/passwd", "site/../../secret", "out", "folder/secret", "bad", "bad2", "bad3",
            "bad4",
        ] {
            let found = await failures {
                _ = try SiteFiles([FileRule(from: from, to: "/x")], folder: folder.path + "/spec")
            }
            #expect(found.map(\.code) == [.unsafePath], "\(from)")
            #expect(found.first?.place == "image.files[0]")
        }
        let found = await failures {
            _ = try SiteFiles([FileRule(from: "site", to: "/../x")], folder: folder.path + "/spec")
        }
        #expect(found.map(\.code) == [.unsafePath])
    }

    @Test func `all missing files are named at once, with what may have been meant`() async throws {
        let folder = try TemporaryFolder()
        try folder.write("nginx.conf", "a")
        let found = await failures {
            _ = try scan(folder, FileRule(from: "ngnix.conf", to: "/a"), FileRule(from: "none", to: "/b"))
        }
        #expect(found.map(\.code) == [.fileMissing, .fileMissing])
        #expect(found.map(\.place) == ["image.files[0]", "image.files[1]"])
        #expect(found.first?.suggestion == "did you mean nginx.conf?")
    }

    @Test func `a time changes with the content and with nothing else`() {
        let times = (0..<200).map { FilesLayer.modificationTime(.sha256(Array("file \($0)".utf8))) }
        #expect(Set(times).count == times.count)
        #expect(times.allSatisfy { $0 % 2 == 0 && $0 >= 946_684_800 && $0 < 1_700_000_000 })
        #expect(FilesLayer.modificationTime(.sha256([])) == FilesLayer.modificationTime(.sha256([])))
    }

    @Test func `files lie where the links of the image lead, and never outside`() async throws {
        let folder = try TemporaryFolder()
        try folder.write("a", "a")
        let store = try FolderStore(folder.path + "/store")
        let base = [
            TarEntry(path: "usr", kind: .directory, mode: 0o755),
            TarEntry(path: "usr/bin", kind: .directory, mode: 0o755),
            TarEntry(path: "bin", kind: .symlink, link: "usr/bin"),
            TarEntry(path: "up", kind: .symlink, link: "../../usr"),
            TarEntry(path: "loop", kind: .symlink, link: "loop"),
        ]
        let accounts = Accounts(passwd: "", group: "")
        func write(_ to: String) throws -> ImageLookup {
            var lookup = ImageLookup(base)
            _ = try FilesLayer.write(
                try scan(folder, FileRule(from: "a", to: to)), accounts: accounts, lookup: &lookup,
                store: store)
            return lookup
        }
        #expect(try write("/bin/a")["usr/bin/a"]?.kind == .file)
        #expect(try write("/up/a")["usr/a"]?.kind == .file)
        #expect(await failures { _ = try write("/loop/a") }.map(\.code) == [.conflict])
        #expect(await failures { _ = try write("/usr/bin") }.map(\.code) == [.conflict])
    }
}
