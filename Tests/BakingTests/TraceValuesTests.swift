import ImageFormat
import Model
import Testing
import TestKit

@testable import Baking

/// What is decided about traced scripts without running one.
@Suite struct TraceValuesTests {

    private static let record: TraceRecord = {
        var record = TraceRecord()
        record.items = [
            .init(
                entry: TarEntry(path: "etc/a", kind: .file, mode: 0o640, size: 2), user: "root", group: "adm",
                content: .bytes([1, 2])),
            .init(
                entry: TarEntry(path: "usr/bin/b", kind: .file, mode: 0o755), user: "7", group: "root",
                content: .same),
            .init(
                entry: TarEntry(path: "var/l", kind: .symlink, mode: 0o777, link: "/etc"), user: "root",
                group: "root",
                content: .none),
        ]
        record.removed = ["etc/gone"]
        record.calls = [.init(program: "pam-auth-update", arguments: ["--package", ""])]
        record.users = [
            .init(name: "u", user: .init(id: nil, group: "g", comment: "c", home: "/h", shell: "/s"))
        ]
        record.groups = [.init(name: "g", id: 7), .init(name: "h", id: nil)]
        record.members = [["adm", "u"]]
        record.notes = ["n"]
        return record
    }()

    @Test func `a record reads back as it was written, and no damaged one reads`() throws {
        let record = TraceValuesTests.record
        let bytes = record.encoded()
        #expect(try TraceRecord(decoding: bytes) == record)
        for count in bytes.indices {
            #expect(throws: (any Error).self) { try TraceRecord(decoding: Array(bytes[..<count])) }
        }
    }

    @Test func `two records differ by the paths, accounts and calls in which they do`() {
        let record = TraceValuesTests.record
        #expect(record.differences(from: record).isEmpty)
        var other = record
        other.items[0].content = .bytes([1, 3])
        other.removed = ["etc/other"]
        other.members = []
        #expect(record.differences(from: other) == ["/etc/a", "/etc/gone", "/etc/other", "its accounts"])
        other = record
        other.calls = []
        #expect(record.differences(from: other) == ["the programs that it calls"])
    }

    @Test(arguments: [
        ("etc/machine-id", "5"), ("var/lib/dbus/machine-id", "5"), ("etc/ssh/ssh_host_rsa_key", "x"),
        ("etc/ssh/ssh_host_rsa_key.pub", "x"), ("etc/ssl/certs/ssl-cert-snakeoil.pem", "x"),
        ("var/log/x/access.log", "GET"), ("var/lib/postgresql/15/main/PG_VERSION", "15"),
        ("var/lib/mysql/ibdata1", "x"), ("var/lib/mysql/mysql/db.MYD", "x"), ("var/lib/ldap/data.mdb", "x"),
        ("srv/x.db", "SQLite format 3\u{0}…"), ("var/lib/samba/private/secrets.tdb", "TDB file\n"),
        ("etc/x.pem", "-----BEGIN PRIVATE KEY-----\nMII"),
        ("etc/y", "# key\n-----BEGIN RSA PRIVATE KEY-----\n"),
        ("root/.ssh/id", "-----BEGIN OPENSSH PRIVATE KEY-----\n"),
        ("z", "-----BEGIN PGP PRIVATE KEY BLOCK-----\n"), ("e", "-----BEGIN ENCRYPTED PRIVATE KEY-----"),
    ])
    func `secrets, identities, databases and logs are refused, unless the recipe allows the path`(
        path: String, text: String
    ) {
        let bytes = Array(text.utf8)
        #expect(StateFirewall(allowed: []).refusal(of: path, bytes)?.path == path)
        #expect(StateFirewall(allowed: ["/other"]).refusal(of: path, bytes) != nil)
        #expect(StateFirewall(allowed: ["/" + path]).refusal(of: path, bytes) == nil)
        #expect(StateFirewall(allowed: ["/" + path + "x"]).refusal(of: path, bytes) != nil)
        let folder = ImagePath.parent(of: path)
        if !folder.isEmpty { #expect(StateFirewall(allowed: ["/" + folder]).refusal(of: path, bytes) == nil) }
        // A place for it is none of it.
        #expect(StateFirewall(allowed: []).refusal(of: path, []) == nil)
    }

    @Test(arguments: [
        ("etc/ssl/certs/ca.pem", "-----BEGIN CERTIFICATE-----\n"),
        ("etc/a", "no -----BEGIN PRIVATE KEY-----"),
        ("etc/k.pub", "-----BEGIN PUBLIC KEY-----\n"), ("var/logs", "x"), ("etc/machine-info", "x"),
    ])
    func `what only resembles them is not refused`(path: String, text: String) {
        #expect(StateFirewall(allowed: []).refusal(of: path, Array(text.utf8)) == nil)
    }

    @Test func `set-id bits need a statoverride or the recipe`() {
        let none = StateFirewall(allowed: [])
        #expect(none.refusal(of: "usr/bin/x", mode: 0o4755, granted: []) != nil)
        #expect(none.refusal(of: "usr/bin/x", mode: 0o2755, granted: []) != nil)
        #expect(none.refusal(of: "usr/bin/x", mode: 0o1755, granted: []) == nil)
        #expect(none.refusal(of: "usr/bin/x", mode: 0o4755, granted: ["usr/bin/x"]) == nil)
        #expect(
            StateFirewall(allowed: ["/usr/bin/x"]).refusal(of: "usr/bin/x", mode: 0o4755, granted: []) == nil)
    }

