import Model
import Testing

@testable import SpecFile

/// One line of a sound spec written wrong, and all that is said about it.
struct Slip: Sendable, CustomTestStringConvertible {
    var line: Int
    var text: String
    var said: [String]

    init(_ line: Int, _ text: String, _ said: String...) {
        self.line = line
        self.text = text
        self.said = said
    }

    var testDescription: String { text }

    static let all: [Slip] = [
        Slip(
            1, "kiln: 2",
            "1: kiln is 2; this program reads version 1 → "
                + "write kiln: 1, or use a newer program"),
        Slip(
            1, "kiln: \"1\"",
            "1: kiln is \"1\"; 1 is needed → "
                + "write kiln: 1, a whole number without quotes"),
        Slip(1, "kiln: one", "1: kiln is one; 1 is needed → write kiln: 1, a whole number without quotes"),
        Slip(1, "# no version", "2: the spec has no kiln → add kiln: 1"),
        Slip(
            2, "service: Hello World",
            "2: service is wrong: \"Hello World\" is not a service name → "
                + "use 1 to 40 of a-z, 0-9 and -, beginning with a letter, such as web-api"),
        Slip(
            2, "servce: hello",
            "1: the spec has no service → "
                + "add service: hello",
            "2: \"servce\" is not a key of the spec → "
                + "did you mean service? the keys here are kiln, service, image, run, rollout, listen, protocol, policy, drift, max-age, maintenance and freeze"
        ),
        Slip(
            2, "service: hello\nservice: other",
            "3: \"service\" is given twice, first on line 2 → "
                + "keep one of the two"),
        Slip(2, "service: [a]", "2: service is a list; a text is needed → write service: hello"),
        Slip(2, "service:", "2: service is empty → write service: hello"),
        Slip(
            2, "service: hello\n\treplicas: 3",
            "3: a tab is used to indent → "
                + "indent with spaces; YAML allows no tabs there"),
        Slip(
            2, "service: @hello",
            "2: a text begins with a character that means something else in YAML → "
                + "put text that begins with @, %, ` or ! in quotes"),
        Slip(
            2, "service: hello\n<<: {a: b}",
            "3: \"<<\" is not a key of the spec → "
                + "write the settings out; the keys here are kiln, service, image, run, rollout, listen, protocol, policy, drift, max-age, maintenance and freeze"
        ),
        Slip(
            2, "service: hello\n? [a, b]\n: c",
            "3: a list or group stands where a key belongs → "
                + "write `key: value`, and put text that has [ or { in quotes"),
        Slip(
            4, "  distribution: fedora/40",
            "4: distribution is wrong: \"fedora/40\" is not a distribution → "
                + "write debian/ or ubuntu/ and a suite, such as debian/bookworm"),
        Slip(
            4, "  distribution: debian/bookworm\n  mirror: mirror.example",
            "5: mirror is \"mirror.example\"; an http://, https:// or file:// address is needed → "
                + "write mirror: https://mirror.example/debian"),
        Slip(
            4, "  distribution: debian/bookworm\n  mirror: https://u:p@mirror.example/debian",
            "5: mirror holds a user name or password → "
                + "write mirror: https://mirror.example/debian, and let a mirror or proxy of your own add them"
        ),
        Slip(
            4, "  distribution: debian/bookworm\n  architecture: x86_64",
            "5: architecture is \"x86_64\"; the choices are amd64 and arm64 → "
                + "write architecture: amd64"),
        Slip(
            4, "  distribution: debian/bookworm\n  base: minimum",
            "5: base is \"minimum\"; the choices are minimal and essential → "
                + "write base: minimal"),
        Slip(
            4, "  distribution: debian/bookworm\n  sources: [{suites: [bookworm]}]",
            "5: a source has no uri → "
                + "write uri: https://mirror.example/debian"),
        Slip(
            4,
            "  distribution: debian/bookworm\n  sources: [{uri: http://mirror.example/debian, components: main}]",
            "5: an entry of sources has no suites → "
                + "add suites: [bookworm, bookworm-updates]"),
        Slip(
            4,
            "  distribution: debian/bookworm\n  mirror: http://mirror.example/debian\n  sources: [{uri: http://mirror.example/debian, suites: bookworm}]",
            "5: mirror and sources are both given → "
                + "keep sources, and put the mirror into it as another entry"),
        Slip(
            4,
            "  distribution: debian/bookworm\n  sources: [{uri: http://mirror.example/debian, suites: ../etc, signed-by: keys/a.gpg}]",
            "5: an entry of suites is \"../etc\"; a name of letters, digits, -, . and _ is needed → "
                + "write bookworm",
            "5: signed-by is \"keys/a.gpg\"; a path that begins with / is needed → "
                + "write signed-by: /usr/share/keyrings/debian-archive-keyring.gpg"),
        Slip(
            4, "  distribution: debian/bookworm\n  user: Root!",
            "5: user is \"Root!\"; a user name or number of the image is needed → "
                + "write user: www-data"),
        Slip(
            4, "  distribution: debian/bookworm\n  working_directory: srv",
            "5: \"working_directory\" is not a key of image → "
                + "did you mean working-directory? the keys here are include, distribution, from, dockerfile, architecture, base, mirror, sources, packages, "
                + "scripts, files, build, user, command, working-directory, environment and layers"
        ),
        Slip(
            4, "  distribution: debian/bookworm\n  working-directory: srv",
            "5: working-directory is \"srv\"; a path that begins with / is needed → "
                + "write working-directory: /srv/app"),
        Slip(
            4, "  distribution: debian/bookworm\n  environment: [LANG=C]",
            "5: environment is a list; names with values are needed → "
                + "write environment: {LANG: C.UTF-8}"),
        Slip(
            4, "  distribution: debian/bookworm\n  environment: {1ST: a, LANG: , B: [c]}",
            "5: \"1ST\" is not the name of a variable → "
                + "use A-Z, a-z, 0-9 and _, not beginning with a digit, at most 128",
            "5: LANG is empty → "
                + "write LANG: value, or \"\" for an empty text",
            "5: B is a list; a text is needed → "
                + "write B: value"),
        Slip(
            5, "  packages: nginx-light",
            "5: packages is a single value; a list is needed → "
                + "write packages: [nginx-light, ca-certificates]"),
        Slip(
            5, "  packages: [Nginx, -, nginx-light]",
            "5: an entry of packages is wrong: \"Nginx\" is not a package → "
                + "write a Debian package name, such as nginx-light, or nginx-light=1.22.1-9",
            "5: an entry of packages is wrong: \"-\" is not a package → "
                + "write a Debian package name, such as nginx-light, or nginx-light=1.22.1-9"),
        Slip(
            5, "  packages: [nginx-light, nginx-light=1.22]",
            "5: the package nginx-light is listed twice, first on line 5 → "
                + "keep one of the two"),
        Slip(
            5, "  packages: [[nginx]]",
            "5: an entry of packages is a list; a text is needed → "
                + "write nginx-light"),
        Slip(
            5, "  packages: [nginx-light",
            "5: a [, { or quote is not closed → "
                + "close it; text that has one of them goes in quotes"),
        Slip(
            6, "  files: [{from: /etc/passwd, to: /etc/passwd}]",
            "6: from is \"/etc/passwd\"; a path relative to the folder of this file is needed → "
                + "write from: site/"),
        Slip(
            6, "  files: [{from: ../x, to: /x}]",
            "6: from is \"../x\"; it leads out of the folder of this file → "
                + "write from: site/"),
        Slip(
            6, "  files: [{from: x, to: y}]",
            "6: to is \"y\"; a path that begins with / is needed → "
                + "write to: /srv/www"),
        Slip(
            6, "  files: [{from: x, to: /a/../../y}]",
            "6: to is \"/a/../../y\"; `..` is not allowed in a path → "
                + "write to: /srv/www"),
        Slip(
            6, "  files:\n    - {from: a, to: /x}\n    - {from: b, to: //x/.}",
            "8: two files go to \"/x\", the first on line 7 → "
                + "give each its own target, or put both into one folder and name the folder"),
        Slip(6, "  files: [{from: a}]", "6: an entry of files has no to → add to: /srv/www"),
        Slip(
            6, "  files: [{from: a, to: /a, mode: 0999}]",
            "6: mode is 0999; three octal digits are needed (read 4, write 2, execute 1 for owner, group and others) → "
                + "write mode: 0644"),
        Slip(
            6, "  files: [{from: a, to: /a, mode: 4755, owner: a:b:c}]",
            "6: mode is 4755; three octal digits are needed (read 4, write 2, execute 1 for owner, group and others) → "
                + "write mode: 0644",
            "6: owner is \"a:b:c\"; user or user:group is needed, by name or number → "
                + "write owner: www-data:www-data"),
        Slip(
            6, "  files: [{from: a, to: /a, mode: +44}]",
            "6: mode is +44; three octal digits are needed (read 4, write 2, execute 1 for owner, group and others) → "
                + "write mode: 0644"),
        Slip(
            6, "  files: [site]",
            "6: an entry of files is a single value; settings are needed → "
                + "write {from: site/, to: /srv/www}"),
        Slip(
            6, "  files: {from: a, to: /a}",
            "6: files is a group of settings; a list is needed → "
                + "write files: [{from: site/, to: /srv/www}]"),
        Slip(
            7, "  command: nginx -g 'daemon off;'",
            "7: command is one text; a list of words is needed → "
                + "write command: [nginx, -g, \"daemon off;\"]"),
        Slip(7, "  command: []", "7: command is an empty list → write command: [nginx, -g, daemon off;]"),
        Slip(
            7, "  command: [\"\", a]",
            "7: command begins with an empty word; the program to run is needed → "
                + "write command: [nginx, -g, daemon off;]"),
        Slip(7, "  # no command", "3: image has no command → add command: [nginx, -g, daemon off;]"),
        Slip(
            7, "  command: [nginx, {a: b}]",
            "7: an entry of command is a group of settings; a text is needed → "
                + "write nginx"),
        Slip(
            9, "  replicas: 0",
            "9: replicas is 0; 1…1000 are allowed → "
                + "use `kiln retire` to stop a service"),
        Slip(9, "  replicas: 1001", "9: replicas is 1001; 1…1000 are allowed → write replicas: 3"),
        Slip(
            9, "  replicas: three",
            "9: replicas is three; 1…1000 are allowed → "
                + "write replicas: 3, a whole number without quotes"),
        Slip(
            9, "  replicas: 1.5",
            "9: replicas is 1.5; 1…1000 are allowed → "
                + "write replicas: 3, a whole number without quotes"),
        Slip(
            9, "  replicas: 010",
            "9: replicas is 010; 1…1000 are allowed → "
                + "write replicas: 3, a whole number without quotes"),
        Slip(
            9, "  replicas: \"3\"",
            "9: replicas is \"3\"; 1…1000 are allowed → "
                + "write replicas: 3, a whole number without quotes"),
        Slip(
            9, "  replicas: 99999999999999999999",
            "9: replicas is 99999999999999999999; 1…1000 are allowed → "
                + "write replicas: 3"),
        Slip(
            9, "  replicas: -1",
            "9: replicas is -1; 1…1000 are allowed → "
                + "use `kiln retire` to stop a service"),
        Slip(
            9, "  replicas:",
            "9: replicas is empty; 1…1000 are allowed → "
                + "write replicas: 3, a whole number without quotes"),
        Slip(
            9, "  repilcas: 3",
            "9: \"repilcas\" is not a key of run → "
                + "did you mean replicas? the keys here are replicas, port, health, scratch, limits, config, stop-grace, autoscale and allow"
        ),
        Slip(10, "  port: 65536", "10: port is 65536; 1…65535 are allowed → write port: 8080"),
        Slip(10, "  # no port", "8: run has no port → add port: 8080"),
        Slip(
            10, "  port: 8080:8000",
            "10: port is 8080:8000; 1…65535 are allowed → "
                + "write port: 8080, a whole number without quotes"),
        Slip(
            11, "  health: /",
            "11: health is a single value; settings are needed → "
                + "write health: {path: /}"),
        Slip(
            11, "  health: {interval: 1s}",
            "11: health has no probe → "
                + "write one of path: /, tcp: true and command: [redis-cli, ping]"),
        Slip(
            11, "  health: {path: /, tcp: true}",
            "11: health has 2 kinds of probes; one is needed → "
                + "write one of path: /, tcp: true and command: [redis-cli, ping]"),
        Slip(
            11, "  health: {tcp: false}",
            "11: tcp is false → "
                + "remove it, and write path: / or command: [redis-cli, ping] instead"),
        Slip(11, "  health: {tcp: yes}", "11: tcp is \"yes\"; true or false is needed → write tcp: true"),
        Slip(
            11, "  health: {command: redis-cli ping}",
            "11: command is one text; a list of words is needed → "
                + "write command: [redis-cli, ping]"),
        Slip(
            11, "  health: {path: health}",
            "11: path is \"health\"; a path that begins with / is needed, without spaces, quotes, # and \\ → "
                + "write path: /"),
        Slip(
            11, "  health: {path: \"/a b\"}",
            "11: path is \"/a b\"; a path that begins with / is needed, without spaces, quotes, # and \\ → "
                + "write path: /"),
        Slip(
            11, "  health: {path: /, interval: 10}",
            "11: interval is 10; a time is needed → "
                + "write interval: 1s (a whole number and ms, s, m, h or d)"),
        Slip(
            11, "  health: {path: /, timeout: 1ms, healthy-after: 0}",
            "11: timeout is 1ms; 10ms…5m are allowed → "
                + "write timeout: 1s",
            "11: healthy-after is 0; 1…100 are allowed → "
                + "write healthy-after: 2"),
        Slip(
            11, "  health: {path: /, interval: 20s, healthy-after: 5}",
            "11: 5 probes 20s apart take 80s; deadline is 1m → "
                + "raise rollout.deadline above 80s, or probe more often"),
        Slip(
            12, "  scratch: [/]",
            "12: scratch cannot be /: the root is read-only → "
                + "name the folders that are written to, such as /run and /tmp"),
        Slip(
            12, "  scratch: [run]",
            "12: an entry of scratch is \"run\"; a path that begins with / is needed → "
                + "write /run"),
        Slip(
            12, "  scratch: [/run, /run/]",
            "12: scratch has \"/run\" twice, first on line 12 → "
                + "keep one of the two"),
        Slip(
            12, "  scratch:\n    - /var/lib\n    - {path: /var/lib/nginx, size: 8M}",
            "14: scratch \"/var/lib/nginx\" and \"/var/lib\" are inside each other → "
                + "keep /var/lib: it covers both"),
        Slip(
            12, "  scratch: [/srv]",
            "12: scratch \"/srv\" would hide \"/srv/www\" of line 6 → "
                + "put the file elsewhere, or name another folder as scratch"),
        Slip(
            12, "  scratch: [/proc/x]",
            "12: scratch cannot be \"/proc/x\": /proc is the system's own → "
                + "remove it; an instance has /proc already"),
        Slip(
            12, "  scratch: [{path: /run, size: 1}]",
            "12: size is 1; 4K…64G are allowed → "
                + "write size: 16M"),
        Slip(12, "  scratch: [{size: 16M}]", "12: an entry of scratch has no path → add path: /run"),
        Slip(
            12, "  scratch: /run",
            "12: scratch is a single value; a list is needed → "
                + "write scratch: [/run, /tmp]"),
        Slip(
            13, "  limits: {memory: 64MB, cpu: 0, pids: -1}",
            "13: memory is 64MB; a size is needed → "
                + "write memory: 64M (a whole number and K, M, G or T)",
            "13: cpu is 0; 0.01…1024 cores are allowed, with at most three decimals → "
                + "write cpu: 0.5",
            "13: pids is -1; 1…65536 are allowed → "
                + "write pids: 64"),
        Slip(
            13, "  limits: {memory: 1M, cpu: 0.0001, pids: many}",
            "13: memory is 1M; 4M…1T are allowed → "
                + "write memory: 64M",
            "13: cpu is 0.0001; 0.01…1024 cores are allowed, with at most three decimals → "
                + "write cpu: 0.5",
            "13: pids is many; 1…65536 are allowed → "
                + "write pids: 64, a whole number without quotes"),
        Slip(
            13, "  limits: {mem: 64M, cpus: 2}",
            "13: \"mem\" is not a key of limits → "
                + "did you mean memory? the keys here are memory, cpu and pids",
            "13: \"cpus\" is not a key of limits → "
                + "did you mean cpu? the keys here are memory, cpu and pids"),
        Slip(
            13, "  limits: 64M",
            "13: limits is a single value; settings are needed → "
                + "write limits: {memory: 64M, cpu: 0.5, pids: 64}"),
        Slip(
            14, "  config: {GREE TING: a}",
            "14: \"GREE TING\" is not the name of a variable → "
                + "use A-Z, a-z, 0-9 and _, not beginning with a digit, at most 128"),
        Slip(
            14, "  config: {A: 1, A: 2}",
            "14: \"A\" is given twice, first on line 14 → "
                + "keep one of the two"),
        Slip(14, "  config: {A: \"\\0\"}", "14: A contains a zero byte → remove the \\0"),
        Slip(
            14, "  stop-grace: forever",
            "14: stop-grace is forever; a time is needed → "
                + "write stop-grace: 10s (a whole number and ms, s, m, h or d)"),
        Slip(
            15, "rollout:\n  strategy: bluegreen",
            "16: strategy is \"bluegreen\"; the choices are blue-green, rolling, canary and recreate → "
                + "write strategy: blue-green"),
        Slip(
            15, "rollout:\n  keep-standby: 4\n  watch: 2d",
            "16: keep-standby is 4; 0…3 are allowed → "
                + "write keep-standby: 1",
            "17: watch is 2d; 0s…1d are allowed → "
                + "write watch: 30s"),
        Slip(
            15, "rollout:\n  deadline: 1s",
            "16: 2 probes 1s apart take 1s; deadline is 1s → "
                + "raise rollout.deadline above 1s, or probe more often"),
        Slip(
            17, "listen: localhost:8000",
            "17: listen is wrong: \"localhost:8000\" is not an address and port → "
                + "write 127.0.0.1:8000, \"[::1]:8000\" or \"*:8000\""),
        Slip(
            17, "listen: 8000",
            "17: listen is wrong: \"8000\" is not an address and port → "
                + "write 127.0.0.1:8000, \"[::1]:8000\" or \"*:8000\""),
        Slip(
            17, "listen: *:8000",
            "17: * or & begins a text; YAML takes it for a reference → "
                + "put the text in quotes, such as \"*:8000\""),
        Slip(
            17, "listen: [::1]:8000",
            "17: a text begins with [ or {; YAML takes it for a list or group → "
                + "put the text in quotes, such as \"[::1]:8000\""),
        Slip(
            17, "listen: \"[::1::2]:80\"",
            "17: listen is wrong: \"[::1::2]:80\" is not an address and port → "
                + "write 127.0.0.1:8000, \"[::1]:8000\" or \"*:8000\""),
        Slip(
            17, "listen: 127.0.0.1:8000\nprotocol: udp",
            "18: protocol is \"udp\"; the choices are http and tcp → "
                + "write protocol: tcp"),
        Slip(
            17, "protocol: tcp",
            "17: protocol is given, but no address to listen on → "
                + "add listen: 127.0.0.1:8000, or remove protocol"),
        Slip(
            17, "listen: {address: 127.0.0.1:8000, protocol: tcp}\nprotocol: tcp",
            "18: protocol is given twice, also inside listen → "
                + "keep one of the two"),
        Slip(
            17, "listen: {adress: 127.0.0.1:8000}",
            "17: \"adress\" is not a key of listen → "
                + "did you mean address? the keys here are address and protocol",
            "17: listen has no address → "
                + "add address: 127.0.0.1:8000"),
        Slip(
            17, "listen: 127.0.0.1:8000\n---\nkiln: 1",
            "18: a second document begins here → "
                + "keep one service per file, and remove the line `---`"),
        Slip(
            17, "listen: 127.0.0.1:8000\nnonsense",
            "18: a line has no `key:` → "
                + "write `key: value`, with a space after the colon"),
        Slip(
            17, "listen: \"127.0.0.1:8000",
            "17: a [, { or quote is not closed → "
                + "close it; text that has one of them goes in quotes"),
    ]
}

@Suite struct SlipTests {
    @Test(arguments: Slip.all + Slip.rollouts)
    func `each slip is named with its line and what to write`(_ slip: Slip) throws {
        #expect(problems(SoundSpec.with(line: slip.line, slip.text)) == slip.said)
    }
}

/// Each problem as `line: message → suggestion`.
func problems(_ text: String) -> [String] {
    do {
        _ = try SpecFile.parse(text, file: "kiln.yaml")
        return []
    } catch {
        return Failure.list(error).map {
            "\($0.place?.replacing("kiln.yaml:", with: "") ?? "?"): \($0.message) → \($0.suggestion ?? "?")"
        }
    }
}
