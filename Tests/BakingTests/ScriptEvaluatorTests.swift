import ImageFormat
import Model
import Testing
import TestKit

@testable import Baking

struct ScriptEvaluatorTests {
    /// An image with a few files, and what a script makes of it.
    private func run(
        _ script: String, arguments: [String] = ["configure", ""], covered: [String] = [],
        answers: [String: String] = [:]
    ) throws -> (effects: Effects, missed: [Int]) {
        var package = PackageMaker("base")
        package.folder("etc/x.d")
        package.folder("var/run")
        package.file("etc/x.conf", "x", mode: 0o600)
        package.file("usr/share/x/default", "the default")
        package.file("bin/tool", "", mode: 0o755)
        package.link("etc/link", to: "x.d")
        var effects = try package.effects()
        let missed = ScriptEvaluator.run(
            "#!/bin/sh\nset -e\n" + script, arguments: arguments, environment: ["DPKG_ROOT": ""],
            answers: answers,
            covered: covered, effects: &effects)
        return (effects, missed.unhandled.map(\.line))
    }

    @Test(arguments: [
        "mkdir -p /srv/made", "[ -d /nowhere ] || mkdir -p /srv/made",
        "if [ ! -e /nowhere ]; then mkdir -p /srv/made; fi",
        "case \"$1\" in install|upgrade) exit 1;; configure) mkdir -p /srv/made;; esac",
        "f() { mkdir -p \"$1\"; }\nf /srv/made", "d=/srv; mkdir -p $d/made", "install -d /srv/made",
        "for d in made; do mkdir -p /srv/$d; done", "if test -z \"$2\"\nthen\n  mkdir -p /srv/made\nfi",
        "mkdir -p /srv/$(echo a:made | cut -d: -f2)",
        "if which tool >/dev/null 2>&1; then mkdir -p /srv/made; fi",
        "if dpkg --compare-versions \"$2\" lt 2.0; then mkdir -p /srv/made; fi",
        "[ \"$1\" = configure ] && [ -n \"${2:-new}\" ] && mkdir -p \"$DPKG_ROOT/srv/made\"",
        "while true; do mkdir -p /srv/made; break; done", "! false && mkdir -p /srv/made",
        "cat <<EOF >/dev/null\nrm -rf /\nEOF\nmkdir -p /srv/made", "x=/srv/made.d; mkdir -p ${x%.d}",
    ])
    func `what surely happens is made`(script: String) throws {
        let result = try run(script)
        #expect(result.missed.isEmpty)
        #expect(result.effects.tree.find("srv/made")?.kind == .directory)
    }

    @Test(arguments: [
        "[ -n \"$2\" ] && mkdir /srv/no", "if [ -f /etc/none ]; then mkdir /srv/no; fi",
        "exit 0\nmkdir /srv/no",
        "case $1 in triggered) mkdir /srv/no;; esac", "false && mkdir /srv/no", "return 0; mkdir /srv/no",
        "if dpkg --compare-versions \"$2\" lt-nl 2.0; then mkdir /srv/no; fi",
        "command -v absent && mkdir /srv/no",
        "if [ -d /run/systemd/system ]; then systemctl daemon-reload; mkdir /srv/no; fi",
        "for f in /etc/none/*.conf; do [ -e $f ] || continue; mkdir /srv/no; done",
    ])
    func `what surely does not happen is not made and not named`(script: String) throws {
        let result = try run(script)
        #expect(result.missed.isEmpty)
        #expect(result.effects.tree.find("srv/no") == nil)
    }

    @Test(arguments: [
        ("frobnicate --all", 3), ("true\nfrobnicate", 4),
        ("if hostname | grep -q x; then mkdir /srv/maybe; fi", 3), ("perl -pi -e s/a/b/ /etc/x.conf", 3),
        ("echo `hostname` >> /etc/x.conf", 3), ("sed -i s/a/$(hostname)/ /etc/x.conf", 3),
        ("f() {\n  frobnicate\n}\nf", 4), ("x=$(frobnicate)", 3), ("eval \"$(hostname)\"", 3),
        ("if true; then", 3), ("useradd --frob x", 3), ("chmod u=frob /etc/x.conf", 3),
        ("/usr/bin/python3 -c 'print(1)'", 3), (". /etc/none", 3),
        ("while read x; do mkdir /srv/$x; done < /proc/mounts", 3),
    ])
    func `what would have mattered is named by its line`(script: String, line: Int) throws {
        if script.contains("--frob x") {
            // An unknown flag of an account tool changes nothing about who is made.
            #expect(try run(script).effects.accounts.hasUser("x"))
            return
        }
        #expect(try run(script).missed.first == line)
    }

    @Test(arguments: [
        "echo hello", ". /usr/share/debconf/confmodule", "db_input high x/y || true\ndb_go || true",
        "deb-systemd-helper enable x.service >/dev/null || true", "invoke-rc.d x start || exit 1", "ldconfig",
        "update-rc.d x defaults >/dev/null", "x=$(frobnicate_nothing=1)", "trap 'rm -f x' EXIT",
        "py3compile -p x", "dpkg-trigger --no-await y", "find /etc -name x", "rm -f /etc/none /var/none",
    ])
    func `what means nothing in an image is passed over`(script: String) throws {
        #expect(try run(script).missed.isEmpty)
    }

