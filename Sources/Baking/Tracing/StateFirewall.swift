import ImageFormat

/// What a traced script may not leave in an image, by path and by content: secrets, one machine's identity, databases
/// and logs. `StateRule` says the same of programs.
struct StateFirewall {
    /// Paths of the recipe that may hold such a thing all the same.
    var allowed: [String]

    /// Something that is refused.
    struct Refusal: Hashable {
        var path: String
        var what: String
    }

    private enum Limit {
        /// Bytes of a file that are searched for keys; beyond, a file is data.
        static let searched = 4 << 20
    }

    func allows(_ path: String) -> Bool {
        allowed.contains { entry in
            let place = ImagePath.normalized(entry)
            return path == place || path.hasPrefix(place + "/")
        }
    }

    /// What is wrong with a file that a script wrote; nil where it may be in an image, or the recipe allows it.
    func refusal(of path: String, _ bytes: [UInt8]) -> Refusal? {
        // What is empty is a place for something, and holds nothing.
        guard !bytes.isEmpty, !allows(path) else { return nil }
        return (StateFirewall.byPath(path) ?? StateFirewall.byContent(path, bytes)).map {
            Refusal(path: path, what: $0)
        }
    }

    /// What is wrong with a mode: set-id bits that no dpkg-statoverride names.
    func refusal(of path: String, mode: Int, granted: Set<String>) -> Refusal? {
        guard mode & 0o6000 != 0, !granted.contains(path), !allows(path) else { return nil }
        return Refusal(path: path, what: "a program with the rights of another user")
    }

    private static let identities: Set<String> = [
        "etc/machine-id", "var/lib/dbus/machine-id", "etc/hostid", "etc/hostname",
        "var/lib/systemd/random-seed", "var/lib/urandom/random-seed", "etc/krb5.keytab",
    ]

    private static func byPath(_ path: String) -> String? {
        let name = ImagePath.name(of: path)
        if identities.contains(path) { return "the identity of one machine" }
        if name.hasPrefix("ssh_host_"), name.contains("_key") { return "an SSH host key" }
        if name.hasPrefix("ssl-cert-snakeoil.") { return "a certificate of one machine" }
        if path.hasPrefix("var/log/") { return "a log" }
        if ["PG_VERSION", "ibdata1", "aria_log_control", "data.mdb"].contains(name)
            || [".ibd", ".MYI", ".MYD", ".frm"].contains(where: name.hasSuffix)
        {
            return "a database"
        }
        return nil
    }

    /// How files of databases begin.
    private static let signatures: [[UInt8]] = [
        Array("SQLite format 3\u{0}".utf8), Array("TDB file\n".utf8),
    ]

    private static func byContent(_ path: String, _ bytes: [UInt8]) -> String? {
        if signatures.contains(where: bytes.starts) { return "a database" }
        guard bytes.count <= Limit.searched else { return nil }
        // RFC 7468: BEGIN, perhaps the kind of key, and PRIVATE KEY; PGP adds BLOCK.
        for line in bytes.split(separator: UInt8(ascii: "\n")) where line.starts(with: begin) {
            let text = String(decoding: line, as: UTF8.self)
            if text.contains("PRIVATE KEY") { return "a private key" }
        }
        return nil
    }

    private static let begin = Array("-----BEGIN ".utf8)
}

/// Paths that a traced script changes and an image knows nothing of, with the reason.
enum TraceScope {
    /// Whether a change at this path is left out, because it is made for the whole image or lasts nowhere.
    static func leavesOut(_ path: String) -> Bool {
        LeftOut.isElsewhere("/" + path) || files.contains(path)
            || folders.contains { path == $0 || path.hasPrefix($0 + "/") }
            || path.hasSuffix(".pyc") || ImagePath.name(of: path) == "__pycache__"
    }

    /// Accounts are carried over by name; the loader's cache is made for the whole image; tools note what they did.
    private static let files: Set<String> = {
        let accounts = ["passwd", "group", "shadow", "gshadow", "subuid", "subgid"]
        return Set(
            accounts.flatMap { ["etc/\($0)", "etc/\($0)-", "etc/\($0)+", "etc/\($0).lock"] } + [
                "etc/.pwd.lock", "etc/ld.so.cache", "etc/ld.so.cache~", "var/log/alternatives.log",
                "var/log/dpkg.log", "var/log/faillog", "var/log/lastlog", "var/log/tallylog", "var/log/btmp",
                "var/log/wtmp", "var/log/fontconfig.log",
            ])
    }()

    /// The databases of dpkg, debconf, ucf and systemd's helper, and caches.
    private static let folders = [
        "var/lib/dpkg", "var/cache/debconf", "var/lib/ucf", "var/lib/systemd/deb-systemd-helper-enabled",
        "var/lib/systemd/deb-systemd-helper-masked", "var/cache/ldconfig", "var/cache/man",
        "var/tmp", "root/.cache",
    ]
}
