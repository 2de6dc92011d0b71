import ImageFormat
import Model

/// What Kiln does itself in the place of some packages' scripts: the one table of exceptions, each with its reason.
struct ScriptCoverage: Hashable {
    /// Commands that begin like this are taken care of.
    var commands: [String] = []
    /// SHA-256 of scripts all of which is taken care of: one that changed is followed like any other.
    var wholeScripts: Set<String> = []
    /// Answers that the package's `config` script gives where nobody is asked and debconf's templates have none.
    var answers: [String: String] = [:]

    /// Whether all that a script does is done elsewhere.
    func isWhole(_ script: String) -> Bool {
        !wholeScripts.isEmpty && wholeScripts.contains(Digest.sha256(Array(script.utf8)).hex)
    }

    static func of(_ package: String) -> ScriptCoverage {
        if let coverage = table[package] { return coverage }
        // Compiled modules only save time, and hold the time of their making.
        let isPython = ["python3.", "libpython3."].contains { package.hasPrefix($0) }
        return ScriptCoverage(commands: isPython ? ["?"] : [])
    }

    private static let table: [String: ScriptCoverage] = [
        // Accounts come from its master files, by `Accounts`.
        "base-passwd": ScriptCoverage(wholeScripts: [
            "47f6f8ee55faa32f7ff23337772c05bfcc7c01aa0804e1ffeffd71ebff0e21b9",
            "c372532e5cba8abf8fd60fba244ddb537fef4807ce0624698dafb4d21866710c",
        ]),
        // The bundle and its links, by `CertificateBundle`.
        "ca-certificates": ScriptCoverage(wholeScripts: [
            "bbad2df5d3c5e3d787789275830bc5b597fe6e9218a99516947a079dcae9e262"
        ]),
        // Asked whether it may set capabilities on ip: nobody is asked, and the default is no.
        "iproute2": ScriptCoverage(commands: ["setcap"]),
        // Looks whether perl runs, before it asks by debconf.
        "libc6": ScriptCoverage(commands: ["perl -e"]),
        // Moves files of earlier releases that lie in a wrong folder.
        "dpkg": ScriptCoverage(commands: ["mv ", "warning "]),
        // `Accounts` writes /etc/shadow, and the group is one of base-passwd's.
        "passwd": ScriptCoverage(commands: ["groupadd -g 42 shadow", "shadowconfig on"]),
        // Its config script settles on UTC.
        "tzdata": ScriptCoverage(answers: ["tzdata/Areas": "Etc", "tzdata/Zones/Etc": "UTC"]),
        // The links, by `MergedUsr`.
        "usr-is-merged": ScriptCoverage(wholeScripts: [
            "727f2971fe428284f1dfcf88ead0d5c6fc6e1013b3ea4fbc878099076792a2af",
            "da90a5ff269ea58f1aa8f06a92ac37ab7f42d28787e4a7017992f67fcf48518b",
        ]),
    ]
}