    @Test func `files are written, copied, linked and given away`() throws {
        let result = try run(
            """
            umask 077
            cat > /etc/made <<-EOF
            \tport 80
            EOF
            echo one > /etc/one
            cp -p /usr/share/x/default /etc/default
            ln -sf /usr/share/x /etc/linked
            ln -s x.conf /etc/link
            chown www-data:adm /etc/x.conf
            chmod g+r /etc/x.conf
            touch /etc/link/inside
            """)
        let tree = result.effects.tree
        #expect(result.missed.isEmpty)
        #expect(tree.changes["etc/made"]?.content == .bytes(Array("port 80\n".utf8)))
        #expect(tree.changes["etc/made"]?.entry.mode == 0o600)
        #expect(tree.changes["etc/one"]?.content == .bytes(Array("one\n".utf8)))
        #expect(tree.changes["etc/default"]?.content == .packaged(path: "usr/share/x/default"))
        #expect(tree.entry("etc/linked")?.link == "/usr/share/x")
        // Into the folder that the link leads to, as `ln` does.
        #expect(tree.entry("etc/x.d/x.conf")?.link == "x.conf")
        #expect(tree.changes["etc/x.conf"]?.user == "www-data")
        #expect(tree.changes["etc/x.conf"]?.entry.mode == 0o640)
        #expect(tree.entry("etc/x.d/inside")?.kind == .file)
    }

    @Test func `an empty folder of a package may become a link`() throws {
        let tree = try run("rmdir /var/run; ln -s /run /var/run").effects.tree
        #expect(tree.entry("var/run")?.link == "/run")
    }

    @Test func `debconf answers with its defaults`() throws {
        let templates = "Template: x/yes\nType: boolean\nDefault: true\n\nTemplate: x/no\nType: boolean\n"
        let script = """
            . /usr/share/debconf/confmodule
            db_get x/yes; [ "$RET" = true ] && mkdir /srv
            db_get x/no; [ "$RET" = true ] && mkdir /opt
            """
        let result = try run(script, answers: Debconf.defaults(templates))
        #expect(result.effects.tree.find("srv") != nil)
        #expect(result.effects.tree.find("opt") == nil)
        #expect(result.missed.isEmpty)
    }

    @Test func `accounts, alternatives and overrides are collected`() throws {
        let effects = try run(
            """
            adduser --system --group --home /var/lib/a --no-create-home a
            getent passwd b >/dev/null || useradd -r -d /srv/b -s /bin/false -g adm b
            addgroup --system c
            adduser a c
            update-alternatives --install /usr/bin/x x /usr/bin/tool 5 \\
                --slave /usr/share/man/x.1 x.1 /usr/share/man/tool.1
            if ! dpkg-statoverride --list /etc/x.conf >/dev/null; then
                dpkg-statoverride --update --add root adm 0640 /etc/x.conf
            fi
            """
        ).effects
        #expect(effects.accounts.users["a"]?.home == "/var/lib/a")
        #expect(effects.accounts.users["b"]?.group == "adm")
        #expect(effects.accounts.groups.keys.sorted() == ["a", "c"])
        #expect(effects.accounts.members == [["c", "a"]])
        #expect(effects.alternatives.map(\.priority) == [5])
        #expect(effects.tree.changes["etc/x.conf"]?.entry.mode == 0o640)
    }

    @Test func `a script without an end is given up and named`() throws {
        let result = try run("f() { f; }\nf")
        #expect(!result.missed.isEmpty)
        #expect(try !run("while true; do :; done; frobnicate").missed.isEmpty)
    }

    @Test(arguments: [
        "if", "\"", "$(", "case x in", "{", "a ) b", "<<X", "for", "`", "((", "&&", "${", "f()", "x=$(",
        "| |", "!",
        "if then fi", "case x in y) esac esac", "do done", "echo $((1+", "cat <<A <<B", "\\", "}", ";;",
    ])
    func `no text makes the parser crash`(script: String) throws {
        _ = try? ShellParser.parse(script)
        _ = try run(script)
    }

    @Test func `a script in another language is named`() throws {
        var effects = try run("true").effects
        let missed = ScriptEvaluator.run(
            "#!/usr/bin/perl\nprint 1;\n", arguments: [], environment: [:], answers: [:], covered: [],
            effects: &effects)
        #expect(missed.unhandled.map(\.line) == [1])
    }

    @Test(arguments: [
        ("*", "anything", true), ("a*c", "abc", true), ("a*c", "ab", false), ("?", "", false),
        ("[a-c]x", "bx", true),
        ("[!a]", "a", false), ("\\*", "*", true), ("\\*", "x", false), ("*.conf", "a.conf", true),
        ("**", "", true),
        ("a[", "a[", true), ("*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaa", false),
    ])
    func `patterns fit as in a shell`(pattern: String, text: String, fits: Bool) {
        #expect(ShellPattern.matches(pattern, text) == fits)
    }

    /// Each ends, and quickly, although it was written to do harm.
    @Test(arguments: [
        "for i in $(seq 0 -9223372036854775808); do mkdir /srv/$i; done",
        "for i in $(seq -9223372036854775807 9223372036854775807); do mkdir /srv/$i; done",
        "for i in $(seq 9223372036854775806 9223372036854775807); do :; done",
        "for i in $(seq 9223372036854775807 -9223372036854775808 9223372036854775807); do :; done",
        "x=0123456789abcdef; while :; do x=$x$x; done", "x=0123456789abcdef; while :; do x=\"$x $x\"; done",
        "set -- a b; while :; do set -- \"$@\" \"$@\"; done", "x=a; while :; do x=\"$x $x\"; set -- $x; done",
        "update-alternatives --install /usr/bin/x x /bin/tool -9223372036854775808",
    ]) func `a script fills no memory and counts beyond no number`(script: String) throws {
        _ = try run(script)
    }
}
