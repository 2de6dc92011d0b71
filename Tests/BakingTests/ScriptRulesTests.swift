import ImageFormat
import Testing

@testable import Baking

/// The rules for what scripts do beyond plain file commands, one small script each.
struct ScriptRulesTests {
    private static let bench = ScriptBench(
        files: [
            "etc/a.conf": "port 80\n# name old\n", "etc/list": "one a\ntwo b\n",
            "usr/share/p/new.conf": "new\n",
            "usr/share/p/tree/x/y": "deep\n", "etc/held.conf": "held\n",
            "usr/share/p/helper": "make() { mkdir -p /srv/$1; }\nHELPED=yes\n",
            "usr/bin/tool": "#!/bin/sh\nset -e\nmkdir -p \"/srv/$1-$GIVEN\"\nexit 3\n",
            "usr/bin/binary": "\u{7f}ELF", "usr/share/debianutils/shells": "# shells\n/bin/sh\n",
            "usr/share/debianutils/shells.d/bash": "/bin/bash\n",
            "etc/apache2/mods-available/a.load": "# Depends: b\nLoadModule a\n",
            "etc/apache2/mods-available/b.load": "LoadModule b\n", "etc/apache2/mods-available/b.conf": "B\n",
            "etc/apache2/sites-available/s.conf": "S\n",
            "usr/lib/tmpfiles.d/t.conf":
                "d /var/lib/t 0750 www-data adm -\nL /etc/t - - - - ../srv\nf /var/log/t 0640 root adm - hello\n"
                + "d /run/t\nd! /srv/no\nz /etc/a.conf 0600\n",
            "etc/postfix/main.cf": "a = 1\nlong = x,\n  y\n",
        ],
        folders: [
            "etc/apache2/mods-enabled", "etc/apache2/sites-enabled", "srv", "tmp", "var/lib", "var/log",
        ])

    @Test(arguments: [
        (". /usr/share/p/helper; make x; echo $HELPED > /srv/out", "srv/out", "yes\n"),
        (
            "ucf --three-way /usr/share/p/new.conf /etc/new.conf; ucfr p /etc/new.conf", "etc/new.conf",
            "new\n"
        ),
        ("ucf /usr/share/p/new.conf /etc/held.conf", "etc/held.conf", "held\n"),
        ("sed -i -e 's/^port .*/port 81/' -e '/name/d' /etc/a.conf", "etc/a.conf", "port 81\n"),
        ("sed -n 's/^p\\(.*\\) 80$/\\1/p' /etc/a.conf > /srv/out", "srv/out", "ort\n"),
        ("grep -v '^#' /etc/a.conf >> /etc/held.conf", "etc/held.conf", "held\nport 80\n"),
        ("if grep -Eq '^(port|x)' /etc/a.conf; then echo yes > /srv/out; fi", "srv/out", "yes\n"),
        ("while read a b; do echo $b-$a >> /srv/out; done < /etc/list", "srv/out", "a-one\nb-two\n"),
        ("echo a,b | tr , '\\n' | while read x; do echo $x. >> /srv/out; done", "srv/out", "a.\nb.\n"),
        ("for i in $(seq 3 -1 1); do echo $((i * 2)) >> /srv/out; done", "srv/out", "6\n4\n2\n"),
        ("eval \"x=1\"; echo $x > /srv/out", "srv/out", "1\n"),
        ("alias up='tr a-z A-Z'; echo abc | up > /srv/out", "srv/out", "ABC\n"),
        ("f() { local x=2; local x; echo $x > /srv/in; }; x=1; f; echo $x > /srv/out", "srv/out", "1\n"),
        (
            "f() { [ -z \"$2\" ] && return 0; return 1; }; if f a; then echo in > /srv/out; fi", "srv/out",
            "in\n"
        ),
        ("cd /srv && echo here > out", "srv/out", "here\n"),
        ("cp -r /usr/share/p/tree /srv", "srv/tree/x/y", "deep\n"),
        ("t=$(mktemp); echo x > $t; ucf $t /etc/made", "etc/made", "x\n"),
        ("install -m 640 -o www-data -g adm /dev/null /var/log/x", "var/log/x", ""),
        ("dpkg-divert --package new --rename --add /etc/held.conf", "etc/held.conf.distrib", "held\n"),
        ("mv /etc/held.conf /etc/moved", "etc/moved", "held\n"),
        ("update-shells", "etc/shells", "# shells\n/bin/sh\n/usr/bin/sh\n/bin/bash\n/usr/bin/bash\n"),
        ("add-shell /usr/bin/binary", "etc/shells", "# shells\n/bin/sh\n/usr/bin/binary\n"),
        ("systemd-tmpfiles --create t.conf", "var/log/t", "hello"),
        ("postconf -e long=z new=1", "etc/postfix/main.cf", "a = 1\nlong = z\nnew = 1\n"),
        (
            "find /etc -name '*.conf' -type f -maxdepth 1 -printf '%f\\n' | sort > /srv/out", "srv/out",
            "a.conf\nheld.conf\n"
        ),
        ("printf '%s=%d\\n' a 1 b 2 > /srv/out", "srv/out", "a=1\nb=2\n"),
        ("awk '{print $2}' /etc/list > /srv/out", "srv/out", "a\nb\n"),
    ])
    func `a rule leaves the file that its program would`(script: String, path: String, text: String) throws {
        let run = try ScriptRulesTests.bench.run(script)
        #expect(run.report.unhandled.isEmpty, "\(run.report.unhandled)")
        #expect(run.text(path) == text)
    }