    @Test func `calls read back as wrappers write them, and what no wrapper wrote is the end`() {
        func bytes(_ words: [String]) -> [UInt8] { words.flatMap { Array($0.utf8) + [0] } }
        let calls = TraceRecord.Call.parse(bytes(["2", "adduser", "--system", "", "0", "@postinst"]))
        #expect(
            calls == [
                .init(program: "adduser", arguments: ["--system", ""]),
                .init(program: "@postinst", arguments: []),
            ])
        for words in [["x"], ["-1", "a"], ["3", "a", "b"], ["99999999999999999999", "a"], [""]] {
            #expect(TraceRecord.Call.parse(bytes(words)).isEmpty)
        }
        #expect(TraceRecord.Call.parse([]).isEmpty)
    }

    @Test func `accounts are those that are new afterwards, with a number only where one was asked for`() {
        let before = Accounts(passwd: "root:x:0:0:root:/root:/bin/sh\n", group: "root:x:0:\nadm:x:4:\n")
        let after = Accounts(
            passwd: "root:x:0:0:root:/root:/bin/bash\na:x:101:102:A:/var/a:/bin/false\nb:x:700:102::/:/x\n",
            group: "root:x:0:\nadm:x:4:a\nag:x:102:b\n")
        let traced = TracedAccounts(
            before: before, after: after,
            calls: [
                .init(program: "useradd", arguments: ["-r", "-u", "700", "b"]),
                .init(program: "groupadd", arguments: ["-g", "900", "never"]),
            ], package: "p")
        #expect(traced.users.map(\.name) == ["a", "b"])
        #expect(
            traced.users[0].user
                == .init(id: nil, group: "ag", comment: "A", home: "/var/a", shell: "/bin/false"))
        #expect(traced.users[1].user.id == 700)
        #expect(traced.groups == [.init(name: "ag", id: nil)])
        #expect(traced.members == [["adm", "a"], ["ag", "b"]])
        #expect(traced.notes.count == 1)
    }

    @Test
    func `every program that scripts are kept from has a wrapper, and words decide where a rule has some`() {
        let wrappers = TraceTools.wrappers(keepsState: false)
        for rule in StateRule.table { #expect(wrappers[rule.program] != nil) }
        #expect(wrappers["openssl"]?.contains("genrsa") == true)
        #expect(TraceTools.wrappers(keepsState: true)["ssh-keygen"] == nil)
        for name in ["invoke-rc.d", "deb-systemd-helper", "systemctl", "update-rc.d", "ldconfig"] {
            #expect(TraceTools.quiet.contains(name))
        }
        #expect(TraceTools.quiet.isDisjoint(with: TraceTools.real))
    }
}
