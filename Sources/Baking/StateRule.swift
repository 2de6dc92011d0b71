import ImageFormat

/// A step that is refused on purpose: what it makes belongs to one machine or is a secret, and would be the same in
/// every copy of an image. It is told apart from a step that is not understood.
struct StateRule: Hashable {
    /// The program whose call makes it.
    var program: String
    /// Words of which the call must have one; empty: every call.
    var words: [String] = []
    /// What is not made.
    var what: String
    /// What to do in its place.
    var instead: String

    /// The note for people.
    var note: String { "\(what) is not made: \(instead)" }

    /// The rule that a call falls under.
    static func of(_ program: String, _ arguments: [String]) -> StateRule? {
        if arguments.contains(where: {
            $0.contains("/dev/urandom") || $0.contains("/dev/random")
                || $0.hasPrefix("/proc/sys/kernel/random")
        }) {
            return random
        }
        return table.first {
            $0.program == program && ($0.words.isEmpty || !$0.words.allSatisfy { !arguments.contains($0) })
        }
    }

    private static let secret = "give it as a file or a secret, or make it at first start"
    private static let identity = "it is one machine's identity; it is made where an instance starts"
    private static let data = "it is data; make it at first start, in a volume"

    /// Randomness by any program.
    private static let random = StateRule(
        program: "", what: "a file of random bytes", instead: secret)

    /// Every such program. A new line needs a reason in `instead`.
    static let table: [StateRule] = [
        StateRule(
            program: "make-ssl-cert", what: "the snakeoil certificate and its private key", instead: secret),
        StateRule(
            program: "openssl", words: ["req", "genrsa", "genpkey", "rand", "dhparam", "ecparam", "gendsa"],
            what: "a key or certificate by openssl", instead: secret),
        StateRule(program: "certtool", what: "a key or certificate by certtool", instead: secret),
        StateRule(program: "ssh-keygen", what: "the SSH host keys", instead: secret),
        StateRule(program: "rndc-confgen", words: ["-a"], what: "the key of rndc", instead: secret),
        StateRule(program: "tsig-keygen", what: "a TSIG key", instead: secret),
        StateRule(program: "nsd-control-setup", what: "the keys of nsd-control", instead: secret),
        StateRule(program: "unbound-control-setup", what: "the keys of unbound-control", instead: secret),
        StateRule(program: "unbound-anchor", what: "the root key of unbound", instead: data),
        StateRule(
            program: "gpg", words: ["--gen-key", "--generate-key", "--quick-gen-key"], what: "a GPG key",
            instead: secret),
        StateRule(program: "wg", words: ["genkey", "genpsk"], what: "a WireGuard key", instead: secret),
        StateRule(program: "pwgen", what: "a password", instead: secret),
        StateRule(program: "mcookie", what: "a cookie", instead: secret),
        StateRule(program: "uuidgen", what: "a UUID", instead: identity),
        StateRule(program: "dbus-uuidgen", what: "the machine id of D-Bus", instead: identity),
        StateRule(program: "systemd-machine-id-setup", what: "/etc/machine-id", instead: identity),
        StateRule(program: "mysql_install_db", what: "the system tables of MariaDB", instead: data),
        StateRule(program: "mariadb-install-db", what: "the system tables of MariaDB", instead: data),
        StateRule(program: "pg_createcluster", what: "a PostgreSQL cluster", instead: data),
        StateRule(program: "initdb", what: "a PostgreSQL cluster", instead: data),
        StateRule(program: "sqlite3", what: "an SQLite database", instead: data),
        StateRule(
            program: "newaliases", what: "the database of /etc/aliases",
            instead: "run newaliases at first start"),
        StateRule(program: "slapadd", what: "the directory of slapd", instead: data),
        StateRule(program: "kdb5_util", what: "a Kerberos database", instead: data),
        StateRule(program: "openvpn", words: ["--genkey"], what: "a key of OpenVPN", instead: secret),
    ]
}

/// What scripts do that means nothing in an image, with the reason: it is left out without a word. `SharedCache` speaks
/// of the few that an image may miss.
enum LeftOut {
    /// Reasons by program.
    static func reason(_ program: String) -> String? { table[program] }

    /// Whether a path lies where an image keeps nothing: the kernel's folders and those emptied at every start.
    static func isElsewhere(_ path: String) -> Bool {
        ["/dev", "/proc", "/sys", "/run", "/var/run", "/tmp"].contains {
            path == $0 || path.hasPrefix($0 + "/")
        }
    }

    private static let cache = "a cache that its program works without, and that holds times of its making"
    private static let shared = "made from what all packages bring, and told of where one brings something"
    private static let machine = "it speaks to a machine that runs, or to its kernel"
    private static let upgrade =
        "it tidies up after earlier releases; a first installation has nothing of them"

    static let table: [String: String] = [
        "pg_updateaptconfig": "a list for apt of packages to keep; nothing is installed in an image later",
        "gtk-update-icon-cache": cache, "update-icon-caches": cache, "mandb": cache,
        "update-gtk-immodules": cache, "gtk-query-immodules-2.0": cache, "gtk-query-immodules-3.0": cache,
        "fc-cache": shared, "gdk-pixbuf-query-loaders": shared, "gio-querymodules": shared,
        "glib-compile-schemas": shared, "update-mime-database": shared,
        "update-desktop-database": cache, "update-catalog": "SGML catalogues, which only document tools read",
        "update-xmlcatalog": "XML catalogues, which only document tools read",
        "update-binfmts": machine, "apparmor_parser": machine, "udevadm": machine, "sysctl": machine,
        "modprobe": machine, "journalctl": cache, "systemd-hwdb": cache, "update-initramfs": machine,
        "restorecon": machine, "modinfo": machine, "wall": machine, "hostnamectl": machine,
        "py3compile": cache, "pycompile": cache, "pypy3compile": cache, "py3clean": upgrade,
        "pyclean": upgrade, "pypy3clean": upgrade, "update-inetd": machine, "insserv": machine,
        "ldconfig": "the loader cache is made for the whole image",
        "update-ca-certificates":
            "the bundle is made for the whole image", "ucfr": "it notes a file for upgrades",
        "dpkg-maintscript-helper": upgrade, "dpkg-trigger": "triggers are made for the whole image",
        "deb-systemd-helper": machine, "deb-systemd-invoke": machine, "init": machine, "initctl": machine,
        "invoke-rc.d": machine, "kill": machine, "killall": machine, "pkill": machine, "service": machine,
        "start-stop-daemon": machine, "systemctl": machine, "telinit": machine, "update-rc.d": machine,
        "systemd-sysusers": "the accounts of sysusers.d are made for the whole image",
        "systemd-notify": machine, "systemd-detect-virt": machine, "runit-helper": machine, "sync": machine,
    ]
}
