import Model

/// The programs that stand before a traced script's own: each notes how it was called, then does what the script may
/// count on.
enum TraceTools {
    /// Folders of the sandbox.
    static let folder = "/run/kiln/tools"
    static let recordFolder = "/run/kiln/record"
    static let recordName = "calls"

    private static let searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    static let environmentPath = folder + ":" + searchPath

    /// Done as Debian's own program does it, so that the script finds what it made.
    static let real: Set<String> = [
        "addgroup", "adduser", "dpkg-divert", "dpkg-statoverride", "groupadd", "groupmod", "ucf",
        "update-alternatives", "useradd", "usermod",
    ]

    /// Answered with success and not done: what they do means nothing in an image, or is made for the whole image.
    static let quiet: Set<String> = Set(LeftOut.table.keys).subtracting(needed).subtracting(
        SharedCache.tools
    ).union([
        "pam-auth-update", "systemd-tmpfiles",
    ])

    /// Of what effects leave out, that which a script needs for what follows.
    private static let needed: Set<String> = [
        "dpkg-maintscript-helper", "kill", "killall", "pkill", "sync", "systemd-detect-virt", "ucfr",
    ]

    /// Programs that scripts may count on wherever they run: Essential, or done by Kiln itself. Any other has a wrapper
    /// only where the image has the program: scripts ask whether it is there.
    static let always: Set<String> = [
        "deb-systemd-helper", "deb-systemd-invoke", "dpkg-trigger", "invoke-rc.d", "ldconfig",
        "pam-auth-update",
        "systemd-sysusers", "systemd-tmpfiles", "update-alternatives", "update-rc.d",
    ]

    /// Calls that become part of a record.
    static func matters(_ call: TraceRecord.Call) -> Bool {
        switch call.program {
        case "update-alternatives": call.arguments.contains("--install")
        case "dpkg-statoverride": call.arguments.contains("--add")
        case "systemd-tmpfiles", "pam-auth-update": true
        default: false
        }
    }

    /// Every wrapper by its name. `keepsState`: the recipe allows paths, so programs that make keys and databases run,
    /// and the firewall looks at each file.
    static func wrappers(keepsState: Bool) -> [String: String] {
        var wrappers: [String: String] = [:]
        for name in quiet { wrappers[name] = script(name, quietAnswers[name] ?? "exit 0") }
        for name in real { wrappers[name] = script(name, (checks[name] ?? "") + run(name)) }
        guard !keepsState else { return wrappers }
        for (name, rules) in Dictionary(grouping: StateRule.table, by: \.program) {
            let words = rules.flatMap(\.words)
            let refusing =
                words.isEmpty
                ? "exit 0"
                : "for word do case \"$word\" in \(words.joined(separator: "|"))) exit 0 ;; esac; done\n"
                    + run(name)
            wrappers[name] = script(name, refusing)
        }
        return wrappers
    }

    /// What the sandbox runs: both scripts as dpkg runs them, each announced.
    static func runner(_ package: String, scripts: [String]) -> String {
        var lines = ["#!/bin/sh", "umask 022", "cd /"]
        for (name, arguments) in [("preinst", "install"), ("postinst", "configure ''")]
        where scripts.contains(name) {
            lines += [
                "printf '%s\\0' 0 '@\(name)' >> \(recordFolder)/\(recordName)",
                "DPKG_MAINTSCRIPT_NAME=\(name) /var/lib/dpkg/info/\(package).\(name) \(arguments) || exit",
            ]
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func script(_ name: String, _ body: String) -> String {
        "#!/bin/sh\nprintf '%s\\0' \"$#\" \(name) \"$@\" >> \(recordFolder)/\(recordName)\n\(body)\n"
    }

    private static func run(_ name: String) -> String {
        """
        PATH=\(searchPath)
        program=$(command -v \(name)) || { echo "\(name): not found" >&2; exit \(absent[name] ?? 127); }
        exec "$program" "$@"
        """
    }

    /// Exit codes where the image lacks the program: Kiln makes alternatives without it.
    private static let absent = ["update-alternatives": 0]

    /// Questions whose answer on a machine that nothing runs on is no.
    private static let quietAnswers = [
        "deb-systemd-helper": "for word do [ \"$word\" = debian-installed ] && exit 1; done\nexit 0",
        "systemctl": "for word do case \"$word\" in is-*) exit 1 ;; esac; done\nexit 0",
        "systemd-notify": "exit 1",
    ]

    /// All packages are unpacked by now: a file of the package itself is never in the way of itself.
    private static let checks = [
        "dpkg-divert": """
        list=/var/lib/dpkg/info/$DPKG_MAINTSCRIPT_PACKAGE.list
        skips=
        for word do
            if [ -n "$skips" ]; then skips=; continue; fi
            case "$word" in
            --list|--truename|--listpackage|--remove) break ;;
            --divert|--package) skips=1 ;;
            /*) grep -qxF "$word" "$list" 2>/dev/null && exit 0 ;;
            esac
        done

        """
    ]
}

extension TraceRecord.Call {
    private enum Limit {
        static let bytes = 16 << 20
    }

    /// Reads what wrappers wrote: the number of arguments, the name and the arguments, each ended by a zero byte. A
    /// script can write there too, and gains nothing by it: what does not fit is the end.
    static func parse(_ bytes: [UInt8]) -> [TraceRecord.Call] {
        var words = bytes.prefix(Limit.bytes).split(separator: 0, omittingEmptySubsequences: false).map {
            String(decoding: $0, as: UTF8.self)
        }[...]
        var calls: [TraceRecord.Call] = []
        while words.count >= 2, let count = words.popFirst().flatMap({ Int($0) }),
            let name = words.popFirst(),
            (0...words.count).contains(count)
        {
            calls.append(TraceRecord.Call(program: name, arguments: Array(words.prefix(count))))
            words = words.dropFirst(count)
        }
        return calls
    }
}
