import Model
import Testing
import TestKit

@testable import Baking

struct AptSourcesTests {
    private func host(_ files: [String: String], keys: [String] = ["debian"]) throws -> (
        TemporaryFolder, HostApt
    ) {
        let folder = try TemporaryFolder()
        for (name, text) in files { try folder.write("etc/apt/" + name, text) }
        for key in keys { try folder.write("usr/share/keyrings/\(key)-archive-keyring.gpg", "key") }
        return (folder, HostApt(root: folder.path))
    }

    private func recipe(_ distribution: String, sources: [ArchiveSource] = []) throws -> Recipe {
        Recipe(
            distribution: try .init(parsing: distribution), architecture: .amd64, sources: sources,
            command: ["x"])
    }

    private static let debian = """
        Types: deb deb-src
        URIs: http://mirror.example/debian
        Suites: bookworm bookworm-updates
        Components: main
        # a comment

        Types: deb
        URIs: http://mirror.example/debian-security/
        Suites: bookworm-security
        Components: main
        """

    @Test(arguments: [
        ("deb http://a.example/debian bookworm main contrib", 1),
        ("deb [arch=amd64,arm64 signed-by=/k.gpg] http://a.example/debian bookworm main", 1),
        ("deb [ arch=arm64 ] http://a.example/debian bookworm main", 0),
        ("deb-src http://a.example/debian bookworm main", 0),
        ("# deb http://a.example/debian bookworm main", 0),
        ("deb cdrom:[Debian]/ bookworm main", 0),
        ("deb http://a.example/flat ./", 0),
        ("deb file:/srv/archive bookworm main # why", 1),
    ])
    func `a line of sources.list counts only where apt would fetch packages by it`(line: String, count: Int) {
        #expect(HostApt.parseList(line, architecture: .amd64).count == count)
    }

    @Test func `options of a line are understood`() {
        let stanza = HostApt.parseList(
            "deb [arch=amd64 signed-by=/k.gpg] http://a.example/debian bookworm-$(ARCH) main contrib",
            architecture: .amd64)
        #expect(
            stanza == [
                HostApt.Stanza(
                    uri: "http://a.example/debian", suites: ["bookworm-amd64"],
                    components: ["main", "contrib"],
                    keyring: "/k.gpg")
            ])
    }

    @Test(arguments: ["Enabled: no", "Architectures: arm64", "Enabled: False"])
    func `a stanza that is off or for another machine is left out`(line: String) throws {
        let text = line + "\n" + AptSourcesTests.debian
        let stanzas = try HostApt.parseDeb822(text, place: "x", architecture: .amd64)
        #expect(stanzas.map(\.uri) == ["http://mirror.example/debian-security/"])
    }

    @Test func `a key block in Signed-By is unfolded`() throws {
        let text = """
            Types: deb
            URIs: http://a.example/debian
            Suites: bookworm
            Components: main
            Signed-By:
             -----BEGIN PGP PUBLIC KEY BLOCK-----
             .
             aGVsbG8=
             =abcd
             -----END PGP PUBLIC KEY BLOCK-----
            """
        let key = try #require(try HostApt.parseDeb822(text, place: "x", architecture: .amd64).first?.keyring)
        #expect(Armor.decode(key) == Array("hello".utf8))
    }

    @Test func `the host's suites of the recipe are taken, other vendors' are not`() throws {
        let (folder, host) = try host([
            "sources.list.d/debian.sources": AptSourcesTests.debian,
            "sources.list.d/other.list": "deb https://other.example/apt tool-bookworm main\n",
        ])
        let sources = try AptSources.resolve(try recipe("debian/bookworm"), host: host)
        #expect(sources.all.map(\.archive) == ["debian", "debian-security"])
        #expect(sources.all.map(\.suites) == [["bookworm", "bookworm-updates"], ["bookworm-security"]])
        #expect(sources.all[1].uri == "http://mirror.example/debian-security")
        #expect(
            sources.all[0].keyring == .file(folder.path + "/usr/share/keyrings/debian-archive-keyring.gpg"))
        #expect(
            sources.mirrors(of: "debian-security") == [
                "http://mirror.example/debian-security", "http://mirror.example/debian",
            ])
    }

    @Test func `another suite of the host's vendor takes the place of the host's`() throws {
        let (folder, host) = try host(["sources.list.d/debian.sources": AptSourcesTests.debian])
        let trixie = try AptSources.resolve(try recipe("debian/trixie"), host: host)
        #expect(trixie.all.map(\.suites) == [["trixie", "trixie-updates"], ["trixie-security"]])
        let sid = try AptSources.resolve(try recipe("debian/sid"), host: host)
        #expect(sid.all.map(\.suites) == [["sid"]])
        withExtendedLifetime(folder) {}
    }

    @Test func `a distribution that no source has is a failure that says what to write`() async throws {
        let (folder, host) = try host(["sources.list.d/debian.sources": AptSourcesTests.debian])
        let found = await failures { _ = try AptSources.resolve(try recipe("ubuntu/noble"), host: host) }
        #expect(found.map(\.code) == [.archiveUnreachable])
        #expect(found.first?.place == "image.sources")
        #expect(found.first?.suggestion?.contains("noble") == true)
        withExtendedLifetime(folder) {}
    }

    @Test func `a keyring that is not installed is named with its package`() async throws {
        let (folder, host) = try host(["sources.list": "deb http://a.example/ubuntu noble main\n"], keys: [])
        let found = await failures { _ = try AptSources.resolve(try recipe("ubuntu/noble"), host: host) }
        #expect(found.map(\.code) == [.toolMissing])
        #expect(found.first?.suggestion?.contains("ubuntu-keyring") == true)
        withExtendedLifetime(folder) {}
    }

    @Test func `the recipe's own sources are the only ones`() throws {
        let (folder, host) = try host(["sources.list.d/debian.sources": AptSourcesTests.debian])
        let source = ArchiveSource(uri: "https://own.example/x/", suites: ["bookworm"], components: ["main"])
        let sources = try AptSources.resolve(try recipe("debian/bookworm", sources: [source]), host: host)
        #expect(sources.all.map(\.uri) == ["https://own.example/x"])
        withExtendedLifetime(folder) {}
    }

    @Test(arguments: [
        ("http://a.example/debian", "debian"), ("http://a.example/debian-security", "debian-security"),
        ("http://a.example/archive/debian/20250520T000000Z", "debian"), ("file:/srv/x/ubuntu", "ubuntu"),
    ])
    func `an archive is known by its name and not by its host or date`(uri: String, name: String) {
        #expect(AptSources.archiveName(uri) == name)
    }
}