    @Test func `a program of the image that is a shell script is followed, as a process of its own`() throws {
        let run = try ScriptRulesTests.bench.run(
            "GIVEN=hidden; if GIVEN=seen tool a; then mkdir /srv/wrong; fi; tool b")
        #expect(run.report == .init())
        #expect(run.effects.tree.names(in: "srv") == ["a-seen", "b-"])
        #expect(try !ScriptRulesTests.bench.run("binary --do").report.unhandled.isEmpty)
    }

    @Test func `modules and sites of Apache are links, with what they need`() throws {
        let run = try ScriptRulesTests.bench.run("a2enmod -m -q a; a2ensite s; a2enmod none || true")
        #expect(run.report == .init())
        let tree = run.effects.tree
        #expect(tree.names(in: "etc/apache2/mods-enabled") == ["a.load", "b.conf", "b.load"])
        #expect(tree.entry("etc/apache2/sites-enabled/s.conf")?.link == "../sites-available/s.conf")
    }

    @Test func `tmpfiles make what lasts and leave alone what a start empties`() throws {
        let tree = try ScriptRulesTests.bench.run("systemd-tmpfiles --create t.conf").effects.tree
        #expect(tree.changes["var/lib/t"]?.user == "www-data")
        #expect(tree.entry("var/lib/t")?.mode == 0o750)
        #expect(tree.entry("etc/t")?.link == "../srv")
        #expect(tree.entry("etc/a.conf")?.mode == 0o600)
        #expect(tree.find("run/t") == nil)
        #expect(tree.find("srv/no") == nil)
    }

    @Test func `what a package holds and a script takes away is hidden`() throws {
        let tree = try ScriptRulesTests.bench.run("rm -r /usr/share/p/tree /etc/held.conf").effects.tree
        #expect(tree.find("etc/held.conf") == nil)
        #expect(tree.hidden == ["etc/held.conf", "usr/share/p/tree"])
    }

    @Test(arguments: [
        "make-ssl-cert generate-default-snakeoil", "systemd-machine-id-setup", "dbus-uuidgen --ensure",
        "rndc-confgen -a", "openssl rand -base64 -out /var/lib/cookie 42", "ssh-keygen -q -f /etc/key -N ''",
        "mysql_install_db --rpm", "pg_createcluster 15 main",
        "dd if=/dev/urandom count=1 | tr -dc a-z > /srv/secret",
        "install -m 0600 /proc/sys/kernel/random/uuid /srv/secret",
        "openssl req -new -x509 -out /etc/cert.pem",
        "bash /usr/bin/mysql_install_db",
    ])
    func `secrets, identities and data are refused in words of their own`(script: String) throws {
        let run = try ScriptRulesTests.bench.run(script)
        #expect(run.report.unhandled.isEmpty)
        #expect(run.report.refused.count == 1)
        #expect(run.effects.tree.names(in: "srv").isEmpty)
        #expect(run.report.refused.allSatisfy { $0.rule.note.contains("is not made: ") })
    }

    @Test func `every rule that refuses or leaves out has a reason`() {
        for rule in StateRule.table { #expect(!rule.what.isEmpty && !rule.instead.isEmpty) }
        for (program, reason) in LeftOut.table { #expect(reason.count > 10, "\(program)") }
        #expect(Set(LeftOut.table.keys).isDisjoint(with: StateRule.table.map(\.program)))
    }

    @Test func `accounts are known to the commands that ask for them`() throws {
        let run = try ScriptRulesTests.bench.run(
            """
            if [ -z "`id -u x 2>/dev/null`" ]; then useradd --system --gid adm --home-dir /srv/x x; fi
            [ "$(id -gn x)" = adm ] && touch /srv/$(id -gn x)
            chgrp later /srv || addgroup --system later
            """)
        #expect(run.report == .init())
        #expect(run.effects.accounts.users["x"]?.group == "adm")
        #expect(run.effects.accounts.hasGroup("later"))
        #expect(run.effects.tree.names(in: "srv") == ["adm"])
    }
}
